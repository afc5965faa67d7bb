"""The watch's second pace: looks at the router's counters between the ticks, in a thread beside them.

A tick may take as long as its slowest source and writes to the ledger; a fast look does neither, so it keeps its pace
whatever the tick is doing. When it stops, the tick finds the counters unwatched and counts no soak that depends on them.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from chrysalis.clock import utc_now
from tasks.sentry import Sentry
from tasks.step import log


@contextmanager
def looking_fast(sentry: Sentry, interval_s: float) -> Iterator[None]:
    """Have the sentry look every `interval_s`, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(sentry, interval_s, stop), name="fast-looks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _look(sentry: Sentry, interval_s: float, stop: threading.Event) -> None:
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        # A look that took longer than the interval is not made up for.
        due = max(due + interval_s, time.monotonic())
        try:
            sentry.look_fast(utc_now())
        except Exception:
            log().exception("the router's counters could not be looked at")
