"""How much of each open wait one watch has watched: by a steady clock, at most so long at once, and no moment twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chrysalis.ledger import Wait


@dataclass
class WatchedTime:
    """The time between the ticks of one watch. A tick may fail half way: what the ledger took of it by then is counted."""

    most_gap_s: float
    """Real seconds; more than this between two ticks was not watched."""
    steady_s: float = 0.0
    """Real seconds of this tick by the steady clock, from the watch's beginning."""
    _passed_s: float = 0.0
    _last: datetime | None = None
    """The wall clock at the last tick that came to its end; none before the first one, and none without the lease."""
    _last_steady_s: float = 0.0
    _tried: datetime | None = None
    """The wall clock of the tick that has begun and not come to its end."""
    _failed: dict[datetime, float] = field(default_factory=dict)
    """Of the ticks since the last one that did, by their wall clock: the time that had passed, by the steady clock."""
    _known: frozenset[int] = frozenset()
    """The waits that the last tick counted."""
    _looked_at: frozenset[int] = frozenset()

    def begin(self, now: datetime, passed_s: float | None) -> None:
        """A tick begins. `passed_s` is the time since the last one that came to its end, by a steady clock; without it the
        wall clock's `now` is believed."""
        if passed_s is None:
            passed_s = 0.0 if self._last is None else max(0.0, (now - self._last).total_seconds())
        if self._tried is not None:
            self._failed[self._tried] = self._passed_s
        self._tried, self._passed_s = now, passed_s
        self.steady_s = self._last_steady_s + passed_s

    def end(self, now: datetime) -> None:
        """The tick came to its end: what it counted is in the ledger."""
        self._last, self._known = now, self._looked_at
        self._begin_anew()

    def lose(self) -> None:
        """The watch may not look: the next time it may begins with nothing watched."""
        self._last, self._known = None, frozenset()
        self._begin_anew()

    def counts(self, waits: Sequence[Wait], now: datetime) -> list[float]:
        """Real seconds of each wait that were watched since it was last counted: 0 at the first tick.

        Of a wait that the last tick did not know, only what passed since it was opened or another watch looked at it counts,
        which only the wall clock tells. The same holds for one that was opened while the last tick began.
        """
        self._looked_at = frozenset(wait.id for wait in waits if wait.id in self._known or wait.opened_at <= now)
        return [0.0 if self._last is None else min(max(0.0, self._since(wait, now)), self.most_gap_s) for wait in waits]

    def _since(self, wait: Wait, now: datetime) -> float:
        ticked_at = wait.ticked_at or wait.opened_at
        if wait.id in self._known:
            return self._passed_s - self._failed.get(ticked_at, 0.0)
        return min(self._passed_s, (now - max(wait.opened_at, ticked_at)).total_seconds())

    def _begin_anew(self) -> None:
        self._last_steady_s = self.steady_s
        self._tried = None
        self._failed.clear()
