"""The slope of long series, which are taken as medians of equal stretches."""

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
    assert (found.slope, found.level) == pytest.approx((0, 5))


@pytest.mark.parametrize("step", [0.1, 1 / 30, 1e-7])
@pytest.mark.parametrize("level", [0.0, 10.0, 1e6])
def test_what_rounding_leaves_of_a_straight_line_is_no_noise(step, level):
    times = 60.0 * np.arange(60.0)
    found = robust_slope(times, level + step * times, 0.95)
    assert found.slope == pytest.approx(step, rel=1e-2)
    assert (found.lower, found.upper) == pytest.approx((step, step), rel=1e-2)
