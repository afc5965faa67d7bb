"""Measurements out of a file, for judging without any server: JSON in, what conditions ask for out.

    {"error_rate": {"unit": "ratio", "interval_s": 60, "canary": [[1800000000, 0.01], ...], "stable": [...]}}

A side is `canary`, `stable` or `all`; `baselines` holds recorded ones by name. null and NaN are a sample without a value;
order and duplicates do not matter. `interval_s` is the spacing expected between samples: the median of the spacings seen
where it is left out. A metric with one series only, other than the stable side's, is that of the canary and of all. What
a condition asks for and the file does not hold is not measured.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from chrysalis.errors import MetricError
from gates.condition import MetricFacts
from gates.observation import FloatArray, Need, Observations, Selector, Series, Side
from gates.units import CATEGORY

DEFAULT_INTERVAL_S = 15.0
"""The spacing taken where a metric has fewer than two samples and says none."""
_LAST_S = 1e11
"""In seconds the year 5138, in milliseconds 1973."""
_SIDES: tuple[Side, ...] = ("canary", "stable", "all")
_FIELDS = (*_SIDES, "baselines", "unit", "interval_s")


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """One metric of the file: its series by side, and recorded ones by name."""

    unit: str
    interval_s: float
    sides: Mapping[Side, Series]
    baselines: Mapping[str, Series]

    def asked(self, selector: Selector) -> Series | None:
        """What the selector asks for; None where the file does not have it."""
        if selector.baseline is not None:
            return self.baselines.get(selector.baseline)
        found = self.sides.get(selector.side)
        if found is None and len(self.sides) == 1 and "stable" not in self.sides and selector.side != "stable":
            found = next(iter(self.sides.values()))
        return found if found is None or not selector.offset_s else found.shifted(selector.offset_s)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All metrics of a file, by name."""

    metrics: Mapping[str, MeasuredMetric]

    def observations(self, needs: Iterable[Need]) -> Observations:
        """The series there are for these needs."""
        found: dict[Selector, Series] = {}
        for need in needs:
            metric = self.metrics.get(need.selector.metric)
            series = None if metric is None else metric.asked(need.selector)
            if series is not None:
                found[need.selector] = series
        return found

    def facts(self) -> dict[str, MetricFacts]:
        """What conditions have to fit."""
        return {
            name: MetricFacts(metric.unit, metric.interval_s, "stable" in metric.sides, "neither")
            for name, metric in self.metrics.items()
        }

    def doubts(self) -> list[str]:
        """What can be judged and is hardly meant: times that are no unix seconds of our age."""
        newest = {
            f"{name}.{side}": float(series.times_s[-1])
            for name, metric in self.metrics.items()
            for side, series in metric.sides.items()
            if len(series)
        }
        return [
            f"{where}: found the time {time_s:.0f}, expected unix seconds; are these milliseconds?"
            for where, time_s in newest.items()
            if _LAST_S < time_s < inf
        ]

    def span_s(self, names: Iterable[str]) -> tuple[float, float] | None:
        """The first and the last time of these metrics' samples, baselines aside; None without any."""
        chosen = [self.metrics[name] for name in names if name in self.metrics]
        times = [series.times_s for metric in chosen for series in metric.sides.values() if len(series)]
        return (min(float(one[0]) for one in times), max(float(one[-1]) for one in times)) if times else None


def read_measurements(path: Path) -> Measurements:
    """The measurements of a file. Raises MetricError that says what is wrong and where."""
    return parse_measurements(_json(path), str(path))


def parse_measurements(written: Any, where: str) -> Measurements:
    """The measurements of parsed JSON; `where` is what messages call it. Raises MetricError."""
    if not isinstance(written, Mapping):
        raise MetricError(
            f'{where}: found {_shown(written)}, expected {{"metric": {{"unit": "ratio", "canary": [[unix_s, value]]}}}}'
        )
    return Measurements({str(name): _metric(metric, f"{where}: {_name(name)}") for name, metric in written.items()})


def read_array(path: Path) -> FloatArray:
    """The numbers of a file that holds a JSON array of them; null is NaN. Raises MetricError."""
    written = _json(path)
    if not isinstance(written, list):
        raise MetricError(f"{path}: found {_shown(written)}, expected an array of numbers such as [0.1, null, 0.2]")
    return np.array([_number(value, f"{path}: [{i}]") for i, value in enumerate(written)], dtype=np.float64)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MetricError(f"{path}: cannot be read: {error.strerror}; give the path of a JSON file") from error
    except UnicodeDecodeError as error:
        raise MetricError(f"{path}: is not UTF-8 text, expected JSON") from error
    except (ValueError, RecursionError) as error:
        raise MetricError(f"{path}: is not JSON: {str(error) or type(error).__name__}") from error


def _metric(written: Any, where: str) -> MeasuredMetric:
    if not isinstance(written, Mapping):
        raise MetricError(f"{where}: found {_shown(written)}, expected {{unit, canary, stable}}")
    if unknown := sorted(set(written) - set(_FIELDS)):
        raise MetricError(f"{where}: unknown field {unknown[0]!r}; expected one of {', '.join(_FIELDS)}")
    unit = written.get("unit", "")
    if not isinstance(unit, str):
        raise MetricError(f"{where}.unit: found {_shown(unit)}, expected a word such as ms or ratio")
    baselines = written.get("baselines", {})
    if not isinstance(baselines, Mapping):
        raise MetricError(f"{where}.baselines: found {_shown(baselines)}, expected {{name: [[unix_s, value]]}}")
    words = unit == CATEGORY
    sides = {side: _rows(written[side], f"{where}.{side}", words=words) for side in _SIDES if side in written}
    recorded = {str(name): _rows(rows, f"{where}.baselines.{_name(name)}", words=words) for name, rows in baselines.items()}
    interval_s = _interval_s(written.get("interval_s"), sides.values(), where)
    return MeasuredMetric(
        unit,
        interval_s,
        {side: _series(rows, unit, interval_s) for side, rows in sides.items()},
        {name: _series(rows, unit, interval_s) for name, rows in recorded.items()},
    )


_Rows = list[tuple[float, Any]]


def _rows(written: Any, where: str, *, words: bool) -> _Rows:
    if not isinstance(written, list):
        raise MetricError(f"{where}: found {_shown(written)}, expected a list of [unix_s, value]")
    return [_row(row, f"{where}[{index}]", words=words) for index, row in enumerate(written)]


def _row(row: Any, where: str, *, words: bool) -> tuple[float, Any]:
    if not isinstance(row, list) or len(row) != 2:
        raise MetricError(f"{where}: found {_shown(row)}, expected [unix_s, value]")
    time_s, value = _number(row[0], f"{where}[0]"), row[1]
    if not words:
        return time_s, _number(value, f"{where}[1]")
    if value is not None and not isinstance(value, str):
        raise MetricError(f"{where}[1]: found {_shown(value)}, expected a word or null, as the unit is {CATEGORY!r}")
    return time_s, value or ""


def _number(value: Any, where: str) -> float:
    if value is None:
        return nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MetricError(f"{where}: found {_shown(value)}, expected a number or null")
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def _interval_s(written: Any, sides: Iterable[_Rows], where: str) -> float:
    if written is not None:
        interval_s = _number(written, f"{where}.interval_s")
        if not (isfinite(interval_s) and interval_s > 0):
            raise MetricError(f"{where}.interval_s: found {written}, expected seconds above 0")
        return interval_s
    spacings = [np.diff(np.unique(_times(rows))) for rows in sides]
    together = np.sort(np.concatenate(spacings)) if spacings else np.empty(0)
    return float(together[(together.size - 1) // 2]) if together.size else DEFAULT_INTERVAL_S


def _times(rows: _Rows) -> FloatArray:
    times = np.array([time_s for time_s, _ in rows], dtype=np.float64)
    usable: FloatArray = times[np.isfinite(times)]
    return usable


def _series(rows: Sequence[tuple[float, Any]], unit: str, interval_s: float) -> Series:
    if unit == CATEGORY:
        return Series.of_labels(rows, unit=unit, interval_s=interval_s)
    return Series.of(rows, unit=unit, interval_s=interval_s)


def _name(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value)
    return "nothing" if value is None else text if len(text) <= 60 else text[:57] + "..."
