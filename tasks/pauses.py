"""Keeps the watch's process from standing still while it looks after many rollouts.

Python stops every thread while it searches all objects for cycles, and searches whenever enough were made: with 1,000
rollouts in memory that took 200 ms of processor time at nearly every tick, and a second where the processor was shared.
So it is done between ticks only, over what was made since; what is still there after a while is left alone (`gc.freeze`).
And a thread that waits for the interpreter gets it after 1 ms and not after 5: an answer to a breach waits dozens of times.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SWITCH_S = 0.001
ALL_EVERY = 500
"""Ticks between two searches of everything that came since the last one."""


@contextmanager
def without_pauses() -> Iterator[Callable[[], None]]:
    """Collect by hand until the block ends; gives what to call between two ticks."""
    was_enabled, switch_s = gc.isenabled(), sys.getswitchinterval()
    ticks = 0

    def between_ticks() -> None:
        nonlocal ticks
        ticks += 1
        if ticks % ALL_EVERY:
            gc.collect(1)
        else:
            gc.collect()
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield between_ticks
    finally:
        sys.setswitchinterval(switch_s)
        gc.unfreeze()
        if was_enabled:
            gc.enable()
