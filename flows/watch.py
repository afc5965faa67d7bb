"""The watch: one long-lived run that looks at every rollout, tick after tick, and acts first.

A schedule starts it and a concurrency limit of one keeps a second from starting beside it; the lease in the ledger makes
sure that even two never act at once. It ends by itself now and then, so that a new process takes over with a clean memory.
"""

import os
import socket
import time

from prefect import State, flow
from prefect.states import Completed

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerUnavailable
from chrysalis.ledger.origin import came_by
from tasks.fast_looks import looking_fast
from tasks.pauses import without_pauses
from tasks.prefect_api import wake
from tasks.sentry import Sentry
from tasks.step import log
from tasks.workspace import open_ledger, settings

HOURS = 6.0


@flow(name="watch", flow_run_name="watch", persist_result=False)
def watch(hours: float = HOURS) -> State[None]:
    """Tick until the time is over. An unreachable ledger does not end it: it looks again at the next tick."""
    came_by("watch")
    interval_s = settings().watch_interval_s
    sentry = Sentry(open_ledger(), wake, f"{socket.gethostname()}:{os.getpid()}", interval_s)
    log().info("watching every %.2f s", interval_s)
    ends = time.monotonic() + hours * 3600
    with without_pauses() as between_ticks, looking_fast(sentry, settings().fast_interval_s):
        while (started := time.monotonic()) < ends:
            try:
                sentry.tick(utc_now())
            except LedgerUnavailable as error:
                log().error("the ledger is out of reach: %s", error)
            between_ticks()
            time.sleep(max(0.0, started + interval_s - time.monotonic()))
    sentry.close()
    return Completed(message="another watch takes over")
