"""The sequential judge on plain arrays: canary against stable, valid at every look; `sequential` is its condition.

Around the mean difference of the paired sides stands an interval that covers the true one at all looks together with
probability 1 - alpha (`confidence_sequence` for means and quantiles per interval, `rate_sequence` where the number of
requests is known). FAIL: the whole interval is worse than the smallest effect that matters. PASS: the whole interval is
better than that. Otherwise INCONCLUSIVE, with the numbers: this much data cannot tell.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gates.confidence_sequence import Interval, autocorrelated_mean
from gates.observation import FloatArray
from gates.rate_sequence import Counts, rate_difference
from gates.units import show
from gates.verdict import Verdict

Worse = Literal["higher", "lower", "either"]
DEFAULT_RELATIVE_EFFECT = 0.10
DEFAULT_RELATIVE_RATE_EFFECT = 0.50


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialOptions:
    """`minimum_effect` in the metric's unit, `minimum_relative_effect` as a share of the stable side's mean.

    Where both are given the larger counts, where none is, 10 % of the stable side (50 % for an error rate).
    `control_requests` and `experiment_requests` make the values error ratios (0 to 1) of so many requests each.
    """

    worse: Worse = "higher"
    alpha: float = 0.01
    minimum_effect: float | None = None
    minimum_relative_effect: float | None = None
    control_requests: FloatArray | float | None = None
    experiment_requests: FloatArray | float | None = None

    def effect(self, stable: float, *, default_relative: float) -> float:
        """The smallest difference that matters, given the stable side's mean."""
        relative = self.minimum_relative_effect
        if relative is None:
            relative = default_relative if self.minimum_effect is None else 0.0
        return max(self.minimum_effect or 0.0, relative * abs(stable))


@dataclass(frozen=True, slots=True)
class SequentialResult:
    """The verdict and its numbers, in the metric's unit; NaN where there was nothing to compute."""

    verdict: Verdict
    reason: str
    estimate: float = float("nan")
    lower: float = float("nan")
    upper: float = float("nan")
    minimum_effect: float = float("nan")
    n: int = 0
    n_effective: float = float("nan")

    def numbers(self) -> dict[str, float]:
        """What of it is a number and known."""
        return {name: float(value) for name in _NUMBERS if (value := getattr(self, name)) == value}

    def as_json(self) -> dict[str, object]:
        """JSON-ready: the verdict by name, NaN is null."""
        rows = {key: None if value != value else value for key, value in asdict(self).items()}  # noqa: PLR0124
        return {**rows, "verdict": self.verdict.name}


_NUMBERS = ("estimate", "lower", "upper", "minimum_effect", "n", "n_effective")


def sequential_test(
    control: FloatArray, experiment: FloatArray, options: SequentialOptions | None = None, *, unit: str = ""
) -> SequentialResult:
    """Judge `experiment` against `control`: one value per interval, position by position, NaN where one is missing.

    A side that is longer has history at its start: the ends are aligned. Never raises.
    """
    options = options or SequentialOptions()
    control, experiment = (np.asarray(side, dtype=np.float64).ravel() for side in (control, experiment))
    n = min(control.size, experiment.size)
    with np.errstate(all="ignore"):
        if options.control_requests is None and options.experiment_requests is None:
            return judge_means(control[control.size - n :], experiment[experiment.size - n :], options, unit)
        stable = _with_requests(control, options.control_requests)
        canary = _with_requests(experiment, options.experiment_requests)
        if stable is None or canary is None:
            return unknown("requests are needed for both sides, one number or as many as there are values")
        past = stable.shape[1] - n
        return judge_rates(stable[:, past:], canary[:, canary.shape[1] - n :], stable[:, :past], options)


def unknown(reason: str) -> SequentialResult:
    """Nothing could be computed."""
    return SequentialResult(Verdict.INCONCLUSIVE, reason)


def judge_means(stable: FloatArray, canary: FloatArray, options: SequentialOptions, unit: str) -> SequentialResult:
    """Means or quantiles per interval; both of the same length, NaN where a sample is missing."""
    both = np.isfinite(stable) & np.isfinite(canary)
    stable, canary = stable[both], canary[both]
    if stable.size == 0:
        return unknown("no interval with a value on both sides")
    differences = canary - stable
    if not np.isfinite(differences).all():
        return unknown("the values are too large to subtract from each other")
    effect = options.effect(float(stable.sum()) / stable.size, default_relative=DEFAULT_RELATIVE_EFFECT)
    return _decide(autocorrelated_mean(differences, alpha=options.alpha), effect, options.worse, unit)


def judge_rates(stable: FloatArray, canary: FloatArray, history: FloatArray, options: SequentialOptions) -> SequentialResult:
    """Error ratios (row 0) of requests (row 1); an interval without requests is no evidence. In the unit ratio."""
    both = _usable(stable) & _usable(canary)
    stable, canary, history = (
        side.compress(kept, axis=1) for side, kept in ((stable, both), (canary, both), (history, _usable(history)))
    )
    if stable.shape[1] == 0:
        return unknown("no interval with requests on both sides")
    if any((side[0] > 1).any() for side in (stable, canary, history)):
        return unknown("an error ratio above 1: with `requests`, values are the share of requests that failed")
    sides = Counts(stable[0], stable[1]), Counts(canary[0], canary[1])
    past = Counts(history[0], history[1])
    effect = options.effect(sides[0].cautious_rate, default_relative=DEFAULT_RELATIVE_RATE_EFFECT)
    return _decide(rate_difference(*sides, past, alpha=options.alpha, effect=effect), effect, options.worse, "ratio")


def _decide(interval: Interval | str, effect: float, worse: Worse, unit: str) -> SequentialResult:
    if isinstance(interval, str):
        return unknown(interval)
    numbers = (interval.estimate, interval.lower, interval.upper, effect)
    if not all(math.isfinite(number) for number in numbers):
        return unknown("the values are too large to compute with")
    most = effect if worse != "lower" else np.inf
    least = -effect if worse != "higher" else -np.inf
    if interval.lower > most or interval.upper < least:
        verdict, said = Verdict.FAIL, "wholly worse than"
    elif interval.lower >= least and interval.upper <= most:
        verdict, said = Verdict.PASS, "wholly within"
    else:
        verdict, said = Verdict.INCONCLUSIVE, "not yet on one side of"
    reason = (
        f"canary − stable {show(interval.estimate, unit)}, valid-at-every-look interval {show(interval.lower, unit)} to"
        f" {show(interval.upper, unit)} is {said} the effect that matters, {show(effect, unit)} {worse}"
        f" ({interval.n} intervals)"
    )
    return SequentialResult(verdict, reason, *numbers, interval.n, interval.n_effective)


def _with_requests(ratios: FloatArray, requests: FloatArray | float | None) -> FloatArray | None:
    if requests is None:
        return None
    counted = np.asarray(requests, dtype=np.float64).ravel()
    if counted.size not in (1, ratios.size):
        return None
    return np.array([ratios, np.broadcast_to(counted, ratios.shape)])


def _usable(side: FloatArray) -> NDArray[np.bool_]:
    ratios, requests = side
    usable: NDArray[np.bool_] = (ratios >= 0) & (ratios < np.inf) & (requests >= 1) & (requests < 1e15)
    return usable
