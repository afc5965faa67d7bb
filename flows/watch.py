"""The watch: one long-lived run that looks at every rollout, tick after tick, and acts first.

A schedule starts it and a concurrency limit of one keeps a second from starting beside it; the lease in the ledger makes
sure that even two never act at once. It ends by itself now and then, so that a new process takes over with a clean memory.
"""

import os
import socket
import time
from collections.abc import Callable

from prefect import State, flow
from prefect.states import Completed

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerUnavailable, StaleToken
from chrysalis.ledger import Ledger
from chrysalis.ledger.origin import came_by
from tasks.fast_looks import looking_fast
from tasks.orphans import outlive_worker
from tasks.pauses import without_pauses
from tasks.prefect_api import wake
from tasks.sentry import Sentry, standby_here
from tasks.standby import Standby
from tasks.step import log
from tasks.workspace import open_ledger, settings

HOURS = 6.0


@flow(name="watch", flow_run_name="watch", persist_result=False)
def watch(hours: float = HOURS) -> State[None]:
    """Tick until the time is over. While the ledger is out of reach, also at the start, it guards by what was last known."""
    came_by("watch")
    outlive_worker()
    interval_s = settings().watch_interval_s
    ends = time.monotonic() + hours * 3600
    standby = standby_here(interval_s)
    with without_pauses() as between_ticks, standby.on_duty():
        ledger = _await_ledger(ends, interval_s, standby)
        if ledger is None:
            return Completed(message="the ledger was out of reach all the time")
        sentry = Sentry(ledger, wake, f"{socket.gethostname()}:{os.getpid()}", interval_s, begun=standby)
        log().info("watching every %.2f s", interval_s)
        with looking_fast(sentry, settings().fast_interval_s):
            _tick(sentry, ends, interval_s, between_ticks)
    try:
        sentry.close()
    except LedgerUnavailable as error:
        log().error("the watch's lease runs out by itself: %s", error)
    return Completed(message="another watch takes over")


def _tick(sentry: Sentry, ends: float, interval_s: float, between_ticks: Callable[[], None]) -> None:
    last = started = time.monotonic()
    while started < ends:
        # The wall clock first: a soak's first tick counts up to it, and the next one from the steady clock. What a busy
        # machine puts between the two is then missing, and never counted twice.
        now, started = utc_now(), time.monotonic()
        try:
            sentry.tick(now, started - last)
            last = started
        except StaleToken as error:
            log().warning("%s", error)
        except LedgerUnavailable as error:
            log().error("the ledger is out of reach: %s", error)
            sentry.standby.begin(str(error))
        except Exception:
            # Triggers come first in a tick: a fault of ours behind them must not end the watch for a minute.
            log().exception("the rest of this tick failed")
        between_ticks()
        time.sleep(max(0.0, started + interval_s - time.monotonic()))


def _await_ledger(ends: float, interval_s: float, standby: Standby) -> Ledger | None:
    """The ledger, once it can be opened; None when that does not come about until `ends`. Until then the rollouts that the
    last watch guarded are guarded as it knew them."""
    recalled = False
    while time.monotonic() < ends:
        try:
            return open_ledger()
        except LedgerUnavailable as error:
            if not recalled:
                standby.recall(str(error))
                recalled = True
            log().error("the ledger is out of reach: %s", error)
            time.sleep(interval_s)
    return None
