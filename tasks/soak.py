"""Wait while the watch looks on. Only time in which it really looked counts, so a soak cannot end by itself."""

from uuid import UUID

from chrysalis.ledger import Wait
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Soak
from gates.units import format_duration
from tasks.artifacts import artifact_key, set_progress, start_progress
from tasks.step import Before, Done, Waiting, open_wait, step_task
from tasks.waiting import linger
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: Soak, before: Before) -> Done | Waiting:
    """Open the wait, or find it as it stands; done when the watch has closed it."""
    needed_s = spec.duration.total_seconds()
    every_s = spec.every.total_seconds() if spec.every else None
    wait = open_wait(workspace, planned, "soak", needed_s=needed_s, detail={"every_s": every_s})
    bar = start_progress(artifact_key(workspace.rollout.id, planned.id), _said(wait, needed_s)) if wait.is_open else None
    wait = linger(workspace, wait.id, (needed_s - wait.watched_s) / workspace.clock.speed, show=_Progress(bar, needed_s))
    if wait.is_open:
        return Waiting("soak", _said(wait, needed_s), wait.id)
    return Done(_said(wait, needed_s), {"watched_s": wait.watched_s})


class _Progress:
    """Moves the bar when a whole percent was gained."""

    def __init__(self, bar: UUID | None, needed_s: float) -> None:
        self._bar, self._needed_s, self._shown = bar, needed_s, -1

    def __call__(self, wait: Wait) -> None:
        percent = int(100 * min(1.0, wait.watched_s / self._needed_s)) if self._needed_s else 100
        if percent // 10 > self._shown // 10:
            self._shown = percent
            set_progress(self._bar, percent, _said(wait, self._needed_s))


def _said(wait: Wait, needed_s: float) -> str:
    return f"watched {format_duration(min(round(wait.watched_s), needed_s))} of {format_duration(needed_s)}"


soak = step_task("soak", run)
