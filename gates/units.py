"""Units as the plan writes them: `700ms`, `0.75%`, `2pp`, `10/h`, `5x`; durations `90s`, `60m`, `4h`, `2d`, `2w`.

A quantity keeps its unit; it is converted into the metric's unit when a condition is bound to a metric, and a mismatch is
an error there, with both units in the message.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, PydanticSerializationUnexpectedValue, core_schema

SECONDS_PER = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_TIME = {"us": Fraction(1, 10**6), **{unit: Fraction(str(size)) for unit, size in SECONDS_PER.items()}}

LONGEST_S = 1e13
"""Longer than the longest timedelta; nothing but a broken clock measures such a time."""

# dimension -> unit -> size of the unit in the dimension's own base; exact, so that 2.9% is 0.029 and not a hair less
_DIMENSIONS: dict[str, dict[str, Fraction]] = {
    "ratio": {"ratio": Fraction(1), "%": Fraction(1, 100)},
    "time": _TIME,
    "rate": {f"/{unit}": 1 / size for unit, size in _TIME.items() if unit not in ("us", "ms")},
    "size": {
        **{unit: Fraction(1000**power) for power, unit in enumerate(("B", "KB", "MB", "GB", "TB"))},
        **{unit: Fraction(1024**power) for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1)},
    },
    "multiple": {"x": Fraction(1)},
    "count": {"count": Fraction(1)},
    "number": {"": Fraction(1)},
    "points": {"pp": Fraction(1, 100)},
}
CATEGORY = "category"
"""The unit of a metric whose samples are words."""

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)")
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


class UnitError(ValueError):
    """Two units that do not measure the same thing, or one that is not known where it has to be."""


def parse_duration(text: object) -> timedelta:
    """`90s`, `60m`, `4h`, `2d`, `2w`, `1h30m` to a timedelta; a bare `0` is zero. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    written = str(text).strip()
    if written == "0":
        return timedelta(0)
    parts = _DURATION_PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ValueError(f"{written!r} is not a duration: write 90s, 60m, 4h, 2d, 2w or 1h30m")
    try:
        return timedelta(seconds=sum(float(number) * SECONDS_PER[unit] for number, unit in parts))
    except OverflowError:
        raise ValueError(f"{written!r} is too long for a duration: the longest is 999999999d") from None


def format_duration(span: timedelta | float) -> str:
    """The shortest exact form: 5400 s is `1h30m`, 0.25 s is `250ms`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    if not seconds < LONGEST_S:
        return f"{seconds:g}s"
    rest, parts = round(seconds, 3), []
    for unit in ("w", "d", "h", "m"):
        size = SECONDS_PER[unit]
        if unit == "w" and rest % size:
            continue
        if whole := int(rest // size):
            parts.append(f"{whole}{unit}")
            rest -= whole * size
    if rest:
        parts.append(f"{rest:g}s")
    return "".join(parts)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(0|(\d+(\.\d+)?(ms|s|min|m|h|d|w))+)$", "examples": ["60m", "2d"]}),
]


def dimension(unit: str) -> str:
    """What a unit measures; a unit that is not in the table (`USD`, `h/week`) is a dimension of its own."""
    for name, units in _DIMENSIONS.items():
        if unit in units:
            return name
    return unit


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, as written: `0.75%` is Quantity(0.75, "%")."""

    value: float
    unit: str = ""

    @classmethod
    def parse(cls, text: object) -> "Quantity":
        """From `700ms`, `0.75%`, `-2pp`, `10/h` or a bare number. Raises ValueError."""
        if isinstance(text, Quantity):
            return text
        if isinstance(text, bool) or text is None:
            raise ValueError(f"{text!r} is not a quantity: write a number with its unit, such as 700ms or 0.75%")
        if isinstance(text, int | float):
            return cls(_finite(_float(text), text))
        match = _QUANTITY.fullmatch(str(text))
        if match is None:
            raise ValueError(f"{str(text)!r} is not a quantity: write a number with its unit, such as 700ms or 0.75%")
        return cls(_finite(float(match[1]), text), match[2])

    def to(self, unit: str) -> float:
        """The value in `unit`. A bare number is taken in that unit as it is. Raises UnitError on a mismatch."""
        if self.unit in ("", unit):
            return self.value
        return _converted(self.value, self.unit, unit)

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(_written)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["700ms", "0.75%", "10/h"]}


def _written(amount: object) -> str:
    if not isinstance(amount, Quantity):
        raise PydanticSerializationUnexpectedValue(f"{amount!r} is not a quantity")
    return f"{amount.value!r}{amount.unit}" if float(f"{amount.value:g}") != amount.value else str(amount)


def _float(written: int | float) -> float:
    try:
        return float(written)
    except OverflowError:
        return math.inf


def _finite(value: float, written: object) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{written!r} is not a finite number")
    return value


@lru_cache(maxsize=4096)
def _converted(value: float, written: str, wanted: str) -> float:
    for sizes in _DIMENSIONS.values():
        if written in sizes and wanted in sizes:
            return float(Fraction(repr(value)) * sizes[written] / sizes[wanted])
    mine, theirs = dimension(written), dimension(wanted)
    raise UnitError(f"{value:g}{written} is in {written!r} ({mine}), but the metric is in {wanted!r} ({theirs})")


def show(value: float, unit: str, *, digits: int = 4) -> str:
    """A measured value for people: significant digits and the unit; a ratio is shown in percent, a count is a number."""
    if unit == "ratio":
        return f"{_plain(value * 100, digits)} %"
    return f"{_plain(value, digits)} {'' if unit == 'count' else unit}".rstrip()


_PLAIN_BELOW = 1e15


def _plain(value: float, digits: int) -> str:
    """Without an exponent up to 1e15 and without a minus before zero, as people write numbers."""
    text = f"{value + 0.0:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < _PLAIN_BELOW else text


def show_pair(left: float, right: float, unit: str) -> tuple[str, str]:
    """Two values with as many digits as it takes to tell them apart: never `700 ms > 700 ms`."""
    for digits in (4, 6, 9, 12):
        pair = show(left, unit, digits=digits), show(right, unit, digits=digits)
        if left == right or pair[0] != pair[1]:
            return pair
    return show(left, unit, digits=17), show(right, unit, digits=17)
