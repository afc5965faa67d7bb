"""Which runs the watch has go on: those with something to do that sleep, and those whose process is gone."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Guarded, Request
from tasks.lifecycle import LEASE_S
from tasks.prefect_api import Nudge, RunCancelled
from tasks.rolling_back import ask
from tasks.signs import Signs
from tasks.step import log

WAKE_AGAIN_AFTER = timedelta(seconds=3)
SILENT_AFTER = timedelta(seconds=8)
"""Two missed signs of life: Prefect is asked whether the rollout's run has ended."""
DEAD_AFTER = timedelta(seconds=20)
"""A rollout whose process gave no sign of life for this long is started again, whatever Prefect says."""
LOOK_AFTER = timedelta(seconds=10)
"""How often Prefect is asked whether the run of a rollout that waits still sleeps."""
LOOKS_PER_TICK = 5
"""Of those that wait; with more than 50 of them at one tick a second, each is asked after less often."""
GOING_BACK = frozenset({"roll_back", "abort"})

Wake = Callable[[str, Nudge], bool]
"""Flow run id and why to whether the run was told to go on."""


@dataclass
class Waker:
    """Nudges runs, one at a time and beside the tick, which never waits for Prefect."""

    wake: Wake
    _signs: Signs = field(default_factory=Signs)
    _woken: dict[str, float] = field(default_factory=dict)
    """When by the steady clock."""
    _hand: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="wake"))

    def wake_due(
        self,
        active: Collection[Guarded],
        asked: Mapping[str, tuple[Request, ...]],
        over: Collection[int],
        now: datetime,
        steady_s: float,
    ) -> None:
        """Have every run go on that has something to do and sleeps, or whose process is gone.

        `over` are the waits that ended at this tick. Silences and pauses are counted by the steady clock.
        """
        due: list[tuple[float, Guarded, Nudge]] = []
        woken: dict[str, float] = {}
        for one in active:
            rollout = one.rollout
            last_s = self._woken.get(rollout.id)
            if last_s is not None:
                woken[rollout.id] = last_s
            silence = self._signs.silence(rollout.id, _last_sign(one), now=now, steady_s=steady_s)
            nudge = nudge_for(one, asked.get(rollout.id, ()), over, silence)
            if nudge is None or rollout.flow_run_id is None:
                continue
            pause = WAKE_AGAIN_AFTER if nudge.asleep else LOOK_AFTER
            if last_s is None or steady_s - last_s >= pause.total_seconds():
                due.append((-1.0 if last_s is None else last_s, one, nudge))
        self._woken = woken
        self._signs.keep({one.rollout.id for one in active})
        looks = [entry for entry in due if not entry[2].asleep]
        looks.sort(key=lambda entry: entry[0])
        for _, one, nudge in [*(entry for entry in due if entry[2].asleep), *looks[:LOOKS_PER_TICK]]:
            self._woken[one.rollout.id] = steady_s
            self._hand.submit(self._nudge, one.rollout.id, one.rollout.flow_run_id or "", nudge)

    def close(self, *, wait: bool = False) -> None:
        """Nudge nobody any more."""
        self._hand.shutdown(wait=wait, cancel_futures=not wait)

    def _nudge(self, rollout_id: str, flow_run_id: str, nudge: Nudge) -> None:
        try:
            if self.wake(flow_run_id, nudge):
                log().info("woke %s: %s", rollout_id, nudge.note)
        except RunCancelled as error:
            ask(rollout_id, "pause", by="watch", reason=f"{error}; `chrysalis resume {rollout_id}` goes on")
        except ChrysalisError as error:
            log().warning("%s could not be woken, tried again: %s", rollout_id, error)


def nudge_for(seen: Guarded, asked: Iterable[Request], over: Collection[int], silence: timedelta) -> Nudge | None:
    """Why the rollout's run shall go on now; None when it is as it should be. `silence`: since its last sign of life."""
    rollout = seen.rollout
    if rollout.state in ("pending", "running", "rolling_back"):
        if silence > DEAD_AFTER:
            return Nudge("its process is gone", gone=True, cancelled=rollout.state == "rolling_back")
        return Nudge("its process ended", asleep=False) if silence > SILENT_AFTER else None
    back = next((request for request in asked if request.kind in GOING_BACK), None)
    if back is not None and rollout.state != "stuck":
        return Nudge(f"{back.kind} by {back.by}: {back.reason}", gone=silence > DEAD_AFTER, cancelled=True)
    waits = any(wait.id not in over for wait in seen.waits)
    if rollout.state == "waiting" and not waits and not any(request.kind == "pause" for request in asked):
        return Nudge("the wait is over", gone=silence > DEAD_AFTER)
    return Nudge("its process ended", asleep=False, gone=True) if silence > DEAD_AFTER else None


def _last_sign(seen: Guarded) -> datetime:
    """When the rollout's process last showed that it is alive; at rest it shows nothing."""
    if seen.alive_until is None:
        return seen.rollout.updated_at
    return max(seen.rollout.updated_at, seen.alive_until - timedelta(seconds=LEASE_S))
