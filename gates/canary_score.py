"""Kayenta's canary score: 0 to 100 from the labels of many metrics, in groups with weights.

As WeightedSumScorer does: a group scores the share of its metrics that pass among those with data; groups weigh what the
plan says and share what is left of 100 otherwise; one critical failure makes the score 0. Two things differ, as no data
is no verdict here: where Kayenta gives 0 because half of the metrics or more have none, or because a critical one has
none, the score is withheld and the finding INCONCLUSIVE. `kayenta_score` gives its number in any case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Self

from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts, Spec
from gates.observation import Need, Observations
from gates.rank_sum import EffectSize, Label, NanStrategy, RankSumOptions, RankSumResult, Worse, rank_sum_test, verdict_of
from gates.two_sides import LONGEST, needs_of, take_sides
from gates.units import Duration
from gates.verdict import Finding, Verdict

NODATA_LIMIT_PERCENT = 50.0
_OPTIONS = tuple(each.name for each in fields(RankSumOptions) if each.name not in ("confidence", "tolerance"))
_WITH_DATA = frozenset({Label.PASS, Label.HIGH, Label.LOW, Label.NODATA_FAIL_METRIC})


@dataclass(frozen=True, slots=True)
class Scored:
    """One metric's label, the groups it counts in, and whether it failed critically."""

    name: str
    label: Label
    groups: tuple[str, ...]
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 100, the score of each group that has data, and why it is 0 where that is by rule."""

    score: float
    groups: Mapping[str, float]
    reason: str = ""


def kayenta_score(metrics: Sequence[Scored], group_weights: Mapping[str, float]) -> Score:
    """The score, as Kayenta counts it. `group_weights` in percent. No metrics at all score 0."""
    labels: dict[str, list[Label]] = {}
    for metric in metrics:
        for group in metric.groups:
            labels.setdefault(group, []).append(metric.label)
    scores = {group: _group_score(found) for group, found in labels.items()}
    with_data = {group: score for group, score in scores.items() if score is not None}
    if failed := [metric.name for metric in metrics if metric.critical and metric.label is not Label.PASS]:
        return Score(0.0, with_data, f"critical: {', '.join(failed)}")
    missing = sum(metric.label is Label.NODATA for metric in metrics)
    if not metrics or missing / len(metrics) * 100 >= NODATA_LIMIT_PERCENT:
        return Score(0.0, with_data, f"{missing} of {len(metrics)} metrics have no data")
    unweighted = [group for group in scores if group not in group_weights]
    rest = (100 - sum(group_weights.values())) / len(unweighted) if unweighted else 0.0
    total = sum(
        (100.0 if score is None else score) * group_weights.get(group, rest) / 100 for group, score in scores.items()
    )
    return Score(round(total, 2), with_data)


class ScoredMetric(Spec):
    """One metric of a canary score, with Kayenta's settings (see `RankSumOptions`)."""

    metric: str
    groups: tuple[str, ...] = ("all",)
    worse: Worse = "either"
    nan: NanStrategy = "remove"
    effect_size: EffectSize = "mean_ratio"
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical: bool = False
    critical_increase: float | None = None
    critical_decrease: float | None = None
    must_have_data: bool = False
    outlier_factor: float | None = Field(default=None, gt=0)

    def options(self) -> RankSumOptions:
        """For the judge of one metric."""
        return RankSumOptions(**{name: getattr(self, name) for name in _OPTIONS})


class CanaryScore(Condition):
    """`canary_score`: FAIL below `marginal`, PASS from `pass_at`, INCONCLUSIVE between."""

    metrics: Annotated[tuple[ScoredMetric, ...], Field(min_length=1)]
    over: Duration = LONGEST
    group_weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    pass_at: float = Field(default=95.0, gt=0, le=100)
    marginal: float = Field(default=75.0, ge=0, le=100)
    min_samples: int = Field(default=10, ge=5)

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if self.marginal > self.pass_at:
            raise ValueError(f"marginal {self.marginal:g} must not be above pass_at {self.pass_at:g}")
        used = {group for metric in self.metrics for group in metric.groups}
        if unknown := sorted(set(self.group_weights) - used):
            raise ValueError(f"group_weights name groups without a metric: {', '.join(unknown)}")
        total, complete = sum(self.group_weights.values()), used == set(self.group_weights)
        if total > 100 or (complete and abs(total - 100) > 1e-6):
            raise ValueError(f"group_weights add up to {total:g}, but must to 100 (what is left goes to the other groups)")
        return self

    def needs(self) -> tuple[Need, ...]:
        window_s = self.over.total_seconds()
        return tuple(need for one in self.metrics for need in needs_of(one.metric, window_s))

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        found = []
        for one in self.metrics:
            facts = metrics.get(one.metric)
            if facts is None:
                found.append(f"metric {one.metric!r} is not defined in the plan")
            elif not facts.sided:
                found.append(f"metric {one.metric!r} has no sides; canary_score compares canary with stable")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        results = [self._classify(one, observations, now_s) for one in self.metrics]
        parts = tuple(
            Finding(verdict_of(result.label), f"{one.metric}: {result.label}, {result.reason}", one.metric, result.numbers())
            for one, result in zip(self.metrics, results, strict=True)
        )
        scored = [
            Scored(one.metric, result.label, one.groups, result.critical)
            for one, result in zip(self.metrics, results, strict=True)
        ]
        # A critical metric without data says nothing against the canary; it only says that nobody knows.
        blind = [one.name for one in scored if one.critical and verdict_of(one.label) is Verdict.INCONCLUSIVE]
        failed = [one.name for one in scored if one.critical and verdict_of(one.label) is Verdict.FAIL]
        missing = [one.name for one in scored if verdict_of(one.label) is Verdict.INCONCLUSIVE]
        if not failed and (blind or len(missing) / len(scored) * 100 >= NODATA_LIMIT_PERCENT):
            return self.finding(Verdict.INCONCLUSIVE, f"no score: no data for {', '.join(blind or missing)}", parts=parts)
        score = kayenta_score(scored, self.group_weights)
        verdict, said = Verdict.INCONCLUSIVE, f"between {self.marginal:g} and {self.pass_at:g} (marginal)"
        if score.score >= self.pass_at:
            verdict, said = Verdict.PASS, f">= {self.pass_at:g}"
        elif score.score < self.marginal or failed:
            verdict, said = Verdict.FAIL, f"< {self.marginal:g}"
        reason = f"canary score {score.score:g} {said}" + (f"; {score.reason}" if score.reason else "")
        numbers = {"score": score.score, **{f"score.{group}": value for group, value in score.groups.items()}}
        return self.finding(verdict, reason, numbers=numbers, parts=parts)

    def _classify(self, one: ScoredMetric, observations: Observations, now_s: float) -> RankSumResult:
        sides = take_sides(observations, one.metric, window_s=self.over.total_seconds(), now_s=now_s)
        if isinstance(sides, str):
            return RankSumResult(Label.NODATA, sides, critical=one.critical)
        fewest = min(sides.samples().values())
        if fewest < self.min_samples:
            reason = f"{fewest} samples < at least {self.min_samples}"
            return RankSumResult(Label.NODATA, reason, critical=one.critical)
        return rank_sum_test(sides.stable.values, sides.canary.values, one.options())


def _group_score(labels: Sequence[Label]) -> float | None:
    """None when none of the metrics has data; Kayenta then counts the group in full."""
    counted = [label for label in labels if label in _WITH_DATA]
    if not counted:
        return None
    return sum(label is Label.PASS for label in counted) / len(counted) * 100
