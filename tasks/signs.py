"""How long a rollout's process has been silent, by the watch's own steady clock.

The processes write down when they were last alive by the wall clock, which may be set while they run. So the watch looks at
whether that sign changes, and counts from the last change that it saw itself; the wall clock counts only at first sight.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Signs:
    """The signs of life seen by one watch."""

    _seen: dict[str, tuple[datetime, float]] = field(default_factory=dict)

    def silence(self, rollout_id: str, sign: datetime, *, now: datetime, steady_s: float) -> timedelta:
        """Since when nothing has changed. `sign` is the last one by the wall clock `now`, `steady_s` the steady clock."""
        known = self._seen.get(rollout_id)
        if known is None or known[0] != sign:
            first_sight_s = max(0.0, (now - sign).total_seconds()) if known is None else 0.0
            known = (sign, steady_s - first_sight_s)
            self._seen[rollout_id] = known
        return timedelta(seconds=steady_s - known[1])

    def keep(self, rollout_ids: set[str]) -> None:
        """Forget all others."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in rollout_ids}
