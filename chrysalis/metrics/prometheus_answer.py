"""Reads what Prometheus answered: JSON in, arrays out. Pure, and the only place that knows the answer's form.

Whatever is not a full answer is a QueryError or a SourceUnavailable: an error status, a body that is no JSON, a warning
(Prometheus and Thanos add one when a part of the data could not be read), a histogram or a string where numbers are
expected. Values are kept as they are, NaN and infinities included, and so are times, however old.
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from chrysalis.errors import QueryError, SourceUnavailable
from gates.observation import FloatArray, Series

SHOWN_CHARACTERS = 200
SHOWN_SERIES = 3
_QUERY_IS_WRONG = frozenset({400, 422})
_HARMLESS = "PromQL info:"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The samples by label set, as (times, values) pieces in the order they were asked."""

    pieces: Mapping[Labels, Sequence[tuple[FloatArray, FloatArray]]] = field(default_factory=dict)

    def joined(self, other: "Answer") -> "Answer":
        """Both pages as one answer."""
        labels = dict.fromkeys([*self.pieces, *other.pieces])
        return Answer({one: [*self.pieces.get(one, ()), *other.pieces.get(one, ())] for one in labels})

    def series(self, *, unit: str, interval_s: float) -> Series:
        """The one series there is; an empty one where nothing was measured. Raises QueryError for several."""
        if len(self.pieces) > 1:
            raise QueryError(_several(list(self.pieces)))
        pieces = next(iter(self.pieces.values()), ())
        if len(pieces) == 1 and pieces[0][0].size == 1 and isfinite(pieces[0][0][0]) and isfinite(pieces[0][1][0]):
            return Series(*pieces[0], unit, interval_s)
        times = np.concatenate([piece[0] for piece in pieces]) if pieces else np.empty(0)
        values = np.concatenate([piece[1] for piece in pieces]) if pieces else np.empty(0)
        return Series.from_arrays(times, values, unit=unit, interval_s=interval_s)

    def by_labels(self, names: Sequence[str], *, without: Container[str] = ()) -> "dict[tuple[str, ...], Answer]":
        """One answer for each combination of the values of some labels; `without` are labels that it loses.

        Raises QueryError where a series lacks one of them.
        """
        found: dict[tuple[str, ...], dict[Labels, Sequence[tuple[FloatArray, FloatArray]]]] = {}
        for labels, pieces in self.pieces.items():
            values = dict(labels)
            try:
                key = tuple([values[name] for name in names])
            except KeyError as error:
                raise QueryError(f"query error: the answer has a series {_shown(labels)} without {error.args[0]}") from None
            kept = tuple([label for label in labels if label[0] not in without])
            found.setdefault(key, {})[kept] = pieces
        return {key: Answer(grouped) for key, grouped in found.items()}


def check(status: int, body: bytes) -> None:
    """Raises QueryError or SourceUnavailable unless this is a full, successful answer."""
    if status == 200:
        if b'"warnings"' in body:
            _check_warnings(_parsed(status, body))
        return
    try:
        message = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        message = _start(body)
    if status in _QUERY_IS_WRONG:
        raise QueryError(f"query error: {message}")
    raise SourceUnavailable(f"answered {status}: {message}")


def parse(status: int, body: bytes) -> Answer:
    """The samples of a `query` or `query_range` answer. Raises QueryError, SourceUnavailable."""
    check(status, body)
    try:
        data = _parsed(status, body)["data"]
        kind, result = data["resultType"], data["result"]
    except (KeyError, TypeError) as error:
        raise SourceUnavailable(f"answered {status} with something that is no Prometheus answer: {_start(body)}") from error
    match kind:
        case "vector" | "matrix":
            return from_result(result)
        case "scalar":
            return from_result([{"metric": {}, "value": result}])
        case _:
            raise QueryError(f"query error: the answer is a {kind}, expected numbers over time")


def from_result(result: Any) -> Answer:
    """The samples of the list under `data.result`. Raises QueryError for histograms, SourceUnavailable for no such list."""
    pieces: dict[Labels, list[tuple[FloatArray, FloatArray]]] = {}
    try:
        for row in result:
            labels: Labels = tuple(sorted(row["metric"].items()))
            if "histogram" in row or "histograms" in row:
                raise QueryError(
                    f"query error: {_shown(labels)} is a native histogram; use histogram_quantile() or the like"
                )
            points = row["values"] if "values" in row else [row["value"]]
            pieces.setdefault(labels, []).append(_arrays(points))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SourceUnavailable(f"the answer cannot be read ({type(error).__name__}: {error})") from error
    return Answer(pieces)


def _arrays(points: Sequence[Sequence[Any]]) -> tuple[FloatArray, FloatArray]:
    times = np.array([point[0] for point in points], dtype=np.float64)
    values = np.array([float(point[1]) for point in points], dtype=np.float64)
    return times, values


def _parsed(status: int, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise SourceUnavailable(f"answered {status} with something that is no JSON: {_start(body)}") from error


def _check_warnings(answer: Any) -> None:
    warnings = answer.get("warnings") if isinstance(answer, dict) else None
    counted = [str(one) for one in warnings or () if not str(one).startswith(_HARMLESS)]
    if counted:
        raise SourceUnavailable(f"answered in part only, with warnings: {'; '.join(counted)[:SHOWN_CHARACTERS]}")


def _several(all_labels: list[Labels]) -> str:
    names = sorted({name for labels in all_labels for name, _ in labels})
    differing = [name for name in names if len({dict(labels).get(name) for labels in all_labels}) > 1]
    shown = ", ".join(_shown(labels) for labels in all_labels[:SHOWN_SERIES])
    more = f" and {len(all_labels) - SHOWN_SERIES} more" if len(all_labels) > SHOWN_SERIES else ""
    return (
        f"query error: {len(all_labels)} series where one is expected; they differ in {', '.join(differing)} "
        f"({shown}{more}); choose one or aggregate, such as sum(...)"
    )


def _shown(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"


def _start(body: bytes) -> str:
    return " ".join(body[:SHOWN_CHARACTERS].decode(errors="replace").split()) or "an empty body"
