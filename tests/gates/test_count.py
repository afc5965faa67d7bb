"""Events: counted, occurring, in a row. Silence is never zero."""

import math

import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def judge(kind, values, **fields):
    found = condition(kind, metric="m", **fields).judge(canary(m=every_minute(values, unit="count")), NOW_S)
    assert found.reason
    return found


@pytest.mark.parametrize(
    ("values", "fields", "verdict"),
    [
        ([1.0] * 10, {"at_most": 10}, PASS),
        ([1.0] * 10, {"at_most": 9}, FAIL),
        ([1.0] * 5, {"at_most": 9}, INCONCLUSIVE),
        ([9.0] * 5, {"at_most": 9}, FAIL),
        ([9.0] * 5, {"at_least": 9}, PASS),
        ([1.0] * 5, {"at_least": 9}, INCONCLUSIVE),
        ([0.5] * 10, {"at_least": 9}, FAIL),
        ([0.5] * 5, {"at_least": "9count"}, INCONCLUSIVE),
        ([0.0] * 10, {"above": 0}, FAIL),
        ([0.0] * 5, {"above": 0}, INCONCLUSIVE),
        ([math.nan] * 10, {"at_most": 9}, INCONCLUSIVE),
        ([1.0] * 10, {"between": [5, 15]}, PASS),
        ([1.0] * 5, {"between": [5, 15]}, INCONCLUSIVE),
        ([9.0] * 5, {"between": [5, 15]}, FAIL),
        ([5.0, 7.0, 1.0, 3.0], {"at_least": 5, "samples_are": "total"}, PASS),
        ([5.0] * 10, {"at_least": 1, "samples_are": "total"}, FAIL),
        ([5.0], {"at_least": 1, "samples_are": "total"}, INCONCLUSIVE),
    ],
)
def test_count(values, fields, verdict):
    assert judge("count", values, over="10m", **fields).verdict is verdict


def test_without_a_window_the_newest_sample_is_the_count():
    assert judge("count", [0.0, 3.0], at_least=3).passed
    assert judge("count", [9.0, 0.0], at_least=1).verdict is FAIL


@pytest.mark.parametrize(
    ("values", "fields", "verdict"),
    [
        ([0.0, 2.0], {}, PASS),
        ([2.0, 0.0], {}, FAIL),
        ([2.0, 0.0], {"over": "10m"}, PASS),
        ([0.0] * 3, {"over": "10m"}, FAIL),
        ([math.nan], {"over": "10m"}, INCONCLUSIVE),
        ([7.0, 7.0, 8.0], {"over": "10m", "samples_are": "total"}, PASS),
        ([7.0, 7.0, 7.0], {"over": "10m", "samples_are": "total"}, FAIL),
        ([7.0, 1.0], {"over": "10m", "samples_are": "total"}, PASS),
        ([7.0, 0.0], {"over": "10m", "samples_are": "total"}, FAIL),
        ([7.0], {"over": "10m", "samples_are": "total"}, INCONCLUSIVE),
    ],
)
def test_exists(values, fields, verdict):
    assert judge("exists", values, **fields).verdict is verdict


@pytest.mark.parametrize(
    ("values", "limit", "verdict"),
    [
        ([0.0] + [1.0] * 11, {"more_than": 10}, PASS),
        ([0.0] + [1.0] * 10, {"more_than": 10}, FAIL),
        ([1.0] * 20 + [0.0], {"more_than": 10}, FAIL),
        ([1.0] * 10, {"more_than": 10}, INCONCLUSIVE),
        ([1.0] * 11, {"more_than": 10}, PASS),
        ([0.0] + [1.0] * 6 + [math.nan] + [1.0] * 5, {"more_than": 10}, PASS),
        ([0.0] + [1.0] * 11, {"at_most": 10}, FAIL),
        ([0.0] + [1.0] * 10, {"at_most": 10}, PASS),
        ([1.0] * 10, {"at_most": 10}, INCONCLUSIVE),
        ([0.0, 1.0], {"at_most": 0}, FAIL),
        ([1.0, 0.0], {"at_most": 0}, PASS),
        ([0.0, 5.0, 6.0], {"more_than": 1, "above": 5}, FAIL),
    ],
)
def test_in_a_row(values, limit, verdict):
    assert judge("in_a_row", values, **limit).verdict is verdict


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("count", {"at_least": 1, "samples_are": "total"}),
        ("exists", {"samples_are": "total"}),
        ("exists", {"over": "0s"}),
        ("in_a_row", {}),
        ("in_a_row", {"more_than": 1, "at_most": 2}),
    ],
)
def test_what_makes_no_sense_is_refused(kind, fields):
    with pytest.raises(ValidationError):
        condition(kind, metric="m", **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("count", {"at_least": "1ms"}, "'ms' (time)"),
        ("count", {"at_least": 1, "over": "30s"}, "a window of 30s"),
        ("exists", {"over": "1m", "samples_are": "total"}, "a window of 1m"),
        ("in_a_row", {"more_than": 100}, "cannot hold 101 samples"),
        ("in_a_row", {"more_than": 1, "above": "1s"}, "'s' (time)"),
    ],
)
def test_problems(kind, fields, said):
    facts = {"m": MetricFacts("count", 60.0, True, "neither")}
    assert said in "; ".join(condition(kind, metric="m", **fields).problems(facts))


def test_in_a_row_above_a_limit_in_another_unit():
    spec = condition("in_a_row", metric="m", more_than=1, above="1s", over="10m")
    assert spec.judge(canary(m=every_minute([500.0, 1500.0, 1500.0])), NOW_S).passed
    assert spec.problems({"m": MetricFacts("ms", 60.0, True, "neither")}) == []
    assert "the metric is in 'count'" in spec.problems({"m": MetricFacts("count", 60.0, True, "neither")})[0]


@pytest.mark.parametrize(("over", "fits"), [("3m", True), ("2m59s", False)])
def test_in_a_row_must_hold_one_more_than_its_limit(over, fits):
    spec = condition("in_a_row", metric="m", more_than=2, over=over)
    assert (spec.problems({"m": MetricFacts("count", 60.0, True, "neither")}) == []) is fits


def test_a_count_says_which_unit_does_not_fit():
    spec = condition("count", metric="m", at_most="5ms")
    assert spec.problems({"m": MetricFacts("count", 60.0, True, "neither")})[0].startswith("m: 5ms is in 'ms' (time)")
    found = spec.judge(canary(m=every_minute([1.0], unit="count")), NOW_S)
    assert found.reason.startswith("m: 5ms is in 'ms' (time)")


def test_a_bound_in_the_unit_of_the_metric_fits():
    spec = condition("count", metric="m", at_least="3count")
    assert spec.problems({"m": MetricFacts("count", 60.0, True, "neither")}) == []


def test_a_run_says_which_unit_does_not_fit():
    found = condition("in_a_row", metric="m", more_than=1, above="5ms").judge(
        canary(m=every_minute([1.0], unit="count")), NOW_S
    )
    assert (found.verdict, found.reason) == (
        INCONCLUSIVE,
        "m: 5ms is in 'ms' (time), but the metric is in 'count' (count)",
    )


def test_a_run_of_unknown_beginning_shows_how_long_it_is():
    assert judge("in_a_row", [1.0] * 4, more_than=10).numbers == {"value": 4.0, "limit": 10.0}
