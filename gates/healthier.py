"""Which side of a breach is worse off: traffic is not taken off a sick canary onto a stable side that is sicker.

The breach condition is judged once more with the stable side's series in place of the canary's. Only numbers against a bound
can be told apart: stable is sicker when it breaks such a bound by more than the canary does, and the canary breaks none by
more than stable. What is not known holds nothing back.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gates.combine import judge_one
from gates.condition import Condition
from gates.observation import Need, Observations, Selector, Series, Unavailable
from gates.verdict import Finding


class Sicker(NamedTuple):
    """One bound that stable breaks by more than the canary: what was found on each side."""

    canary: Finding
    stable: Finding


def needs_of_both(conditions: Sequence[Condition]) -> tuple[Need, ...]:
    """What the conditions look at of the canary now, and the same of stable."""
    canary = [need for condition in conditions for need in condition.needs()]
    stable = [Need(_stable(need.selector), need.window_s) for need in canary if _of_canary(need.selector)]
    return tuple(dict.fromkeys([*canary, *stable]))


def stable_is_sicker(breaches: Sequence[Condition], observations: Observations, now_s: float) -> Sicker | None:
    """The bound by which stable is worse off by most; None where it is not, or where that cannot be told."""
    mirrored = _mirrored(observations)
    sicker: list[tuple[float, Sicker]] = []
    for breach in breaches:
        if not any(_of_canary(need.selector) for need in breach.needs()):
            continue
        pairs = zip(
            _leaves(judge_one(breach, observations, now_s)), _leaves(judge_one(breach, mirrored, now_s)), strict=True
        )
        for canary, stable in pairs:
            beyond_canary, beyond_stable = _beyond(canary), _beyond(stable)
            if beyond_canary > beyond_stable:
                return None
            if beyond_stable > beyond_canary:
                sicker.append((beyond_stable - beyond_canary, Sicker(canary, stable)))
    return max(sicker, key=lambda one: one[0])[1] if sicker else None


def _of_canary(selector: Selector) -> bool:
    return selector.side == "canary" and selector.baseline is None


def _stable(selector: Selector) -> Selector:
    return selector._replace(side="stable")


def _mirrored(observations: Observations) -> Mapping[Selector, Series | Unavailable]:
    absent = Unavailable("not measured on the stable side")
    of_stable = {one: observations.get(_stable(one), absent) for one in observations if _of_canary(one)}
    return {**observations, **of_stable}


def _leaves(finding: Finding) -> Iterator[Finding]:
    if not finding.parts:
        yield finding
    for part in finding.parts:
        yield from _leaves(part)


def _beyond(finding: Finding) -> float:
    """By how much of its limit a bound that states the breach is exceeded; 0 where there is no breach or no number."""
    value, limit = finding.numbers.get("value"), finding.numbers.get("limit")
    if not finding.passed or value is None or limit is None:
        return 0.0
    return abs(value - limit) / abs(limit) if limit else abs(value)
