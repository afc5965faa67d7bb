"""One number out of a window of samples: last, mean, median, extremes, sum, a percentile, or the rate of a counter.

Sums are exactly rounded (Shewchuk, as `math.fsum`) and percentiles interpolate linearly between order statistics, so a
larger sample never makes a smaller number, and huge values do not overflow on the way.
"""

import math
import re
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, WithJsonSchema

from gates.observation import FloatArray, Series

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
_NAMED = ("last", "mean", "median", "min", "max", "sum", "rate")
_SCALE = 2.0**-60


def _known(name: str) -> str:
    if name not in _NAMED and not _PERCENTILE.fullmatch(name):
        raise ValueError(f"unknown statistic {name!r}: one of {', '.join(_NAMED)}, or a percentile such as p95")
    return name


Statistic = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "pattern": rf"^({'|'.join(_NAMED)}|p\d{{1,2}}(\.\d+)?|p100)$", "default": "last"}),
]


def of_values(statistic: str, values: FloatArray) -> float:
    """The statistic (not `rate`) of finite values, at least one."""
    match statistic:
        case "last":
            return float(values[-1])
        case "min":
            return float(np.min(values))
        case "max":
            return float(np.max(values))
        case "sum":
            return total(values)
        case "mean":
            return mean(values)
        case "median":
            return quantile(values, 0.5)
    percent = _PERCENTILE.fullmatch(statistic)
    if percent is None:
        raise ValueError(f"unknown statistic {statistic!r}: one of {', '.join(_NAMED)}, or a percentile such as p95")
    return quantile(values, float(percent[1]) / 100)


def total(values: FloatArray) -> float:
    """The sum; infinite only where the sum itself is beyond the largest number."""
    try:
        return math.fsum(values.tolist())
    except OverflowError:
        return math.fsum((values * _SCALE).tolist()) / _SCALE


def mean(values: FloatArray) -> float:
    """The arithmetic mean, finite for finite values."""
    try:
        return math.fsum(values.tolist()) / values.size
    except OverflowError:
        return math.fsum((values * _SCALE).tolist()) / values.size / _SCALE


def quantile(values: FloatArray, share: float) -> float:
    """The quantile by linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
    place = share * (values.size - 1)
    low = int(place)
    high = min(low + 1, values.size - 1)
    ordered = np.partition(values, (low, high))
    part = place - low
    return float(ordered[low]) * (1 - part) + float(ordered[high]) * part


def increase(values: FloatArray) -> float:
    """How much a counter grew; a fall is a restart from zero, as in Prometheus."""
    return total(grown(values))


def grown(values: FloatArray) -> FloatArray:
    """The same between each two samples."""
    steps = np.diff(values)
    return np.where(steps < 0, values[1:], steps)


def rate_per_s(series: Series) -> float | None:
    """A counter's growth per second between its first and last sample; None when there are not two."""
    if len(series) < 2:
        return None
    return increase(series.values) / float(series.times_s[-1] - series.times_s[0])


def rate_unit(unit: str) -> str:
    """The unit of a rate of a counter in `unit`: events become `/s`, bytes `B/s`."""
    return "/s" if unit == "count" else f"{unit}/s"
