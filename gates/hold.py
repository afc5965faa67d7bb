"""How long something has been true, evaluation by evaluation: the clock behind triggers, recoveries and ladders.

It starts at the first true evaluation and is reset by one false one. Each true evaluation counts the time since the
evaluation before it; one without data counts none, and neither does time when nobody evaluated (more than `max_gap_s`).
Without such gaps the time held is exactly now minus the first true evaluation, which is Prometheus's `for`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

ROUNDING_S = 1e-6
"""Unix seconds as float64 are exact to a quarter of a microsecond."""


@dataclass(frozen=True, slots=True)
class Hold:
    """True since `since_s` (unix seconds); `uncounted_s` of the time after it does not count."""

    since_s: float
    uncounted_s: float = 0.0

    def held_s(self, now_s: float) -> float:
        """The time that counts, up to the evaluation at `now_s`."""
        return max(0.0, now_s - self.since_s - self.uncounted_s)

    def reached(self, for_s: float, now_s: float) -> bool:
        """Whether it has been true for at least `for_s`."""
        return self.held_s(now_s) >= for_s - ROUNDING_S

    def as_json(self) -> dict[str, float]:
        """For the ledger."""
        return {"since_s": self.since_s, "uncounted_s": self.uncounted_s}

    @classmethod
    def from_json(cls, kept: object) -> "Hold | None":
        """What `as_json` gave; None is no hold. Raises ValueError."""
        if kept is None:
            return None
        if not isinstance(kept, Mapping):
            raise ValueError(f"{kept!r} is not a hold: {{since_s, uncounted_s}} is needed")
        return cls(finite(kept, "since_s"), finite(kept, "uncounted_s"))


def advance(hold: Hold | None, truth: bool | None, *, now_s: float, last_s: float | None, max_gap_s: float) -> Hold | None:
    """The hold after an evaluation at `now_s`, the one before having been at `last_s`; None when it does not hold."""
    if truth is False:
        return None
    if hold is None or last_s is None:
        return Hold(now_s) if truth else hold
    passed_s = now_s - last_s
    if truth and 0 <= passed_s <= max_gap_s + ROUNDING_S:
        return hold
    return Hold(hold.since_s, hold.uncounted_s + passed_s)


def finite(kept: Mapping[str, object], name: str) -> float:
    """The finite number kept under `name`. Raises ValueError."""
    value = kept.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name} is {value!r}, a finite number is needed")
    return float(value)
