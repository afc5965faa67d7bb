"""Rollouts that cannot be watched: for how long, and who was told. By the watch's own steady clock."""

from dataclasses import dataclass, field
from datetime import timedelta

from tasks.notify import tell
from tasks.workspace import Workspace

PAGES_AFTER = timedelta(seconds=60)


@dataclass
class Blindness:
    """What one watch knows of it. A source that cannot be asked never rolls back and never promotes; it pages once when it
    lasts for `pages_after`."""

    pages_after: timedelta = PAGES_AFTER
    since: dict[str, float] = field(default_factory=dict)
    """The rollouts that are blind now, each from when on."""
    _seeing_since: dict[str, float] = field(default_factory=dict)
    _paged: set[str] = field(default_factory=set)

    def note(self, workspace: Workspace, why: str, steady_s: float) -> None:
        """How it is at this tick: `why` it cannot be watched, empty when it is."""
        rollout_id = workspace.rollout.id
        if not why:
            self.since.pop(rollout_id, None)
            if rollout_id in self._paged:
                self._note_sight(workspace, steady_s)
            return
        self._seeing_since.pop(rollout_id, None)
        since_s = self.since.setdefault(rollout_id, steady_s)
        if steady_s - since_s >= self.pages_after.total_seconds() and rollout_id not in self._paged:
            self._paged.add(rollout_id)
            holds = f"{why}; it holds at {workspace.rollout.weight_percent or 0} %"
            tell(workspace, "page", "cannot be watched", holds, cause="blind")

    def _note_sight(self, workspace: Workspace, steady_s: float) -> None:
        """Say that it is over once it has been over for as long as it took to page: a source that flutters pages once."""
        rollout_id = workspace.rollout.id
        since_s = self._seeing_since.setdefault(rollout_id, steady_s)
        if steady_s - since_s >= self.pages_after.total_seconds():
            self._paged.discard(rollout_id)
            self._seeing_since.pop(rollout_id, None)
            tell(workspace, "info", "is watched again", f"at {workspace.rollout.weight_percent or 0} %")
