"""The rank-sum condition: its verdicts, what it says, what it refuses in a plan and in what was measured."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.observation import Observations, Selector, Unavailable
from gates.rank_sum import RankSum, RankSumOptions, rank_sum_test
from gates.verdict import Mode, Verdict
from tests.gates.sides import NOW_S, both_sides, series_until_now
from tests.gates.test_rank_sum import KAYENTA_BASELINE, KAYENTA_TEN, KAYENTA_TWENTY

NAN = math.nan


@pytest.mark.parametrize(
    ("stable", "canary", "verdict", "said"),
    [
        (KAYENTA_BASELINE, KAYENTA_TEN, Verdict.PASS, "Pass"),
        (KAYENTA_BASELINE, KAYENTA_TWENTY, Verdict.FAIL, "High"),
        (KAYENTA_TWENTY, KAYENTA_TEN, Verdict.FAIL, "Low"),
        (KAYENTA_BASELINE, KAYENTA_TWENTY[:9], Verdict.INCONCLUSIVE, "canary: 9 samples < at least 10"),
        (KAYENTA_BASELINE[:9], KAYENTA_TWENTY, Verdict.INCONCLUSIVE, "stable: 9 samples < at least 10"),
        (KAYENTA_BASELINE, [NAN] * 30, Verdict.INCONCLUSIVE, "no data in the last 1h"),
    ],
)
def test_condition_judges_canary_against_stable(
    stable: list[float], canary: list[float], verdict: Verdict, said: str
) -> None:
    """The label becomes a verdict; too little data never does."""
    condition = RankSum.model_validate({"metric": "p95", "over": "1h", "name": "latency"})
    finding = condition.judge(both_sides(stable, canary), NOW_S)
    assert finding.verdict is verdict
    assert said in finding.reason
    assert finding.name == "latency"


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, Verdict.FAIL),
        ({"worse": "lower"}, Verdict.PASS),
        ({"tolerance": 0.9}, Verdict.PASS),
        ({"allowed_increase": 3.0}, Verdict.PASS),
        ({"effect_size": "cles", "allowed_increase": 1.1}, Verdict.PASS),
        ({"confidence": 0.9999999, "min_samples": 30}, Verdict.FAIL),
        ({"min_samples": 30}, Verdict.FAIL),
        ({"min_samples": 31}, Verdict.INCONCLUSIVE),
    ],
)
def test_condition_hands_its_settings_on(fields: dict[str, Any], verdict: Verdict) -> None:
    """Each of them can turn the verdict."""
    condition = RankSum.model_validate({"metric": "p95", "over": "1h", **fields})
    assert condition.judge(both_sides(KAYENTA_BASELINE, KAYENTA_TWENTY), NOW_S).verdict is verdict


@pytest.mark.parametrize(
    "fields",
    [
        {"confidence": 0.9},
        {"nan": "replace"},
        {"effect_size": "cles"},
        {"outlier_factor": 0.01},
    ],
)
def test_condition_judges_as_the_function_with_its_settings(fields: dict[str, Any]) -> None:
    """The same numbers, holes and all."""
    canary = [*KAYENTA_TWENTY, NAN, NAN, KAYENTA_TEN[0]]
    condition = RankSum.model_validate({"metric": "p95", "over": "1h", **fields})
    finding = condition.judge(both_sides(KAYENTA_BASELINE, canary), NOW_S)
    expected = rank_sum_test(np.array(KAYENTA_BASELINE), np.array(canary), RankSumOptions(**fields))
    assert finding.numbers == expected.numbers()
    assert finding.numbers != rank_sum_test(np.array(KAYENTA_BASELINE), np.array(canary)).numbers()


def test_condition_allows_a_decrease() -> None:
    """Down to the ratio it names."""
    condition = RankSum.model_validate({"metric": "p95", "over": "1h", "allowed_decrease": 0.3})
    assert condition.judge(both_sides(KAYENTA_TWENTY, KAYENTA_TEN), NOW_S).verdict is Verdict.PASS


def test_finding_shows_both_operands() -> None:
    """The shift, its interval and the tolerance are in the reason and in the numbers."""
    condition = RankSum.model_validate({"metric": "p95", "over": "1h", "mode": "warn"})
    finding = condition.judge(both_sides(KAYENTA_BASELINE, KAYENTA_TWENTY), NOW_S)
    assert "High, canary − stable 10.62 ms, 0.98 interval 9.149 ms to 11.82 ms, tolerance ±2.655 ms" in finding.reason
    assert finding.numbers["n_control"] == 30
    assert finding.numbers["lower"] < finding.numbers["estimate"] < finding.numbers["upper"]
    assert finding.mode is Mode.WARN


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        ({}, "stable: was not measured"),
        ({Selector("p95", "stable"): Unavailable("refused")}, "out of reach: refused"),
        (
            {
                Selector("p95", "stable"): series_until_now(KAYENTA_BASELINE, unit="ms"),
                Selector("p95", "canary"): series_until_now(KAYENTA_BASELINE, unit="ms", age_s=240),
            },
            "canary: stale, the last sample is 4m old > at most 3m",
        ),
    ],
    ids=["missing", "unavailable", "stale"],
)
def test_what_was_not_measured_is_inconclusive(observations: Observations, said: str) -> None:
    """With the reason."""
    finding = RankSum.model_validate({"metric": "p95", "over": "1h"}).judge(observations, NOW_S)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert said in finding.reason


def test_a_plan_that_could_never_find_anything_is_refused() -> None:
    """Five samples a side cannot reach 99.9 % in any order."""
    with pytest.raises(ValidationError, match="nothing could ever be found"):
        RankSum.model_validate({"metric": "p95", "over": "1h", "min_samples": 5, "confidence": 0.999})


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ({}, "not defined"),
        ({"p95": MetricFacts("ms", 60, False, "neither")}, "no sides"),
        ({"p95": MetricFacts("ms", 3600, True, "neither")}, "could never pass"),
        ({"p95": MetricFacts("ms", 0, True, "neither")}, "holds 0 samples < min_samples 10"),
        ({"p95": MetricFacts("ms", 360.1, True, "neither")}, "could never pass"),
        ({"p95": MetricFacts("ms", 360, True, "neither")}, None),
        ({"p95": MetricFacts("ms", 0.5, True, "neither")}, None),
        ({"p95": MetricFacts("ms", 60, True, "neither")}, None),
    ],
)
def test_problems_name_what_does_not_fit(metrics: dict[str, MetricFacts], problem: str | None) -> None:
    """Unknown, without sides, too few samples in the window."""
    found = RankSum.model_validate({"metric": "p95", "over": "1h"}).problems(metrics)
    assert found == [] if problem is None else problem in found[0]
