"""A bound on a measured number: above, below, at least, at most, or between two; the plan names exactly one.

`between` includes both ends. Shared by every condition that measures a number, so that all of them compare, convert units
and explain themselves in the same way.
"""

from fractions import Fraction
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from gates.condition import Condition, Truths
from gates.observation import FloatArray
from gates.units import Quantity, UnitError, show, show_pair

_KINDS = ("above", "below", "at_least", "at_most", "between")
_SIGN = {"above": ("<=", ">"), "below": (">=", "<"), "at_least": ("<", ">="), "at_most": (">", "<=")}


class Compared(NamedTuple):
    """Whether the bound is kept, in words with both operands, and the limits in the measured unit."""

    kept: bool
    words: str
    limits: dict[str, float]


class Bounded(Condition):
    """A condition with one bound, written in any unit of the dimension that is measured."""

    above: Quantity | None = None
    below: Quantity | None = None
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    between: tuple[Quantity, Quantity] | None = Field(default=None, description="the lowest and the highest, both allowed")

    @model_validator(mode="after")
    def _exactly_one_bound(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"exactly one of {', '.join(_KINDS)} is needed, found {found}")
        if self.between is not None and self.between[0].unit == self.between[1].unit:
            low, high = self.between
            if low.value > high.value:
                raise ValueError(f"between: [{low}, {high}] allows nothing, the first is above the second")
        return self

    def bound_problems(self, unit: str, what: str) -> list[str]:
        """Why the bound does not fit a number in `unit`; empty when it does."""
        try:
            low, high = self._limits(unit)
        except UnitError as error:
            return [f"{what}: {error}"]
        if low > high:
            return [f"{what}: between allows nothing, {show(low, unit)} is above {show(high, unit)}"]
        return []

    def compare(self, value: float, unit: str, what: str) -> Compared:
        """Hold `value` (in `unit`) against the bound. Raises UnitError where the units do not fit."""
        low, high = self._limits(unit)
        if self.between is not None:
            kept = low <= value <= high
            shown, lower = show_pair(value, low, unit)
            other, upper = show_pair(value, high, unit)
            shown = max(shown, other, key=len)
            return Compared(
                kept, f"{what} {shown} {'in' if kept else 'not in'} {lower} to {upper}", {"low": low, "high": high}
            )
        kind = next(kind for kind in _KINDS if getattr(self, kind) is not None)
        limit = high if kind in ("below", "at_most") else low
        kept = keeps(kind, value, limit)
        shown, against = show_pair(value, limit, unit)
        return Compared(kept, f"{what} {shown} {sign_of(kind, kept=kept)} {against}", {"limit": limit})

    def breaks(self, value: float, unit: str) -> bool:
        """Whether `value` (in `unit`) breaks the bound: `compare` without words. Raises UnitError."""
        low, high = self._limits(unit)
        if self.above is not None:
            return not keeps("above", value, low)
        if self.below is not None:
            return not keeps("below", value, high)
        return not low <= value <= high

    def keeps_each(self, values: FloatArray, unit: str) -> Truths:
        """Whether each of `values` (in `unit`) keeps the bound; NaN keeps none. Raises UnitError as `compare`."""
        low, high = self._limits(unit)
        match self.bound_kind:
            case "above":
                return values > low
            case "below":
                return values < high
            case _:
                return (values >= low) & (values <= high)

    def _limits(self, unit: str) -> tuple[float, float]:
        if self.between is not None:
            return self.between[0].to(unit), self.between[1].to(unit)
        low = self.above if self.above is not None else self.at_least
        high = self.below if self.below is not None else self.at_most
        return (
            low.to(unit) if low is not None else float("-inf"),
            high.to(unit) if high is not None else float("inf"),
        )

    @property
    def bound_kind(self) -> str:
        """Which of the five was written."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)


def sign_of(kind: str, *, kept: bool) -> str:
    """How a value stands to its bound, to be written between them: `<`, or `> at most` where a limit is broken."""
    sign = _SIGN[kind][kept]
    return sign if kept or kind in ("above", "below") else f"{sign} {kind.replace('_', ' ')}"


def keeps(kind: str, value: float | Fraction, limit: float | Fraction) -> bool:
    """Whether `value` keeps a one-sided bound; NaN keeps none."""
    match kind:
        case "above":
            return value > limit
        case "below":
            return value < limit
        case "at_least":
            return value >= limit
        case "at_most":
            return value <= limit
        case _:
            raise ValueError(f"unknown bound {kind!r}: one of above, below, at_least, at_most")
