"""The canary score: Kayenta's arithmetic, and no score where nobody knows."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from gates.canary_score import CanaryScore, Scored, kayenta_score
from gates.condition import MetricFacts
from gates.observation import Observations
from gates.rank_sum import Label
from gates.verdict import Verdict
from tests.gates.sides import NOW_S, both_sides


def scored(label: Label, *groups: str, critical: bool = False) -> Scored:
    return Scored(f"{label}-{'-'.join(groups)}", label, groups or ("one",), critical)


@pytest.mark.parametrize(
    ("metrics", "weights", "score"),
    [
        ([scored(Label.PASS)], {}, 100.0),
        ([scored(Label.HIGH)], {}, 0.0),
        ([scored(Label.PASS), scored(Label.HIGH)], {}, 50.0),
        ([scored(Label.PASS), scored(Label.HIGH), scored(Label.LOW)], {}, 33.33),
        ([scored(Label.PASS, "a"), scored(Label.PASS, "a"), scored(Label.HIGH, "b")], {"a": 75.0, "b": 25.0}, 75.0),
        ([scored(Label.PASS, "a"), scored(Label.HIGH, "a"), scored(Label.HIGH, "b")], {"a": 50.0, "b": 50.0}, 25.0),
        ([scored(Label.PASS, "a"), scored(Label.HIGH, "b"), scored(Label.PASS, "c")], {"a": 50.0}, 75.0),
        ([scored(Label.PASS, "a", "b"), scored(Label.HIGH, "b")], {}, 75.0),
        ([scored(Label.NODATA)], {}, 0.0),
        ([scored(Label.PASS, "a"), scored(Label.PASS, "a"), scored(Label.NODATA, "b")], {}, 100.0),
        ([scored(Label.PASS), scored(Label.NODATA)], {}, 0.0),
        ([scored(Label.PASS), scored(Label.NODATA_FAIL_METRIC)], {}, 50.0),
        ([scored(Label.PASS), scored(Label.HIGH, critical=True)], {}, 0.0),
        ([scored(Label.LOW), scored(Label.PASS, critical=True)], {}, 50.0),
        ([scored(Label.PASS, "a")] * 51 + [scored(Label.NODATA, "b")] * 50, {}, 100.0),
        ([scored(Label.PASS, "a")] * 50 + [scored(Label.NODATA, "b")] * 50, {}, 0.0),
        ([], {}, 0.0),
    ],
)
def test_scores_as_kayenta(metrics: list[Scored], weights: dict[str, float], score: float) -> None:
    """The cases of Kayenta's own scorer tests, and the rules they leave out."""
    assert kayenta_score(metrics, weights).score == score


STEADY = [100.0 + math.sin(place) for place in range(30)]
HIGHER = [value + 50 for value in STEADY]
NOTHING = [math.nan] * 30


def observed(**canaries: list[float]) -> Observations:
    found: Observations = {}
    for metric, canary in canaries.items():
        found = {**found, **both_sides(STEADY, canary, metric=metric)}
    return found


def score_of(*critical: str, **extra: object) -> CanaryScore:
    metrics = [{"metric": name, "critical": name in critical} for name in ("a", "b", "c")]
    return CanaryScore.model_validate({"metrics": metrics, "over": "1h", **extra})


@pytest.mark.parametrize(
    ("condition", "canaries", "verdict", "said"),
    [
        (score_of(), {"a": STEADY, "b": STEADY, "c": STEADY}, Verdict.PASS, "canary score 100 >= 95"),
        (score_of(), {"a": STEADY, "b": HIGHER, "c": STEADY}, Verdict.FAIL, "canary score 66.67 < 75"),
        (score_of(marginal=50), {"a": STEADY, "b": HIGHER, "c": STEADY}, Verdict.INCONCLUSIVE, "(marginal)"),
        (score_of("b"), {"a": STEADY, "b": HIGHER, "c": STEADY}, Verdict.FAIL, "critical: b"),
        (score_of("b", marginal=0), {"a": STEADY, "b": HIGHER, "c": STEADY}, Verdict.FAIL, "critical: b"),
        (score_of("b"), {"a": STEADY, "b": NOTHING, "c": STEADY}, Verdict.INCONCLUSIVE, "no data for b"),
        (score_of(), {"a": STEADY, "b": NOTHING, "c": NOTHING}, Verdict.INCONCLUSIVE, "no data for b, c"),
        (score_of(), {"a": STEADY, "b": NOTHING, "c": STEADY}, Verdict.PASS, "100"),
        (score_of("a"), {"a": HIGHER, "b": NOTHING, "c": NOTHING}, Verdict.FAIL, "critical: a"),
        (score_of("b", min_samples=30), {"a": STEADY, "b": STEADY, "c": STEADY}, Verdict.PASS, "canary score 100 >= 95"),
        (score_of("b", min_samples=31), {"a": STEADY, "b": HIGHER, "c": STEADY}, Verdict.INCONCLUSIVE, "no data for b"),
        (score_of(), {}, Verdict.INCONCLUSIVE, "no data for a, b, c"),
        (score_of(min_samples=31), {"a": STEADY, "b": STEADY, "c": STEADY}, Verdict.INCONCLUSIVE, "no data"),
    ],
)
def test_condition_scores_its_metrics(
    condition: CanaryScore, canaries: dict[str, list[float]], verdict: Verdict, said: str
) -> None:
    """Pass, fail, marginal, critical, and unknown."""
    finding = condition.judge(observed(**canaries), NOW_S)
    assert finding.verdict is verdict
    assert said in finding.reason
    assert [part.name for part in finding.parts] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("metrics", "groups", "reason"),
    [
        ([scored(Label.PASS, "a"), scored(Label.HIGH, "b"), scored(Label.NODATA, "c")], {"a": 100.0, "b": 0.0}, ""),
        ([scored(Label.PASS, "a"), scored(Label.NODATA, "b")], {"a": 100.0}, "1 of 2 metrics have no data"),
        ([scored(Label.HIGH, "a", critical=True), scored(Label.LOW, critical=True)], None, "critical: High-a, Low-"),
    ],
)
def test_score_says_the_groups_and_why_it_is_zero(
    metrics: list[Scored], groups: dict[str, float] | None, reason: str
) -> None:
    """A group without data has no score of its own."""
    score = kayenta_score(metrics, {})
    assert score.reason == reason
    if groups is not None:
        assert score.groups == groups


def test_finding_shows_the_score_of_each_group() -> None:
    """And of each metric its label and why."""
    finding = score_of(name="canary").judge(observed(a=STEADY, b=HIGHER, c=NOTHING), NOW_S)
    assert finding.numbers == {"score": 50.0, "score.all": 50.0}
    assert finding.name == "canary"
    assert [part.verdict for part in finding.parts] == [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE]
    assert finding.parts[0].reason == "a: Pass, both sides hold the same values"
    assert finding.parts[1].numbers["estimate"] == pytest.approx(50, abs=0.2)
    assert finding.parts[2].reason == "c: Nodata, c of canary: no data in the last 1h"


@pytest.mark.parametrize(("pass_at", "verdict"), [(50, Verdict.PASS), (50.01, Verdict.INCONCLUSIVE)])
def test_the_limits_belong_to_the_better_side(pass_at: float, verdict: Verdict) -> None:
    """A score at `pass_at` passes, one at `marginal` does not fail."""
    finding = score_of(pass_at=pass_at, marginal=50).judge(observed(a=STEADY, b=HIGHER, c=NOTHING), NOW_S)
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ({"all": 90}, "add up to 90"),
        ({"all": 60, "ghost": 40}, "ghost"),
        ({"all": 99.5}, "add up to 99.5"),
        ({"all": 100}, None),
    ],
)
def test_weights_must_add_up(weights: dict[str, float], error: str | None) -> None:
    """To 100 over groups that exist."""
    if error is None:
        assert score_of(group_weights=weights).group_weights == weights
        return
    with pytest.raises(ValidationError, match=error):
        score_of(group_weights=weights)


def test_limits_must_be_in_order() -> None:
    """Marginal above pass would leave no way to pass."""
    with pytest.raises(ValidationError, match="must not be above"):
        score_of(marginal=99, pass_at=90)


def test_problems_name_each_metric() -> None:
    """Unknown and without sides."""
    facts = {"a": MetricFacts("ms", 60, True, "neither"), "b": MetricFacts("ms", 60, False, "neither")}
    found = score_of().problems(facts)
    assert len(found) == 2
    assert "'b' has no sides" in found[0]
    assert "'c' is not defined" in found[1]


def test_needs_both_sides_of_every_metric() -> None:
    """So that the fetcher brings them."""
    needs = score_of().needs()
    assert {(need.selector.metric, need.selector.side) for need in needs} == {
        (metric, side) for metric in "abc" for side in ("canary", "stable")
    }
    assert np.unique([need.window_s for need in needs]).tolist() == [3600.0]


@pytest.mark.parametrize(
    ("silent", "of", "verdict"), [(50, 101, Verdict.PASS), (50, 100, Verdict.INCONCLUSIVE), (51, 101, Verdict.INCONCLUSIVE)]
)
def test_no_score_when_half_of_the_metrics_or_more_have_no_data(silent: int, of: int, verdict: Verdict) -> None:
    """Kayenta's limit of 50 %, to the metric."""
    names = [f"m{place}" for place in range(of)]
    condition = CanaryScore.model_validate({"metrics": [{"metric": name} for name in names], "over": "1h"})
    seen = {name: NOTHING if place < silent else STEADY for place, name in enumerate(names)}
    assert condition.judge(observed(**seen), NOW_S).verdict is verdict


def test_too_few_samples_are_said_of_the_metric_and_a_full_score_needs_no_more_words() -> None:
    """What a metric lacked is in its part."""
    seen = observed(a=STEADY, b=STEADY, c=STEADY)
    assert score_of().judge(seen, NOW_S).reason == "canary score 100 >= 95"
    part = score_of(min_samples=31).judge(seen, NOW_S).parts[0]
    assert part.reason == "a: Nodata, 30 samples < at least 31"


def test_weights_never_add_up_to_more_than_all() -> None:
    """Also while groups without a weight are left."""
    metrics = [{"metric": name, "groups": [name]} for name in ("a", "b", "c")]
    with pytest.raises(ValidationError, match=r"add up to 100\.5"):
        CanaryScore.model_validate({"metrics": metrics, "over": "1h", "group_weights": {"a": 50.25, "b": 50.25}})
