"""Bounds: which side the limit itself is on, in any unit, and that NaN keeps none."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.bound import keeps
from gates.threshold import Threshold
from gates.units import UnitError

KINDS = {
    "above": (False, False, True),
    "below": (True, False, False),
    "at_least": (False, True, True),
    "at_most": (True, True, False),
}


def bound(**fields):
    return Threshold(metric="m", **fields)


@pytest.mark.parametrize("kind", KINDS)
def test_below_at_and_above_the_limit(kind):
    values = (4.0, 5.0, 6.0)
    assert tuple(keeps(kind, value, 5.0) for value in values) == KINDS[kind]
    assert tuple(keeps(kind, Fraction(value), Fraction(5)) for value in values) == KINDS[kind]
    assert tuple(bound(**{kind: 5}).compare(value, "", "m").kept for value in values) == KINDS[kind]
    assert bound(**{kind: 5}).bound_kind == kind
    assert bound(**{kind: 5}).compare(4.0, "", "m").limits == {"limit": 5.0}
    assert not keeps(kind, math.nan, 5.0)
    assert tuple(bound(**{kind: 5}).keeps_each(np.array([*values, math.nan]), "")) == (*KINDS[kind], False)


def test_an_unknown_bound_is_refused():
    with pytest.raises(ValueError, match="unknown bound 'over': one of above, below"):
        keeps("over", 1.0, 2.0)


@pytest.mark.parametrize(
    ("value", "kept"), [(2.9, False), (3.0, True), (4.0, True), (5.0, True), (5.1, False), (math.nan, False)]
)
def test_between_includes_both_ends(value, kept):
    compared = bound(between=[3, 5]).compare(value, "", "m")
    assert (compared.kept, compared.limits) == (kept, {"low": 3.0, "high": 5.0})
    assert bound(between=[3, 5]).keeps_each(np.array([value]), "") == [kept]


@pytest.mark.parametrize(("low", "high", "fits"), [(3, 3, True), (3, 4, True), (4, 3, False)])
def test_between_must_allow_something(low, high, fits):
    if fits:
        assert bound(between=[low, high]).compare(3.0, "", "m").kept
        return
    with pytest.raises(ValidationError, match="allows nothing"):
        bound(between=[low, high])


@pytest.mark.parametrize(
    ("between", "problem"),
    [
        (["500ms", "1s"], None),
        (["1s", "1000ms"], None),
        (["1s", "500ms"], "m: between allows nothing, 1000 ms is above 500 ms"),
    ],
)
def test_between_in_two_units(between, problem):
    assert bound(between=between).bound_problems("ms", "m") == ([problem] if problem else [])


def test_a_unit_that_does_not_fit():
    assert bound(at_most="5%").bound_problems("%", "m") == []
    assert "the metric is in 'ms'" in bound(at_most="5%").bound_problems("ms", "m")[0]
    with pytest.raises(UnitError):
        bound(at_most="5%").compare(1.0, "ms", "m")


@pytest.mark.parametrize(
    ("fields", "value", "words"),
    [
        ({"above": "2%"}, 0.02, "m 2 % <= 2 %"),
        ({"above": "2%"}, 0.021, "m 2.1 % > 2 %"),
        ({"below": "2%"}, 0.02, "m 2 % >= 2 %"),
        ({"at_least": "2%"}, 0.0199999, "m 1.99999 % < at least 2 %"),
        ({"at_most": "2%"}, 0.03, "m 3 % > at most 2 %"),
        ({"between": ["1%", "2%"]}, 0.015, "m 1.5 % in 1 % to 2 %"),
        ({"between": ["1%", "2%"]}, 0.0200001, "m 2.00001 % not in 1 % to 2 %"),
    ],
)
def test_words_show_both_operands(fields, value, words):
    assert bound(**fields).compare(value, "ratio", "m").words == words


@given(value=st.floats(allow_nan=False), limit=st.floats(-1e9, 1e9), kind=st.sampled_from(list(KINDS)))
def test_opposites_never_both_keep_nor_both_break(value, limit, kind):
    opposite = {"above": "at_most", "at_most": "above", "below": "at_least", "at_least": "below"}[kind]
    assert keeps(kind, value, limit) != keeps(opposite, value, limit)


def test_a_bound_that_is_missing_is_said_to_be_none():
    with pytest.raises(ValidationError, match="is needed, found none"):
        bound()


def test_of_two_ends_the_value_is_shown_with_the_digits_that_tell_it_from_both():
    assert bound(between=[5, 9]).compare(4.99999, "", "m").words == "m 4.99999 not in 5 to 9"
    assert bound(between=[1, 5]).compare(5.00001, "", "m").words == "m 5.00001 not in 1 to 5"


def test_breaking_is_told_in_the_unit_that_is_measured():
    assert bound(below="0.7s").breaks(700.0, "ms")
    assert not bound(below="0.7s").breaks(699.0, "ms")
