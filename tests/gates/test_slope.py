"""The slope of long series, which are taken as medians of equal stretches."""

import math
from collections import Counter
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest

from gates.slope import robust_slope


@pytest.mark.parametrize("points", [97, 192, 288, 289, 384])
def test_a_long_line_keeps_its_slope_and_its_level(points):
    times = np.arange(float(points))
    found = robust_slope(1e9 + times, 100 + times, 0.95)
    assert found.slope == pytest.approx(1)
    assert found.lower == pytest.approx(1)
    assert found.upper == pytest.approx(1)
    assert found.level == pytest.approx(100 + points / 2, abs=1.5)


def test_one_outlier_in_every_stretch_of_three_changes_nothing():
    values = 100 + np.arange(288.0)
    values[2::3] += 1e4
    found = robust_slope(np.arange(288.0), values, 0.95)
    assert (found.slope, found.lower, found.upper) == pytest.approx((1, 1, 1))


def test_two_of_a_stretch_count_the_same():
    values = np.tile([0.0, 10.0], 96)
    found = robust_slope(np.arange(192.0), values, 0.95)
    assert (found.slope, found.lower, found.upper, found.level) == pytest.approx((0, 0, 0, 5))


@pytest.mark.parametrize("step", [0.1, 1 / 30, 1e-7])
@pytest.mark.parametrize("level", [0.0, 10.0, 1e6])
def test_what_rounding_leaves_of_a_straight_line_is_no_noise(step, level):
    times = 60.0 * np.arange(60.0)
    found = robust_slope(times, level + step * times, 0.95)
    assert found.slope == pytest.approx(step, rel=1e-2)
    assert (found.lower, found.upper) == pytest.approx((step, step), rel=1e-2)


def written_out(values, confidence):
    """Theil's slope and Sen's limits as their papers write them, of samples one second apart."""
    n = len(values)
    slopes = sorted((values[j] - values[i]) / (j - i) for i, j in combinations(range(n), 2))
    slope = float(np.median(slopes))
    residuals = np.array(values) - slope * np.arange(n)
    residuals -= residuals.mean()
    inflation = 1.0
    if n >= 6:
        rho = (n * float(residuals[1:] @ residuals[:-1]) / float(residuals @ residuals) + 2) / (n - 4)
        inflation = (1 + rho) / (1 - rho) if 0 < rho < 1 else 1.0 if rho <= 0 else math.inf
    tied = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - tied) / 18
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance * inflation)
    below, above = (len(slopes) - reach) / 2, (len(slopes) + reach) / 2
    lower = slopes[math.floor(below)] if below >= 0 else -math.inf
    upper = slopes[math.ceil(above)] if math.isfinite(above) and math.ceil(above) < len(slopes) else math.inf
    return slope, lower, upper


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("points", [3, 4, 5, 6, 7, 8, 12, 25, 40])
@pytest.mark.parametrize("distinct", [2, 4, 1000])
def test_slope_and_limits_are_those_of_the_papers_with_ties_and_correlation(points, distinct, confidence):
    rng = np.random.default_rng(points + distinct)
    values = rng.integers(0, distinct, points).astype(float)
    values[:2] = 0.0, 1.0
    found = robust_slope(np.arange(float(points)), values, confidence)
    assert (found.slope, found.lower, found.upper) == pytest.approx(written_out(values.tolist(), confidence))


@pytest.mark.parametrize("points", [192, 288])
def test_noise_within_a_stretch_is_gone_from_its_median(points):
    each = points // 96
    sizes = np.random.default_rng(points).uniform(10, 30, 96)
    noise = np.outer(sizes, [1.0, -1.0, 0.0][:each]).ravel()
    found = robust_slope(np.arange(float(points)), np.arange(points) // each + noise, 0.95)
    assert (found.slope, found.lower, found.upper) == pytest.approx((1 / each, 1 / each, 1 / each))


def test_the_level_of_a_long_series_is_not_that_of_its_outliers():
    values = 100 + np.arange(288.0)
    values[::3] -= 1e4
    assert robust_slope(np.arange(288.0), values, 0.95).level == pytest.approx(244, abs=1.5)


def test_small_noise_on_a_high_level_is_noise():
    noise = np.random.default_rng(5).normal(0, 1, 60).cumsum() / 100
    alone, high = (robust_slope(60.0 * np.arange(60.0), level + noise, 0.8) for level in (0.0, 1e6))
    assert (high.lower, high.upper) == pytest.approx((alone.lower, alone.upper), rel=1e-3)
