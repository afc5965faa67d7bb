"""What an amount of a comparison means by its unit, and whether it fits the metric; see the table in `comparison`.

Numbers are taken as the decimals they are written as, and compared without rounding.
"""

import sys
from decimal import Decimal
from fractions import Fraction

from gates.units import Quantity, UnitError, dimension

_LARGEST = sys.float_info.max


def limit_of(amount: Quantity, reference: float, unit: str) -> Fraction:
    """The limit of the difference from the reference or, for a multiple, of the value. Raises UnitError."""
    match amount.unit:
        case "pp":
            return exact(Quantity(amount.value, "%").to(unit))
        case "%":
            return exact(amount.value) / 100 * abs(exact(reference))
        case "x":
            return exact(amount.value) * exact(reference)
        case _:
            return exact(amount.to(unit))


def exact(value: float) -> Fraction:
    """The decimal as people read it, so that 0.011 is exactly 0.001 above 0.010."""
    # Fraction reads a decimal at a third of the speed.
    return Fraction(*Decimal(repr(min(max(value, -_LARGEST), _LARGEST))).as_integer_ratio())


def rounded(number: Fraction) -> float:
    """The nearest float; beyond the largest it is the largest."""
    try:
        return float(number)
    except OverflowError:
        return _LARGEST if number > 0 else -_LARGEST


def misfit(amount: Quantity, unit: str, *, relative: bool) -> str | None:
    """Why the amount cannot bound a comparison of a metric in `unit`, or None when it can."""
    ratio = dimension(unit) == "ratio"
    match amount.unit:
        case "pp":
            return (
                None
                if ratio
                else f"{amount} is in points, for a ratio only, but the metric is in {unit!r}; write {amount.value:g}%"
            )
        case "%":
            if ratio and not relative:
                points = f"{amount.value:g}pp"
                return f"{amount} of a ratio is ambiguous: write {points}, or relative: true for a share of the reference"
            return None
        case "x":
            return None
        case "" if relative:
            return f"{amount} with relative: true is ambiguous: write {amount.value * 100:g}%"
        case _:
            try:
                amount.to(unit)
            except UnitError as error:
                return str(error)
            return None
