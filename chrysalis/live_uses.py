"""Every condition of a plan with its place, and whether it could ever pass and ever fail, as far as its metric's unit says.

A ratio lies between 0 and 1; a time, a size, a count, a rate or a multiple is not below 0. A bound outside of that is one
that every measurement keeps, or none does: such a gate decides nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from chrysalis.plan import Plan
from chrysalis.plan.parts import Metric
from gates.bound import Bounded
from gates.burn_rate import BurnRate
from gates.combine import All, Any_, AtLeast
from gates.comparison import Comparison
from gates.condition import Condition
from gates.count import Count
from gates.incidents import IncidentFree, Stable
from gates.observation import Selector
from gates.statistic import rate_unit
from gates.threshold import Threshold
from gates.trend import Trend
from gates.trigger import Trigger
from gates.units import Quantity, UnitError, dimension, show
from gates.window import COVERAGE

_NOT_BELOW_0 = ("time", "rate", "size", "multiple", "count")


@dataclass(frozen=True, slots=True)
class Use:
    """A condition that is not made of others, where it stands, and whether it states a breach."""

    where: str
    condition: Condition
    breach: bool


def uses(plan: Plan) -> Iterator[Use]:
    """All of them: of triggers, gates, soaks, ladders, rollbacks and operations."""
    return _inside(plan, "", breach=False)


def range_of(unit: str) -> tuple[float, float]:
    """The lowest and the highest value that something in this unit can have."""
    if unit == "ratio":
        return 0.0, 1.0
    return (0.0 if dimension(unit) in _NOT_BELOW_0 else float("-inf")), float("inf")


def pointless(use: Use, metrics: Mapping[str, Metric]) -> str | None:
    """Why the condition could never fail or never pass, by its bound alone; None when it could do both."""
    condition = use.condition
    if not isinstance(condition, Threshold | Count) or condition.metric not in metrics:
        return None
    unit = metrics[condition.metric].unit
    lowest, highest = range_of(unit)
    if isinstance(condition, Threshold) and condition.statistic == "rate":
        unit, lowest, highest = rate_unit(unit), 0.0, float("inf")
    if (isinstance(condition, Threshold) and condition.statistic == "sum") or isinstance(condition, Count):
        highest = float("inf")
    try:
        low, high = limits(condition, unit)
    except UnitError:
        return None
    strictly = condition.bound_kind in ("above", "below")
    never_passes = low > highest or high < lowest or (strictly and (low == highest or high == lowest))
    never_fails = (low < lowest or (low == lowest and not strictly)) and (
        high > highest or (high == highest and not strictly)
    )
    if not (never_passes or never_fails):
        return None
    kind, words = condition.bound_kind.replace("_", " "), f"{show(lowest, unit)} to {show(highest, unit)}"
    amounts = condition.between or (getattr(condition, condition.bound_kind),)
    bound = f"{kind} {' to '.join(str(amount) for amount in amounts)}"
    return f"{condition.metric} {bound}: in {unit!r} it lies from {words}, so this {outcome(use, passes=never_fails)}"


def outcome(use: Use, *, passes: bool) -> str:
    """What it means that a condition always passes, or never does."""
    if use.breach:
        return "would always fire" if passes else "could never fire"
    return "could never fail" if passes else "could never pass"


def limits(condition: Bounded, unit: str) -> tuple[float, float]:
    """The lowest and the highest value that keeps the bound, infinite where there is none. Raises UnitError."""
    if condition.between is not None:
        return condition.between[0].to(unit), condition.between[1].to(unit)
    amount: Quantity = getattr(condition, condition.bound_kind)
    if condition.bound_kind in ("above", "at_least"):
        return amount.to(unit), float("inf")
    return float("-inf"), amount.to(unit)


def selectors(condition: Condition) -> Iterator[tuple[Selector, float]]:
    """What it looks at and how far back (seconds), recorded baselines aside."""
    for need in condition.needs():
        if need.selector.baseline is None:
            yield need.selector, need.window_s


def fewest_samples(condition: Condition, window_s: float, interval_s: float) -> float:
    """How many samples of its window there must be, at least, so that it can pass or, as a breach, be there."""
    expected = COVERAGE * window_s / interval_s
    match condition:
        case Threshold(held=held) if held is not None:
            return max(expected, condition.min_samples)
        case Trend():
            return max(expected, condition.min_samples)
        case IncidentFree() | Stable():
            return expected
        case BurnRate(is_="within_budget"):
            return expected
        case Count() if condition.over is not None and condition.bound_kind not in ("above", "at_least"):
            return expected
        case Threshold() | Comparison():
            return condition.min_samples if condition.over is not None else 1
        case _:
            return float(getattr(condition, "min_samples", 1)) if window_s > interval_s else 1


def _inside(part: Any, where: str, *, breach: bool) -> Iterator[Use]:
    match part:
        case All() | Any_() | AtLeast():
            for inner in part.of:
                yield from _inside(inner, where, breach=breach)
        case Condition():
            yield Use(f"{where}: {part.name}" if part.name else where, part, breach)
        case Trigger():
            yield from _inside(part.when, where, breach=True)
            yield from _inside(part.recover, f"{where}.recover", breach=False)
        case BaseModel():
            for name in type(part).model_fields:
                yield from _inside(getattr(part, name), f"{where}.{name}" if where else name, breach=breach)
        case Mapping():
            for name, inner in part.items():
                yield from _inside(inner, f"{where}.{name}", breach=breach)
        case tuple() | list():
            for index, inner in enumerate(part):
                named = getattr(inner, "name", None) if not isinstance(inner, Condition) else None
                yield from _inside(inner, f"{where}.{named}" if named else f"{where}[{index}]", breach=breach)
        case _:
            return
