"""Units as the plan writes them: `700ms`, `0.75%`, `2pp`, `10/h`, `5x`; durations `90s`, `60m`, `4h`, `2d`, `2w`.

A quantity keeps its unit; it is converted into the metric's unit when a condition is bound to a metric, and a mismatch is
an error there, with both units in the message.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

SECONDS_PER = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

# dimension -> unit -> size of the unit in the dimension's own base
_DIMENSIONS: dict[str, dict[str, float]] = {
    "ratio": {"ratio": 1.0, "%": 0.01},
    "time": {"us": 1e-6, **SECONDS_PER},
    "rate": {"/s": 1.0, "/m": 1 / 60, "/min": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400, "/w": 1 / 604800},
    "size": {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "multiple": {"x": 1.0},
    "count": {"count": 1.0},
    "number": {"": 1.0},
    "points": {"pp": 0.01},
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
    return timedelta(seconds=sum(float(number) * SECONDS_PER[unit] for number, unit in parts))


def format_duration(span: timedelta | float) -> str:
    """The shortest exact form: 5400 s is `1h30m`, 0.25 s is `250ms`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
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
            return cls(float(text))
        match = _QUANTITY.fullmatch(str(text))
        if match is None:
            raise ValueError(f"{str(text)!r} is not a quantity: write a number with its unit, such as 700ms or 0.75%")
        return cls(float(match[1]), match[2])

    def to(self, unit: str) -> float:
        """The value in `unit`. A bare number is taken in that unit as it is. Raises UnitError on a mismatch."""
        if self.unit in ("", unit):
            return self.value
        mine, theirs = dimension(self.unit), dimension(unit)
        if mine != theirs:
            raise UnitError(f"{self} is in {self.unit!r} ({mine}), but the metric is in {unit!r} ({theirs})")
        sizes = _DIMENSIONS[mine]
        return self.value * sizes[self.unit] / sizes[unit]

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["700ms", "0.75%", "10/h"]}


def show(value: float, unit: str) -> str:
    """A measured value for people: four significant digits and the unit; a ratio is shown in percent."""
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    return f"{value:.4g} {unit}".rstrip()
