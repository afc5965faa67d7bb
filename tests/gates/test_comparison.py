"""Comparisons: what each unit means, every reference, and what cannot be told."""

import math

import pytest
from pydantic import ValidationError

from gates.comparison import Comparison
from gates.condition import MetricFacts
from gates.observation import Need, Selector, Unavailable
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, condition, every_minute

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def judge(value, reference, *, unit="ms", **fields):
    spec = Comparison.model_validate({"metric": "m", "against": "stable", **fields})
    seen = {
        Selector("m", "canary"): every_minute([float(value)], unit=unit),
        Selector("m", "stable"): every_minute([float(reference)], unit=unit),
    }
    return spec.judge(seen, NOW_S)


@pytest.mark.parametrize(
    ("value", "reference", "unit", "fields", "verdict"),
    [
        (150, 100, "ms", {"at_most": "50ms"}, PASS),
        (150.1, 100, "ms", {"at_most": "0.05s"}, FAIL),
        (105, 100, "ms", {"at_most": "+5%"}, PASS),
        (105.1, 100, "ms", {"at_most": "+5%"}, FAIL),
        (50, 100, "ms", {"at_most": "-50%"}, PASS),
        (51, 100, "ms", {"at_most": "-50%"}, FAIL),
        (0.012, 0.011, "ratio", {"at_most": "+0.2pp"}, PASS),
        (0.014, 0.011, "ratio", {"at_most": "+0.2pp"}, FAIL),
        (1.2, 1.1, "%", {"at_most": "0.2pp"}, PASS),
        (1.4, 1.1, "%", {"at_most": "0.2pp"}, FAIL),
        (0.012, 0.011, "ratio", {"at_most": "5%", "relative": True}, FAIL),
        (0.0, 0.0, "ratio", {"at_most": "5%", "relative": True}, PASS),
        (0.1, 0.0, "ratio", {"at_most": "5%", "relative": True}, FAIL),
        (4.2, 4.1, "", {"at_least": -0.2}, PASS),
        (3.8, 4.1, "", {"at_least": -0.2}, FAIL),
        (-90, -100, "", {"at_most": "5%"}, FAIL),
        (150, 100, "ms", {"below": "1.5x"}, FAIL),
        (149, 100, "ms", {"below": "1.5x"}, PASS),
        (500, 100, "/s", {"at_least": "5x"}, PASS),
        (499, 100, "/s", {"at_least": "5x"}, FAIL),
        (499, 0, "/s", {"at_least": "5x"}, INCONCLUSIVE),
        (1, 0, "/s", {"at_most": "5x"}, FAIL),
        (499, 0, "/s", {"above": "5x"}, INCONCLUSIVE),
        (1.2, 0.5, "/s", {"at_least": "2x"}, PASS),
        (0.9, 0.5, "/s", {"above": "2x"}, FAIL),
        (20, 100, "ms", {"speed_up": "5x"}, PASS),
        (21, 100, "ms", {"speed_up": "5x"}, FAIL),
        (0, 0, "ms", {"speed_up": "5x"}, INCONCLUSIVE),
        (-1, 100, "ms", {"speed_up": "5x"}, INCONCLUSIVE),
        (109, 100, "ms", {"within": "10%"}, PASS),
        (111, 100, "ms", {"within": "10%"}, FAIL),
        (89, 100, "ms", {"within": "10%"}, FAIL),
        (95, 100, "ms", {"between": ["-10ms", "0ms"]}, PASS),
        (101, 100, "ms", {"between": ["-10ms", "0ms"]}, FAIL),
        (math.nan, 100, "ms", {"at_most": "50ms"}, INCONCLUSIVE),
        (100, math.nan, "ms", {"at_most": "50ms"}, INCONCLUSIVE),
        (0.012, 0.011, "ratio", {"at_most": "5%"}, INCONCLUSIVE),
        (100, 100, "ms", {"at_most": "5pp"}, INCONCLUSIVE),
        (100, 100, "ms", {"at_most": "5MB"}, INCONCLUSIVE),
    ],
)
def test_what_the_unit_means(value, reference, unit, fields, verdict):
    found = judge(value, reference, unit=unit, **fields)
    assert found.verdict is verdict, found.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"at_most": "50ms"}, "m 160 ms against m of stable 100 ms: difference 60 ms > at most 50ms"),
        ({"at_most": "5%"}, "m 160 ms against m of stable 100 ms: difference 60 ms > at most 5% (5 ms)"),
        ({"at_most": "1.5x"}, "m 160 ms against m of stable 100 ms: 160 ms > at most 1.5x (150 ms)"),
        ({"speed_up": "2x"}, "m 160 ms against m of stable 100 ms: speed-up 0.625x < 2x"),
    ],
)
def test_reasons_show_both_operands(fields, reason):
    assert judge(160, 100, **fields).reason == reason


@pytest.mark.parametrize(("value", "verdict"), [(2.07, PASS), (1.864, PASS), (1.86, FAIL), (2.2770, PASS), (2.28, FAIL)])
def test_target_with_tolerance(value, verdict):
    spec = Comparison.model_validate({"metric": "m", "target": "2.07x", "within": "10%"})
    assert spec.judge({Selector("m", "canary"): every_minute([value], unit="x")}, NOW_S).verdict is verdict


@pytest.mark.parametrize(
    ("against", "selector"),
    [
        ("stable", Selector("m", "stable")),
        ("24h ago", Selector("m", "canary", 86400.0)),
        ("500ms ago", Selector("m", "canary", 0.5)),
        ("baseline:legacy", Selector("m", "all", 0.0, "legacy")),
        ("baseline: release:41", Selector("m", "all", 0.0, "release:41")),
    ],
)
def test_every_reference_is_needed_and_compared(against, selector):
    spec = Comparison.model_validate(
        {"metric": "m", "against": against, "at_most": "50%", "statistic": "mean", "over": "10m"}
    )
    assert spec.needs() == (Need(Selector("m", "canary"), 600.0), Need(selector, 600.0))
    now = every_minute([150.0] * 10)
    for level, verdict in ((100.0, PASS), (99.0, FAIL)):
        assert spec.judge({Selector("m", "canary"): now, selector: every_minute([level] * 10)}, NOW_S).verdict is verdict
    gone = spec.judge({Selector("m", "canary"): now, selector: Unavailable("refused")}, NOW_S)
    assert gone.verdict is INCONCLUSIVE
    assert "refused" in gone.reason
    assert Comparison.model_validate(spec.model_dump(mode="json")) == spec


def test_a_baseline_is_taken_whole_however_old_and_by_its_median():
    spec = Comparison.model_validate({"metric": "m", "against": "baseline:legacy", "within": "0ms"})
    old = every_minute([1.0, 100.0, 100.0, math.nan, 900.0], now_s=NOW_S - 1e7)
    seen = {Selector("m", "canary"): every_minute([100.0]), Selector("m", "all", 0.0, "legacy"): old}
    assert spec.judge(seen, NOW_S).passed


def test_the_reference_is_converted_into_the_unit_measured():
    spec = Comparison.model_validate({"metric": "m", "against": "stable", "at_most": "0ms"})
    seen = {
        Selector("m", "canary"): every_minute([100.0]),
        Selector("m", "stable"): every_minute([0.1], unit="s"),
    }
    assert spec.judge(seen, NOW_S).passed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"at_most": 1, "target": 2}, "exactly one of against"),
        ({"against": None, "at_most": 1}, "exactly one of against"),
        ({}, "exactly one of above"),
        ({"at_most": 1, "within": 1}, "found at_most and within"),
        ({"against": "yesterday", "at_most": 1}, "nothing to compare with"),
        ({"against": "baseline:", "at_most": 1}, "nothing to compare with"),
        ({"against": "line:old", "at_most": 1}, "nothing to compare with"),
        ({"against": "0s ago", "at_most": 1}, "nothing to compare with"),
        ({"within": "-5%"}, "must not be below 0"),
        ({"speed_up": "5%"}, "must be a multiple"),
        ({"speed_up": "0x"}, "must be a multiple"),
        ({"between": ["1ms", "2s"]}, "must have the same unit"),
        ({"between": [2, 1]}, "allows nothing"),
        ({"at_most": 1, "over": "5m"}, "go together"),
        ({"at_most": 1, "statistic": "mean"}, "go together"),
        ({"at_most": 1, "statistic": "rate", "over": "5m"}, "rate is not compared"),
        ({"at_most": 1, "statistic": "mean", "over": "0s"}, "longer than 0"),
        ({"at_most": 1, "side": "stable"}, "with itself"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Comparison.model_validate({"metric": "m", "against": "stable", **fields})


@pytest.mark.parametrize(
    ("fields", "value", "reference", "verdict"),
    [
        ({"within": 0}, 4, 4, PASS),
        ({"within": 0}, 4.1, 4, FAIL),
        ({"within": 0.5}, 4.5, 4, PASS),
        ({"speed_up": 2}, 2, 4, PASS),
        ({"speed_up": 2}, 3, 4, FAIL),
        ({"between": [1, 1]}, 5, 4, PASS),
        ({"between": [1, 1]}, 5.1, 4, FAIL),
    ],
)
def test_the_smallest_that_makes_sense(fields, value, reference, verdict):
    assert judge(value, reference, **fields).verdict is verdict


@pytest.mark.parametrize(
    ("fields", "unit", "said"),
    [
        ({"at_most": "5%"}, "ratio", "5% of a ratio is ambiguous: write 5pp"),
        ({"at_most": "5pp"}, "ms", "is in points, for a ratio only"),
        ({"at_most": 0.05, "relative": True}, "ratio", "is ambiguous: write 5%"),
        ({"at_most": "5MB"}, "ms", "'MB' (size)"),
        ({"target": "5MB", "against": None, "within": "5%"}, "ms", "target"),
        ({"at_most": "5ms", "statistic": "mean", "over": "30s"}, "ms", "a window of 30s"),
    ],
)
def test_problems(fields, unit, said):
    spec = Comparison.model_validate({"metric": "m", "against": "stable", **fields})
    assert said in "; ".join(spec.problems({"m": MetricFacts(unit, 60.0, True, "lower_is_better")}))


def test_stable_needs_sides_and_a_speed_up_needs_lower_to_be_better():
    spec = Comparison.model_validate({"metric": "m", "against": "stable", "speed_up": "5x"})
    assert len(spec.problems({"m": MetricFacts("ms", 60.0, False, "higher_is_better")})) == 2
    assert spec.problems({"m": MetricFacts("ms", 60.0, True, "lower_is_better")}) == []


@pytest.mark.parametrize(
    ("value", "reference", "verdict"),
    [(1.0, 0.0, Verdict.FAIL), (0.1, 0.5, Verdict.PASS), (0.2, 0.5, Verdict.FAIL), (0.0, 0.0, Verdict.INCONCLUSIVE)],
)
def test_a_speed_up_of_small_times(value, reference, verdict):
    spec = condition("comparison", metric="m", against="stable", speed_up="5x")
    seen = {Selector("m", "canary"): every_minute([value]), Selector("m", "stable"): every_minute([reference])}
    assert spec.judge(seen, NOW_S).verdict is verdict


@pytest.mark.parametrize(("stale_after", "verdict"), [("1m", INCONCLUSIVE), ("3m", PASS)])
def test_a_window_is_stale_when_the_plan_says_so(stale_after, verdict):
    spec = condition("comparison", metric="m", target=5, at_most=1, statistic="mean", over="10m", stale_after=stale_after)
    seen = {Selector("m", "canary"): every_minute([5.0] * 8, unit="", now_s=NOW_S - 120)}
    assert spec.judge(seen, NOW_S).verdict is verdict


def test_a_target_in_the_unit_of_the_metric_fits():
    spec = condition("comparison", metric="m", target="0.5s", within="10%")
    assert spec.problems({"m": MetricFacts("ms", 60.0, True, "lower_is_better")}) == []


@pytest.mark.parametrize(
    ("unit", "said"), [("MB", "m: 100MB is in 'MB' (size), but the metric is in 'ms' (time)"), ("s", None)]
)
def test_two_sides_in_units_that_do_not_fit_are_not_known(unit, said):
    spec = condition("comparison", metric="m", against="stable", at_most="5%")
    seen = {Selector("m", "canary"): every_minute([1.0]), Selector("m", "stable"): every_minute([100.0], unit=unit)}
    found = spec.judge(seen, NOW_S)
    assert (found.verdict, found.reason) == (INCONCLUSIVE, said) if said else found.passed


def test_what_says_nothing_still_shows_both_numbers():
    found = judge(499, 0, unit="/s", at_least="5x")
    assert found.numbers == {"value": 499.0, "reference": 0.0}
