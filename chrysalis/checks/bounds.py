"""Holds one measured number, or word, against a bound of the checklist; units are converted, NaN passes nothing."""

import math

from chrysalis.checks.result import NotKnown, Verdict
from chrysalis.plan.checklist import Measured
from gates.units import Quantity, show_pair

_HOLDS = {
    "above": lambda value, bound: value > bound,
    "below": lambda value, bound: value < bound,
    "at_least": lambda value, bound: value >= bound,
    "at_most": lambda value, bound: value <= bound,
}
_WORDS = {"above": "more than", "below": "less than", "at_least": "at least", "at_most": "at most"}


def compare(what: str, value: float, kind: str, bound: Quantity, unit: str) -> Verdict:
    """`value` in `unit` against a bound called `above`, `below`, `at_least` or `at_most`. Raises NotKnown for NaN."""
    limit = bound.to(unit) if unit else bound.value
    if math.isnan(value):
        raise NotKnown(f"{what} is NaN, which is no measurement")
    found, expected = show_pair(value, limit, unit)
    return Verdict(_HOLDS[kind](value, limit), f"{what} {found}", f"{_WORDS[kind]} {expected}")


def compare_measured(what: str, value: float | str, spec: Measured) -> Verdict:
    """A query's one value against the one bound that the item has. Raises NotKnown."""
    if spec.equals is not None:
        return Verdict(_same(value, spec.equals), f"{what} {_shown(value)}", f"{_shown(spec.equals)}")
    kind = next(name for name in _HOLDS if getattr(spec, name) is not None)
    if isinstance(value, str):
        raise NotKnown(f"{what} is the word {value!r}, and a bound needs a number")
    return compare(what, value, kind, getattr(spec, kind), spec.unit)


def _same(value: float | str, wanted: str | int | float | bool) -> bool:
    if isinstance(wanted, str) or isinstance(value, str):
        return str(value).casefold() == str(wanted).casefold()
    return value == float(wanted)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
