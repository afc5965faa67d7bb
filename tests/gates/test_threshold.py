"""Thresholds: bounds, units, statistics, and holding over a window."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.observation import Selector, Series
from gates.threshold import Threshold
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, every_minute

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def judge(values, *, unit="ms", now_s=NOW_S, **fields):
    return Threshold(metric="m", **fields).judge(canary(m=every_minute(values, unit=unit)), now_s)


@pytest.mark.parametrize(
    ("bound", "value", "verdict", "reason"),
    [
        ({"at_most": "700ms"}, 812, FAIL, "m 812 ms > at most 700 ms"),
        ({"at_most": "700ms"}, 700, PASS, "m 700 ms <= 700 ms"),
        ({"below": "700ms"}, 700, FAIL, "m 700 ms >= 700 ms"),
        ({"below": "0.7s"}, 699.9999, PASS, "m 699.9999 ms < 700 ms"),
        ({"at_least": 40}, 39, FAIL, "m 39 ms < at least 40 ms"),
        ({"at_least": 40}, 40, PASS, "m 40 ms >= 40 ms"),
        ({"above": 40}, 40, FAIL, "m 40 ms <= 40 ms"),
        ({"above": 40}, 41, PASS, "m 41 ms > 40 ms"),
        ({"between": ["0.1s", "0.2s"]}, 200, PASS, "m 200 ms in 100 ms to 200 ms"),
        ({"between": ["0.1s", "0.2s"]}, 201, FAIL, "m 201 ms not in 100 ms to 200 ms"),
    ],
)
def test_bounds_show_both_operands_with_units(bound, value, verdict, reason):
    found = judge([float(value)], **bound)
    assert (found.verdict, found.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("last", 4),
        ("mean", 2.5),
        ("median", 2.5),
        ("min", 1),
        ("max", 4),
        ("sum", 10),
        ("p50", 2.5),
        ("p90", 3.7),
        ("p100", 4),
    ],
)
def test_statistics(statistic, expected):
    over = {} if statistic == "last" else {"over": "10m"}
    found = judge([1.0, 2.0, 3.0, 4.0], at_most=100, statistic=statistic, **over)
    assert found.numbers["value"] == pytest.approx(expected)


def test_rate_of_a_counter_is_per_second_and_survives_a_restart():
    found = judge([100.0, 130.0, 10.0, 20.0], unit="count", above="20/h", statistic="rate", over="10m")
    assert found.numbers["value"] == pytest.approx(50 / 180)
    assert found.passed
    assert " > " in found.reason


def test_a_percent_is_exactly_the_ratio_it_names():
    assert judge([0.029], unit="ratio", at_most="2.9%").passed
    assert judge([0.029], unit="ratio", at_least="2.9%").passed


def test_newest_sample_without_a_value_is_inconclusive_whatever_came_before():
    assert judge([1.0, math.nan], at_most=5).verdict is INCONCLUSIVE


def test_missing_samples_change_no_statistic():
    assert judge([1.0, math.nan, 3.0], at_most=5, statistic="mean", over="10m").numbers["value"] == 2.0


@pytest.mark.parametrize(("age_s", "verdict"), [(300.0, PASS), (300.1, INCONCLUSIVE)])
def test_stale_after_five_intervals(age_s, verdict):
    assert judge([1.0], at_most=5, now_s=NOW_S + age_s).verdict is verdict


def test_stale_after_as_the_plan_says():
    assert judge([1.0], at_most=5, stale_after="10m", now_s=NOW_S + 500).passed


def test_too_few_samples_are_inconclusive():
    found = judge([1.0] * 4, at_most=5, statistic="mean", over="10m", min_samples=5)
    assert found.verdict is INCONCLUSIVE
    assert "4 samples with a value < at least 5" in found.reason


HELD = {"at_most": 700, "held": "60m"}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([500.0] * 60, PASS),
        ([900.0] * 10 + [500.0] * 60, PASS),
        ([900.0] + [500.0] * 59, INCONCLUSIVE),
        ([500.0] * 59 + [900.0], FAIL),
        ([500.0] * 30, INCONCLUSIVE),
        ([500.0, math.nan] + [500.0] * 58, PASS),
        ([math.nan if i % 10 == 0 else 500.0 for i in range(60)], PASS),
        ([math.nan if i % 8 == 0 else 500.0 for i in range(60)], INCONCLUSIVE),
        ([500.0] * 30 + [math.nan] * 2 + [500.0] * 28, PASS),
        ([500.0] * 30 + [math.nan] * 3 + [500.0] * 27, INCONCLUSIVE),
        ([500.0] * 57 + [math.nan] * 3, PASS),
        ([500.0] * 56 + [math.nan] * 4, INCONCLUSIVE),
        ([math.nan] * 60, INCONCLUSIVE),
    ],
    ids=[
        "holds",
        "breach before the window",
        "breach inside",
        "breach now",
        "too short",
        "one missing",
        "9 of 10 there",
        "7 of 8 there",
        "gap of 3 intervals",
        "gap of 4 intervals",
        "3 intervals of silence",
        "4 intervals of silence",
        "nothing",
    ],
)
def test_held(values, verdict):
    found = judge(values, **HELD)
    assert found.verdict is verdict, found.reason


def test_time_left_after_a_breach_is_until_it_leaves_the_window():
    found = judge([500.0] * 29 + [900.0] + [500.0] * 30, **HELD)
    assert found.holds_in_s == 1800.0
    assert "held 29m" in found.reason
    assert "30m left" in found.reason


@given(
    values=st.lists(st.sampled_from([500.0, 500.0, 500.0, 900.0, math.nan]), min_size=1, max_size=80),
    early=st.floats(0.0, 0.999),
)
@settings(max_examples=150, deadline=None)
def test_time_left_is_never_too_long(values, early):
    """With good samples from now on, nothing passes before the time that was said."""
    found = judge(values, **HELD)
    if found.verdict is not INCONCLUSIVE or found.holds_in_s is None:
        return
    later_s = found.holds_in_s * early
    more = int(later_s // 60)
    series = every_minute([*values, *[500.0] * more], now_s=NOW_S + 60 * more)
    assert not Threshold(metric="m", **HELD).judge(canary(m=series), NOW_S + later_s).passed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of"),
        ({"above": 1, "below": 2}, "found above and below"),
        ({"between": [2, 1]}, "allows nothing"),
        ({"at_most": 1, "held": "5m", "over": "5m"}, "held looks at every sample"),
        ({"at_most": 1, "over": "5m"}, "over needs a statistic"),
        ({"at_most": 1, "statistic": "mean"}, "needs over"),
        ({"at_most": 1, "statistic": "p101", "over": "5m"}, "unknown statistic"),
        ({"at_most": 1, "held": "0s"}, "held: 0s must be longer than 0"),
        ({"at_most": 1, "statistic": "mean", "over": "0s"}, "over: 0s must be longer than 0"),
        ({"at_most": 1, "stale_after": "0s"}, "stale_after: 0s must be longer than 0"),
        ({"at_most": "1e999"}, "not a finite number"),
        ({"at_most": math.nan}, "not a finite number"),
        ({"at_most": 1, "hold": "5m"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Threshold(metric="m", **fields)


@pytest.mark.parametrize(
    ("fields", "unit", "said"),
    [
        ({"at_most": "2%"}, "ms", "'%' (ratio), but the metric is in 'ms' (time)"),
        ({"at_most": "2pp"}, "ratio", "'pp' (points), but the metric is in 'ratio' (ratio)"),
        ({"above": "20/h"}, "count", "'/h' (rate), but the metric is in 'count' (count)"),
        ({"at_most": 1, "held": "30s"}, "ms", "a window of 30s holds 0.5 samples"),
        ({"at_most": 1, "statistic": "mean", "over": "5m", "min_samples": 20}, "ms", "holds 5.0 samples"),
        ({"at_most": 1}, "category", "samples are words"),
        ({"at_most": 1, "statistic": "rate", "over": "5m"}, "ratio", "a rate is taken of a running counter"),
        ({"between": ["1s", "500ms"]}, "ms", "between allows nothing"),
    ],
)
def test_problems(fields, unit, said):
    problems = Threshold(metric="m", **fields).problems({"m": MetricFacts(unit, 60.0, True, "neither")})
    assert said in "; ".join(problems)


def test_a_fitting_threshold_has_no_problems():
    facts = {"m": MetricFacts("count", 60.0, True, "neither")}
    assert Threshold(metric="m", above="20/h", statistic="rate", over="1h").problems(facts) == []


def test_a_unit_that_does_not_fit_the_series_is_inconclusive():
    found = judge([1.0], unit="MB", at_most="5ms")
    assert found.verdict is INCONCLUSIVE
    assert "'MB' (size)" in found.reason


def test_duplicates_and_order_do_not_matter_and_a_missing_one_hides_nothing():
    series = Series.of([(NOW_S, 9.0), (NOW_S - 60, 1.0), (NOW_S, None)], unit="ms", interval_s=60)
    assert Threshold(metric="m", at_most=5).judge({Selector("m", "canary"): series}, NOW_S).verdict is FAIL


@pytest.mark.parametrize(
    ("over", "interval_s", "min_samples", "fits"),
    [
        ("60s", 60.0, 1, True),
        ("59s", 60.0, 1, False),
        ("9m", 60.0, 10, True),
        ("8m59s", 60.0, 10, False),
        ("1s", 0.5, 2, True),
    ],
)
def test_a_window_that_just_holds_enough_samples_fits(over, interval_s, min_samples, fits):
    spec = Threshold(metric="m", at_most=1, statistic="mean", over=over, min_samples=min_samples)
    assert (spec.problems({"m": MetricFacts("ms", interval_s, True, "neither")}) == []) is fits


@pytest.mark.parametrize(("min_samples", "verdict"), [(60, PASS), (61, INCONCLUSIVE)])
def test_held_needs_at_least_its_samples(min_samples, verdict):
    assert judge([500.0] * 70, **HELD, min_samples=min_samples).verdict is verdict


@pytest.mark.parametrize("unit", ["ratio", "s", "/h", "x"])
def test_what_is_no_running_counter_has_no_rate(unit):
    spec = Threshold(metric="m", statistic="rate", over="10m", at_most=5)
    found = spec.problems({"m": MetricFacts(unit, 60.0, True, "neither")})
    assert [problem for problem in found if "a rate is taken of a running counter" in problem]


@pytest.mark.parametrize(
    ("value", "unit", "age_s", "fields", "fails"),
    [
        (800.0, "ms", 0, {}, True),
        (700.0, "ms", 0, {}, False),
        (800.0, "ms", 299, {}, True),
        (800.0, "ms", 301, {}, False),
        (800.0, "ms", 301, {"stale_after": "10m"}, True),
        (800.0, "ms", 120, {"stale_after": "1m"}, False),
        (800.0, "MB", 0, {}, False),
        (800.0, "ms", 0, {"held": "10m"}, False),
        (800.0, "ms", 0, {"statistic": "mean", "over": "10m"}, False),
    ],
)
def test_what_fails_plainly_is_the_newest_fresh_sample_beyond_the_bound(value, unit, age_s, fields, fails):
    spec = Threshold(metric="m", at_most="0.7s", **fields)
    observed = canary(m=every_minute([value], unit=unit))
    assert spec.plainly_fails(observed, NOW_S + age_s) is fails
    assert not fails or spec.judge(observed, NOW_S + age_s).verdict is FAIL


def test_one_sample_has_no_rate():
    found = judge([5.0], unit="count", above="20/h", statistic="rate", over="10m")
    assert (found.verdict, found.reason) == (INCONCLUSIVE, "m rate over 10m: 1 sample < at least 2 for a rate")
