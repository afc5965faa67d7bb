"""What a decision says: a verdict, the reason in words with both operands, and the numbers behind it.

Verdicts form a total order, best to worst: PASS, INCONCLUSIVE, FAIL. Not knowing is never passing: whatever could not be
measured is INCONCLUSIVE, with the reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Verdict(IntEnum):
    """Best to worst, so that `max` is the worst."""

    PASS = 0
    """Evidence was seen, enough of it, and it satisfies the condition."""
    INCONCLUSIVE = 1
    """Not known: no data, too little, stale, not long enough, or the source is out of reach."""
    FAIL = 2
    """Evidence was seen and it contradicts the condition."""


class Mode(StrEnum):
    """How much a condition's verdict counts."""

    BLOCK = "block"
    """Counts."""
    WARN = "warn"
    """Never blocks; what it finds is shown as a warning."""
    DRY_RUN = "dry_run"
    """Never blocks; what it would have said is recorded only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition, judged once.

    `holds_in_s` is the time in seconds of the plan's clock after which an INCONCLUSIVE condition can pass at the earliest
    if nothing gets worse; None where that is not known. `parts` are the findings a combination was made of.
    """

    verdict: Verdict
    reason: str
    name: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    holds_in_s: float | None = None
    mode: Mode = Mode.BLOCK
    parts: tuple["Finding", ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    def as_json(self) -> dict[str, object]:
        """A JSON-ready picture: verdict by name, numbers as they are."""
        return {
            "name": self.name,
            "verdict": self.verdict.name,
            "reason": self.reason,
            "numbers": dict(self.numbers),
            "holds_in_s": self.holds_in_s,
            "mode": self.mode.value,
            "parts": [part.as_json() for part in self.parts],
        }


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict among those that count (`mode` block).

    Raises ValueError when there is none: an empty gate decides nothing, and is an error in the plan.
    """
    counted = [finding.verdict for finding in findings if finding.mode is Mode.BLOCK]
    if not counted:
        raise ValueError("no condition that counts: a gate needs at least one with mode block")
    return max(counted)
