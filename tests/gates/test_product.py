"""The product of ratios."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.condition import MetricFacts
from gates.product import exact_product
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute


@pytest.mark.parametrize(
    ("values", "units", "verdict"),
    [
        ((2.0, 3.0), ("x", "x"), Verdict.PASS),
        ((2.0, 2.9), ("x", ""), Verdict.FAIL),
        ((12.0, 50.0), ("x", "%"), Verdict.PASS),
        ((2.0, math.nan), ("x", "x"), Verdict.INCONCLUSIVE),
        ((2.0, 3.0), ("x", "ms"), Verdict.INCONCLUSIVE),
        ((1e200, 1e200), ("x", "x"), Verdict.PASS),
        ((-1e200, 1e200), ("x", "x"), Verdict.FAIL),
    ],
)
def test_product(values, units, verdict):
    spec = condition("product", metrics=["a", "b"], at_least="6x")
    seen = canary(a=every_minute([values[0]], unit=units[0]), b=every_minute([values[1]], unit=units[1]))
    assert spec.judge(seen, NOW_S).verdict is verdict


def test_one_factor_that_is_not_known_leaves_the_product_unknown():
    found = condition("product", metrics=["a", "b"], at_least=6).judge(canary(a=every_minute([9.0], unit="x")), NOW_S)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "b: not measured"


def test_the_reason_shows_the_factors():
    seen = canary(a=every_minute([2.07], unit="x"), b=every_minute([3.28], unit="x"))
    found = condition("product", metrics=["a", "b"], at_least=7).judge(seen, NOW_S)
    assert found.reason == "product 2.07 x * 3.28 x = 6.79 x < at least 7 x"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_order_does_not_matter_and_nothing_raises(factors):
    assert exact_product(factors) == exact_product(factors[::-1])


def test_only_ratios_have_a_product():
    spec = condition("product", metrics=["a"], at_least="6ms")
    assert len(spec.problems({"a": MetricFacts("ms", 60.0, True, "neither")})) == 2


def test_a_bound_is_a_multiple():
    facts = {"a": MetricFacts("x", 60.0, True, "neither")}
    assert condition("product", metrics=["a"], at_least="6x").problems(facts) == []
    assert condition("product", metrics=["a"], at_least="6ms").problems(facts) == [
        "product: 6ms is in 'ms' (time), but the metric is in 'x' (multiple)"
    ]


def test_a_bound_that_is_no_multiple_leaves_it_unknown():
    found = condition("product", metrics=["a"], at_least="6ms").judge(canary(a=every_minute([2.0], unit="x")), NOW_S)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "product: 6ms is in 'ms' (time), but the metric is in 'x' (multiple)"
