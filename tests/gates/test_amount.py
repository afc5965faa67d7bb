"""Amounts of a comparison: what each unit means, exactly as written, and what is ambiguous."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.amount import exact, limit_of, misfit, rounded
from gates.units import Quantity, UnitError

LARGEST = 1.7976931348623157e308


@pytest.mark.parametrize(
    ("amount", "reference", "unit", "limit"),
    [
        ("50ms", 400.0, "ms", Fraction(50)),
        ("0.05s", 400.0, "ms", Fraction(50)),
        ("7", 400.0, "ms", Fraction(7)),
        ("0.1pp", 0.5, "ratio", Fraction(1, 1000)),
        ("0.1pp", 0.5, "%", Fraction(1, 10)),
        ("5%", 400.0, "ms", Fraction(20)),
        ("-5%", 400.0, "ms", Fraction(-20)),
        ("5%", -400.0, "ms", Fraction(20)),
        ("5%", 0.0, "ms", Fraction(0)),
        ("1.5x", 400.0, "ms", Fraction(600)),
        ("1.5x", -400.0, "ms", Fraction(-600)),
    ],
)
def test_limits(amount, reference, unit, limit):
    assert limit_of(Quantity.parse(amount), reference, unit) == limit


def test_a_limit_in_another_dimension_is_an_error():
    with pytest.raises(UnitError):
        limit_of(Quantity.parse("5ms"), 1.0, "ratio")


@pytest.mark.parametrize(
    ("amount", "unit", "relative", "said"),
    [
        ("0.1pp", "ratio", False, None),
        ("0.1pp", "%", False, None),
        ("0.1pp", "ms", False, "0.1pp is in points, for a ratio only, but the metric is in 'ms'; write 0.1%"),
        ("5%", "ms", False, None),
        ("5%", "ratio", True, None),
        ("5%", "ratio", False, "5% of a ratio is ambiguous: write 5pp, or relative: true for a share of the reference"),
        ("5%", "%", False, "5% of a ratio is ambiguous: write 5pp, or relative: true for a share of the reference"),
        ("2x", "ms", False, None),
        ("2x", "ratio", True, None),
        ("0.05", "ms", True, "0.05 with relative: true is ambiguous: write 5%"),
        ("0.05", "ms", False, None),
        ("5ms", "s", False, None),
        ("5ms", "ratio", False, "5ms is in 'ms' (time), but the metric is in 'ratio' (ratio)"),
    ],
)
def test_what_does_not_fit(amount, unit, relative, said):
    assert misfit(Quantity.parse(amount), unit, relative=relative) == said


def test_decimals_are_as_written():
    assert exact(0.011) - exact(0.010) == Fraction(1, 1000)
    assert exact(float("inf")) == exact(LARGEST)
    assert exact(float("-inf")) == -exact(LARGEST)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value):
    assert rounded(exact(value)) == value


def test_beyond_the_largest_is_the_largest():
    assert rounded(exact(LARGEST) * 2) == LARGEST
    assert rounded(-exact(LARGEST) * 2) == -LARGEST
