"""Shares of categories against plan, from words and from a metric per category."""

import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.distribution import Distribution
from gates.observation import Need, Selector
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, every_minute, words

SHARES = {"full": "70%", "lite": "25%", "fallback": "5%"}
PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


@pytest.mark.parametrize(
    ("full", "lite", "fallback", "other", "tolerance", "verdict"),
    [
        (70, 25, 5, 0, "0pp", PASS),
        (66, 29, 5, 0, "5pp", PASS),
        (65, 30, 5, 0, "5pp", PASS),
        (64, 31, 5, 0, "5pp", FAIL),
        (70, 20, 5, 5, "5pp", PASS),
        (70, 18, 5, 7, "10pp", PASS),
        (66, 20, 4, 10, "5pp", FAIL),
        (64, 31, 5, 0, {"full": "10pp", "lite": "10pp", "fallback": "0pp"}, PASS),
        (64, 30, 6, 0, {"full": "10pp", "lite": "10pp", "fallback": "0pp"}, FAIL),
        (0, 0, 0, 0, "5pp", INCONCLUSIVE),
    ],
)
def test_words(full, lite, fallback, other, tolerance, verdict):
    labels = ["full"] * full + ["lite"] * lite + ["fallback"] * fallback + ["other"] * other + [""]
    spec = Distribution(metric="m", shares=SHARES, tolerance=tolerance, over="3h")
    found = spec.judge(canary(m=words(labels)), NOW_S)
    assert found.verdict is verdict, found.reason


@pytest.mark.parametrize(
    ("amounts", "verdict"),
    [
        ((700, 250, 50), PASS),
        ((0.7, 0.25, 0.05), PASS),
        ((600, 350, 50), FAIL),
        ((0, 0, 0), INCONCLUSIVE),
        ((9, -1, 2), INCONCLUSIVE),
    ],
)
def test_a_metric_per_category(amounts, verdict):
    spec = Distribution(metrics={"full": "a", "lite": "b", "fallback": "c"}, shares=SHARES, tolerance="5pp")
    seen = {name: every_minute([float(amount)], unit="count") for name, amount in zip("abc", amounts, strict=True)}
    found = spec.judge(canary(**seen), NOW_S)
    assert found.verdict is verdict, found.reason


def test_the_reason_shows_share_plan_and_tolerance_of_each():
    spec = Distribution(metric="m", shares={"full": "50%", "lite": "50%"}, tolerance="5pp", over="3h")
    found = spec.judge(canary(m=words(["full"] * 60 + ["lite"] * 40)), NOW_S)
    assert found.reason == "full 60 % not within 50 ± 5 pp; lite 40 % not within 50 ± 5 pp"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "m", "over": "1h", "shares": {"a": "60%", "b": "30%"}}, "add up to 90 %"),
        ({"metric": "m"}, "needs over"),
        ({"metric": "m", "over": "0s"}, "needs over"),
        ({"metric": "m", "over": "1h", "tolerance": {"full": "5pp", "lite": "5pp", "fallback": "-1pp"}}, "not be below 0"),
        ({}, "exactly one of metric"),
        ({"metrics": {"full": "a"}}, "but shares for"),
        ({"metric": "m", "over": "1h", "tolerance": {"full": "5pp"}}, "tolerance is for"),
        ({"metric": "m", "over": "1h", "tolerance": "5ms"}, "are ratios"),
        ({"metric": "m", "over": "1h", "tolerance": "-5pp"}, "must not be below 0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Distribution.model_validate({"shares": SHARES, "tolerance": "5pp", **fields})


def test_problems():
    by_word = Distribution(metric="m", shares=SHARES, tolerance="5pp", over="1h")
    assert "needs a metric of words" in by_word.problems({"m": MetricFacts("ms", 60.0, True, "neither")})[0]
    assert by_word.problems({"m": MetricFacts("category", 60.0, True, "neither")}) == []
    each = Distribution(metrics={"full": "a", "lite": "b", "fallback": "c"}, shares=SHARES, tolerance="5pp")
    facts = {
        name: MetricFacts(unit, 60.0, True, "neither") for name, unit in zip("abc", ("ms", "count", "count"), strict=True)
    }
    assert "different units" in each.problems(facts)[0]


def test_problems_name_the_metric():
    spec = Distribution(metric="m", shares=SHARES, tolerance="5pp", over="1m", min_samples=3)
    assert spec.problems({"m": MetricFacts("category", 60.0, True, "neither")})[0].startswith("m: a window of 1m")
    each = Distribution(metrics={"full": "a"}, shares={"full": "100%"}, tolerance="5pp", side="stable")
    assert "has no sides" in each.problems({"a": MetricFacts("count", 60.0, False, "neither")})[0]


def test_a_share_of_nothing_may_be_planned():
    spec = Distribution(metric="m", shares={"full": "100%", "off": "0%"}, tolerance="5pp", over="1h")
    assert spec.judge(canary(m=words(["full"] * 60)), NOW_S).passed
    assert spec.judge(canary(m=words(["full"] * 50 + ["off"] * 10)), NOW_S).verdict is FAIL


def test_a_word_that_was_not_planned_is_tolerated_nowhere():
    tolerance = {"full": "50pp", "lite": "50pp"}
    spec = Distribution(metric="m", shares={"full": "50%", "lite": "50%"}, tolerance=tolerance, over="1h")
    found = spec.judge(canary(m=words(["full"] * 30 + ["lite"] * 28 + ["other"] * 2)), NOW_S)
    assert found.verdict is FAIL
    assert "other 3.333 % not within 0 ± 0 pp" in found.reason


@pytest.mark.parametrize(("samples", "verdict"), [(20, PASS), (19, INCONCLUSIVE)])
def test_enough_words_are_at_least_so_many(samples, verdict):
    spec = Distribution(metric="m", shares={"full": "100%"}, tolerance="5pp", over="1h", min_samples=20)
    found = spec.judge(canary(m=words(["full"] * samples)), NOW_S)
    assert found.verdict is verdict
    assert verdict is PASS or found.reason == "m: 19 samples with a value < at least 20"


def each(**fields):
    return Distribution(metrics={"full": "a", "lite": "b"}, shares={"full": "50%", "lite": "50%"}, tolerance="5pp", **fields)


def test_amounts_in_different_units_of_the_same_kind_are_converted():
    seen = canary(a=every_minute([1.0], unit="s"), b=every_minute([1000.0], unit="ms"))
    assert each().judge(seen, NOW_S).numbers == {"full": 0.5, "lite": 0.5}
    wrong = each().judge(canary(a=every_minute([1.0], unit="s"), b=every_minute([1.0], unit="MB")), NOW_S)
    assert wrong.verdict is INCONCLUSIVE
    assert wrong.reason == "distribution: 1MB is in 'MB' (size), but the metric is in 's' (time)"


def test_a_metric_per_category_needs_its_newest_sample_and_that_fresh():
    assert each().needs() == (Need(Selector("a", "canary"), 0.0), Need(Selector("b", "canary"), 0.0))
    old = {name: every_minute([1.0], unit="count", now_s=NOW_S - 120) for name in "ab"}
    assert each().judge(canary(**old), NOW_S).passed
    assert each(stale_after="1m").judge(canary(**old), NOW_S).verdict is INCONCLUSIVE
