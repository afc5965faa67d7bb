"""Canary against stable by ranks: the Mann-Whitney judge of Kayenta, as a condition and as a plain function.

It decides as Kayenta's NetflixACAJudge and MannWhitneyClassifier do: at 98 % confidence, the whole interval of the shift
has to lie beyond 25 % of the Hodges-Lehmann estimate, and the effect size has to reach what is allowed. Three things
differ on purpose. The limits are exact (see `mann_whitney`). No data is Nodata under every NaN strategy, where Kayenta
passes an empty side under `replace`. Two constant sides are judged by their exact shift, where Kayenta adds noise.

It is here for teams that come from Kayenta. It assumes independent samples and one look; on autocorrelated metrics looked
at again and again its false alarms explode (`benchmarks/judges.py` measures it). `sequential` is the default judge.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite, isnan, nan
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts
from gates.mann_whitney import Shift, location_shift, smallest_p_value, superiority
from gates.observation import FloatArray, Need, Observations
from gates.two_sides import LONGEST, needs_of, take_sides
from gates.units import Duration, format_duration, show
from gates.verdict import Finding, Verdict

Worse = Literal["higher", "lower", "either"]
NanStrategy = Literal["remove", "replace"]
EffectSize = Literal["mean_ratio", "cles"]


class Label(StrEnum):
    """Kayenta's classification of one metric."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL_METRIC = "NodataFailMetric"
    """No data, where the configuration says that there must be (`must_have_data`) and the metric is not critical."""
    ERROR = "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSumOptions:
    """Kayenta's settings of one metric, with its defaults, but for `nan`: a missing sample is no zero unless asked.

    The four effect limits are ratios (mean_ratio) or probabilities (cles); None is no effect, 1 or 0.5.
    """

    confidence: float = 0.98
    tolerance: float = 0.25
    worse: Worse = "either"
    nan: NanStrategy = "remove"
    effect_size: EffectSize = "mean_ratio"
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical: bool = False
    critical_increase: float | None = None
    critical_decrease: float | None = None
    must_have_data: bool = False
    outlier_factor: float | None = None
    """Leave out samples beyond the quartiles by so many interquartile ranges (Kayenta: 3) and beyond 1 % and 99 %."""

    def limit(
        self, name: Literal["allowed_increase", "allowed_decrease", "critical_increase", "critical_decrease"]
    ) -> float:
        """The limit as set, or no effect."""
        chosen: float | None = getattr(self, name)
        if chosen is not None:
            return chosen
        return 0.5 if self.effect_size == "cles" else 1.0


@dataclass(frozen=True, slots=True)
class RankSumResult:
    """The label and all that led to it. NaN where there was nothing to compute."""

    label: Label
    reason: str
    critical: bool = False
    """The metric is critical and failed: the score of its canary is 0."""
    estimate: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    p_value: float = float("nan")
    mean_ratio: float = float("nan")
    effect_size: float = float("nan")
    n_control: int = 0
    n_experiment: int = 0

    def numbers(self) -> dict[str, float]:
        """What of it is a number and known."""
        return {name: float(value) for name in _NUMBERS if (value := getattr(self, name)) == value}

    def as_json(self) -> dict[str, object]:
        """JSON-ready; NaN is null."""
        return {key: None if value != value else value for key, value in asdict(self).items()}  # noqa: PLR0124


_NUMBERS = ("estimate", "lower", "upper", "p_value", "mean_ratio", "effect_size", "n_control", "n_experiment")


def rank_sum_test(control: FloatArray, experiment: FloatArray, options: RankSumOptions | None = None) -> RankSumResult:
    """Classify `experiment` against `control`, arrays in any order, NaN where a sample is missing. Never raises."""
    options = options or RankSumOptions()
    with np.errstate(all="ignore"):
        return _classify(_prepared(control, options), _prepared(experiment, options), options)


class RankSum(Condition):
    """`rank_sum`: the canary's samples since the last change of the weight (at most `over`) rank as the stable side's do."""

    metric: str
    over: Duration = LONGEST
    worse: Worse = "either"
    confidence: float = Field(default=0.98, gt=0.5, lt=1)
    tolerance: float = Field(default=0.25, ge=0)
    nan: NanStrategy = "remove"
    effect_size: EffectSize = "mean_ratio"
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    outlier_factor: float | None = Field(default=None, gt=0)
    min_samples: int = Field(default=10, ge=5)

    @model_validator(mode="after")
    def _can_be_significant(self) -> Self:
        least = smallest_p_value(self.min_samples, self.min_samples)
        if least > 1 - self.confidence:
            raise ValueError(
                f"min_samples {self.min_samples} on each side give at best p = {least:.2g} > {1 - self.confidence:.2g},"
                f" so that nothing could ever be found at confidence {self.confidence}: ask for more samples"
            )
        return self

    def needs(self) -> tuple[Need, ...]:
        return needs_of(self.metric, self.over.total_seconds())

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [f"metric {self.metric!r} is not defined in the plan"]
        found = []
        if not facts.sided:
            found.append(f"metric {self.metric!r} has no sides; rank_sum compares canary with stable")
        possible = self.over.total_seconds() / facts.interval_s if facts.interval_s > 0 else 0.0
        if possible < self.min_samples:
            found.append(
                f"{self.metric!r}: {format_duration(self.over)} holds {possible:.0f} samples"
                f" < min_samples {self.min_samples}; the judge could never pass: make `over` longer"
            )
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        sides = take_sides(observations, self.metric, window_s=self.over.total_seconds(), now_s=now_s)
        if isinstance(sides, str):
            return self.unknown(sides)
        taken = sides.samples()
        fewest = min(taken, key=lambda side: taken[side])
        if taken[fewest] < self.min_samples:
            return self.unknown(f"{self.metric} of {fewest}: {taken[fewest]} samples < at least {self.min_samples}")
        result = rank_sum_test(sides.stable.values, sides.canary.values, self._options())
        return self.finding(
            verdict_of(result.label),
            f"{self.metric}: {self._said(result, sides.canary.unit)}",
            numbers=result.numbers(),
        )

    def _options(self) -> RankSumOptions:
        return RankSumOptions(
            confidence=self.confidence,
            tolerance=self.tolerance,
            worse=self.worse,
            nan=self.nan,
            effect_size=self.effect_size,
            allowed_increase=self.allowed_increase,
            allowed_decrease=self.allowed_decrease,
            outlier_factor=self.outlier_factor,
        )

    def _said(self, result: RankSumResult, unit: str) -> str:
        if not isfinite(result.estimate):
            return f"{result.label}, {result.reason}"
        return (
            f"{result.label}, canary − stable {show(result.estimate, unit)}, {self.confidence:.4g} interval"
            f" {show(result.lower, unit)} to {show(result.upper, unit)},"
            f" tolerance ±{show(self.tolerance * abs(result.estimate), unit)}"
        )


def verdict_of(label: Label) -> Verdict:
    """What a label says of one metric in a gate."""
    match label:
        case Label.PASS:
            return Verdict.PASS
        case Label.HIGH | Label.LOW:
            return Verdict.FAIL
        case Label.NODATA | Label.NODATA_FAIL_METRIC | Label.ERROR:
            return Verdict.INCONCLUSIVE


def _prepared(values: FloatArray, options: RankSumOptions) -> FloatArray:
    values = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(values)
    if not finite.any():
        return values[:0]
    kept = values[finite] if options.nan == "remove" else np.where(finite, values, 0.0)
    if options.outlier_factor is None:
        return kept
    p01, p25, p75, p99 = np.percentile(kept, [1, 25, 75, 99])
    reach = options.outlier_factor * (p75 - p25)
    inside: FloatArray = kept[(kept >= min(p01, p25 - reach)) & (kept <= max(p99, p75 + reach))]
    return inside


def _classify(control: FloatArray, experiment: FloatArray, options: RankSumOptions) -> RankSumResult:
    sizes = {"n_control": int(control.size), "n_experiment": int(experiment.size)}
    if control.size == 0 or experiment.size == 0:
        missing = "control" if control.size == 0 else "experiment"
        required = options.must_have_data and not options.critical
        label = Label.NODATA_FAIL_METRIC if required else Label.NODATA
        return RankSumResult(label, f"no data of the {missing}", critical=options.critical, **sizes)
    control, experiment = np.sort(control), np.sort(experiment)
    if control.size == experiment.size and bool((control == experiment).all()):
        return RankSumResult(Label.PASS, "both sides hold the same values", False, 0.0, 0.0, 0.0, 1.0, 1.0, **sizes)
    if control.size == experiment.size == 1:
        return RankSumResult(Label.ERROR, "one sample a side cannot be ranked", critical=options.critical, **sizes)
    shift = location_shift(control, experiment, confidence=options.confidence)
    ratio = _mean_ratio(control, experiment)
    effect = superiority(control, experiment) if options.effect_size == "cles" else ratio
    if not (isfinite(shift.estimate) and isfinite(shift.lower) and isfinite(shift.upper)):
        reason = "the values are too large to subtract from each other"
        return RankSumResult(Label.ERROR, reason, critical=options.critical, **sizes)
    label = _label(shift, effect, options)
    return RankSumResult(
        label,
        f"the shift {shift.estimate:.6g} has the limits {shift.lower:.6g} and {shift.upper:.6g}",
        _fails_critically(label, effect, options),
        shift.estimate,
        shift.lower,
        shift.upper,
        shift.p_value,
        ratio,
        effect,
        **sizes,
    )


def _mean_ratio(control: FloatArray, experiment: FloatArray) -> float:
    """NaN, which Kayenta then ignores, when either mean is zero."""
    mean_control, mean_experiment = float(control.sum()) / control.size, float(experiment.sum()) / experiment.size
    return mean_experiment / mean_control if mean_control and mean_experiment else nan


def _label(shift: Shift, effect: float, options: RankSumOptions) -> Label:
    tolerated = options.tolerance * abs(shift.estimate)
    unknown = isnan(effect)
    if options.worse != "lower" and shift.lower > tolerated and (unknown or effect >= options.limit("allowed_increase")):
        return Label.HIGH
    if options.worse != "higher" and shift.upper < -tolerated and (unknown or effect <= options.limit("allowed_decrease")):
        return Label.LOW
    return Label.PASS


def _fails_critically(label: Label, effect: float, options: RankSumOptions) -> bool:
    if not options.critical or label is Label.PASS:
        return False
    if label is Label.HIGH:
        return isnan(effect) or effect >= options.limit("critical_increase")
    return isnan(effect) or effect <= options.limit("critical_decrease")
