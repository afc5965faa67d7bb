"""A robust slope with a confidence interval that stays honest when samples resemble their neighbours.

The slope is the median of the slopes of all pairs (Theil 1950); its interval comes from the order statistics of these
slopes by the variance of Kendall's S with ties (Sen 1968, JASA 63). A positive correlation rho of neighbouring residuals
leaves fewer independent samples: the variance is inflated by (1 + rho) / (1 - rho) (Bayley and Hammersley 1946; Yue and
Wang 2004), with rho corrected for its bias in short series (Kendall 1954). Up to 29 % of the samples may be outliers.
"""

from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gates.observation import FloatArray

_NORMAL = NormalDist()
MOST_POINTS = 96
"""Longer series are taken as medians of equal stretches, so that the pairs stay few."""
_ROUNDING = 1e-12
"""Residuals below this share of the largest value are what rounding leaves of a straight line, not noise."""


class Slope(NamedTuple):
    """Per second: the slope, its lower and upper confidence limits, and the level in the middle of the time."""

    slope: float
    lower: float
    upper: float
    level: float


def robust_slope(times_s: FloatArray, values: FloatArray, confidence: float) -> Slope:
    """The slope of at least 3 finite samples at ascending times; limits are infinite where nothing can be said."""
    times, kept = _thinned(times_s - times_s[0], values)
    scale = float(np.max(np.abs(kept))) or 1.0
    kept = kept / scale
    n = times.size
    first, second = _pairs(n)
    slopes = (kept.take(second) - kept.take(first)) / (times.take(second) - times.take(first))
    slopes.sort()
    middle = _middle(slopes)
    level = _middle(np.sort(kept - middle * (times - times[-1] / 2)))
    inflation = _inflation(kept - middle * times)
    ties = _ties(kept)
    variance = (n * (n - 1) * (2 * n + 5) - float(np.sum(ties * (ties - 1) * (2 * ties + 5)))) / 18
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * np.sqrt(max(variance, 0.0) * inflation)
    reach = min(reach, slopes.size + 1.0)
    low = int(np.floor((slopes.size - reach) / 2))
    high = int(np.ceil((slopes.size + reach) / 2))
    lower = float(slopes[low]) if low >= 0 else -np.inf
    upper = float(slopes[high]) if high < slopes.size else np.inf
    if ties.size == 1:
        lower = upper = 0.0
    return Slope(middle * scale, lower * scale, upper * scale, level * scale)


@lru_cache(maxsize=2 * MOST_POINTS)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n, k=1)


def _middle(ordered: FloatArray) -> float:
    half = ordered.size // 2
    return float(ordered[half]) if ordered.size % 2 else float((ordered[half - 1] + ordered[half]) / 2)


def _ties(values: FloatArray) -> NDArray[np.intp]:
    """How often each different value occurs."""
    ordered = np.sort(values)
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, values.size)
    ends[1:] -= ends[:-1].copy()
    return ends


def _inflation(residuals: FloatArray) -> float:
    n = residuals.size
    centred = residuals - float(residuals.sum()) / n
    power = float(np.dot(centred, centred))
    if power <= n * _ROUNDING**2 or n < 6:
        return 1.0
    measured = float(np.dot(centred[1:], centred[:-1])) / power
    rho = (n * measured + 2) / (n - 4)
    if rho <= 0:
        return 1.0
    return (1 + rho) / (1 - rho) if rho < 1 else float("inf")


def _thinned(times_s: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    each = -(-times_s.size // MOST_POINTS)
    if each == 1:
        return times_s, values
    kept = times_s.size // each * each
    rows = (-1, each)
    return _middles(times_s[-kept:].reshape(rows)), _middles(np.sort(values[-kept:].reshape(rows)))


def _middles(ordered: FloatArray) -> FloatArray:
    """The median of each row, which ascends; np.median does the same at three times the cost."""
    half = ordered.shape[1] // 2
    middles: FloatArray = ordered[:, half] if ordered.shape[1] % 2 else ordered[:, half - 1] / 2 + ordered[:, half] / 2
    return middles
