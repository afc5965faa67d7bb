"""How far instances are apart, against the Laplacian written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.consensus import agreement
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5))
def test_is_the_quadratic_form_of_the_laplacian(values):
    x, n = np.array(values), len(values)
    laplacian = n * np.eye(n) - np.ones((n, n))
    error, deviation, connectivity = agreement(x)
    assert error == pytest.approx(x @ laplacian @ x, rel=1e-6, abs=1e-2)
    assert deviation == pytest.approx(np.max(np.abs(x - x.mean())), rel=1e-6, abs=1e-6)
    assert connectivity == pytest.approx(np.sort(np.linalg.eigvalsh(laplacian))[1])


@pytest.mark.parametrize(
    ("values", "error", "deviation", "connectivity"),
    [
        ([0.7], 0.0, 0.0, 0.0),
        ([1.0, 1.0, 1.0], 0.0, 0.0, 3.0),
        ([1.0, 1.1, 1.0], 0.02, 0.1 * 2 / 3, 3.0),
        ([0.0, 1.0, 0.0, 0.0, 0.0], 4.0, 0.8, 5.0),
        ([1e300, -1e300], math.inf, 1e300, 2.0),
    ],
    ids=["one", "three that agree", "three", "five", "beyond any number"],
)
def test_topologies(values, error, deviation, connectivity):
    assert agreement(np.array(values)) == pytest.approx((error, deviation, connectivity))


def judge(values, **fields):
    names = [f"state_{index}" for index in range(len(values))]
    spec = condition("consensus", metrics=names, **fields)
    return spec.judge(canary(**{name: every_minute([v], unit="") for name, v in zip(names, values, strict=True)}), NOW_S)


@pytest.mark.parametrize(
    ("values", "fields", "verdict"),
    [
        ([1.0, 1.0, 1.05], {"below": 0.01}, Verdict.PASS),
        ([1.0, 1.0, 1.1], {"below": 0.01}, Verdict.FAIL),
        ([1.0, 1.0, 1.1], {"below": 0.07, "measure": "deviation"}, Verdict.PASS),
        ([1.0, 1.0, 1.2], {"above": 0.05}, Verdict.PASS),
        ([1.0, 1.0, math.nan], {"below": 0.01}, Verdict.INCONCLUSIVE),
        ([1.0], {"below": 0.01}, Verdict.PASS),
    ],
)
def test_consensus(values, fields, verdict):
    assert judge(values, **fields).verdict is verdict


def test_an_instance_that_is_not_measured_leaves_all_unknown():
    spec = condition("consensus", metrics=["a", "b"], below=0.01)
    assert spec.judge(canary(a=every_minute([1.0])), NOW_S).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("fields", [{"instances": 3}, {"metrics": ["a", "a"]}, {"metrics": []}])
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        condition("consensus", **{"metrics": ["a", "b"], "below": 0.01, **fields})


def test_problems():
    spec = condition("consensus", metrics=["a", "b"], below="0.01ms")
    facts = {"a": MetricFacts("ms", 60.0, True, "neither"), "b": MetricFacts("ms", 60.0, True, "neither")}
    assert "'ms' (time), but the metric is in ''" in spec.problems(facts)[0]
    assert "different units" in spec.problems({**facts, "b": MetricFacts("", 60.0, True, "neither")})[0]


def test_the_largest_deviation_is_bounded_in_the_unit_of_the_metric():
    spec = condition("consensus", metrics=["a", "b"], below="0.01s", measure="deviation")
    facts = {name: MetricFacts("ms", 60.0, True, "neither") for name in "ab"}
    assert spec.problems(facts) == []
    assert spec.problems({"a": facts["a"]}) == ["unknown metric 'b'; the plan defines a"]


def test_a_bound_that_does_not_fit_is_named():
    spec = condition("consensus", metrics=["a"], below="5MB", measure="deviation")
    assert spec.problems({"a": MetricFacts("ms", 60.0, True, "neither")}) == [
        "consensus: 5MB is in 'MB' (size), but the metric is in 'ms' (time)"
    ]
    quadratic = condition("consensus", metrics=["a"], below="5ms")
    assert len(quadratic.problems({"a": MetricFacts("ms", 60.0, True, "neither")})) == 1


def test_instances_in_different_units_of_the_same_kind_are_converted():
    spec = condition("consensus", metrics=["a", "b"], at_most="0.1s", measure="deviation")
    seen = canary(a=every_minute([1.0], unit="s"), b=every_minute([1200.0], unit="ms"))
    found = spec.judge(seen, NOW_S)
    assert found.passed, found.reason
    assert found.numbers["laplacian"] == pytest.approx(0.04)
    seen = canary(a=every_minute([1.0], unit="s"), b=every_minute([1200.0], unit="MB"))
    found = spec.judge(seen, NOW_S)
    assert (found.verdict, found.reason) == (
        Verdict.INCONCLUSIVE,
        "b: 1200MB is in 'MB' (size), but the metric is in 's' (time)",
    )


def test_a_bound_in_a_unit_that_does_not_fit_leaves_it_unknown():
    found = judge([1.0, 1.0], below="5ms")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "consensus: 5ms is in 'ms' (time), but the metric is in '' (number)"


def test_instances_in_different_units_are_one_problem():
    spec = condition("consensus", metrics=["m", "n"], below="5%", measure="deviation")
    facts = {name: MetricFacts(unit, 60.0, True, "neither") for name, unit in (("m", "ms"), ("n", "s"))}
    assert spec.problems(facts) == ["consensus: the instances are in different units: ms, s"]
