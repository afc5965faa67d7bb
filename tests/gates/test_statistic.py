"""One number out of a window, where a table of values is clearer than a condition."""

import pytest

from gates.observation import Series
from gates.statistic import rate_per_s, rate_unit


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
