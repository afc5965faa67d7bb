"""Shares of categories against plan, from words and from a metric per category."""

import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.distribution import Distribution
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
