"""One number out of a window, where a table of values is clearer than a condition."""

import math

import numpy as np
import pytest

from gates.observation import Series
from gates.statistic import of_values, rate_per_s, rate_unit

HUGE = 1.7e308


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        ([], None),
        ([(0.0, 5.0)], None),
        ([(0.0, 5.0), (10.0, 25.0)], 2.0),
        ([(0.0, 5.0), (10.0, 3.0)], 0.3),
        ([(0.0, 5.0), (10.0, 25.0), (20.0, 25.0)], 1.0),
    ],
    ids=["nothing", "one sample", "two", "a restart counts from zero", "three"],
)
def test_rate_of_a_counter(samples, rate):
    assert rate_per_s(Series.of(samples, unit="count", interval_s=10.0)) == rate


@pytest.mark.parametrize(("unit", "rate"), [("", "/s"), ("count", "/s"), ("B", "B/s")])
def test_unit_of_a_rate(unit, rate):
    assert rate_unit(unit) == rate


@pytest.mark.parametrize(
    ("statistic", "values", "number"),
    [
        ("last", [1.0, 2.0, 3.0, 9.0], 9.0),
        ("sum", [HUGE, HUGE, -HUGE], HUGE),
        ("sum", [HUGE, HUGE], math.inf),
        ("sum", [-HUGE, -HUGE], -math.inf),
        ("mean", [HUGE, HUGE], HUGE),
        ("mean", [HUGE, HUGE, HUGE, -HUGE], HUGE / 2),
        ("median", [3.0, 1.0, HUGE], 3.0),
        ("p50", [4.0, 1.0, 2.0, 3.0], 2.5),
        ("p100", [1.0, HUGE, 2.0], HUGE),
        ("p0", [-HUGE, HUGE], -HUGE),
    ],
)
def test_huge_values_do_not_overflow_on_the_way(statistic, values, number):
    assert of_values(statistic, np.array(values)) == number
