"""Errors of requests on two sides: an interval for the difference of the rates, valid at every look.

Two things make the observed rates differ on healthy sides, and both are in the interval:

- sampling: errors are counted among a finite number of requests. The binomial variance is known from the counts, so its
  share is the normal-mixture boundary in the information gathered so far (Robbins 1970; Howard et al., Annals of
  Statistics 49(2), 2021, eq. 14; Waudby-Smith et al., Annals of Statistics 52(6), 2024, for estimated variances);
- drift: the rates themselves wander, slowly enough that within one soak it may not average out at all. So drift is
  charged in full, as if it were one constant offset between the sides.

The size of drift is what a short soak cannot tell. It is a blend: a prior that each side wanders by 10 % of the rate
(standard deviation), worth 10 intervals, against the overdispersion measured in the paired differences and in the stable
side's history before the canary, each weighted by how much of it is not sampling noise. What is assumed, then: before
anything was measured a healthy rate wanders by no more than about 20 % of itself, and more only if the history shows it.
A service whose error rate wanders more needs history or a larger minimum effect. `benchmarks/judges.py` has the numbers.

That is why a rate can be judged within two intervals where a bare series needs dozens: the counts say how large noise is.
"""

import math
from statistics import NormalDist

from gates.confidence_sequence import Interval
from gates.observation import FloatArray

FEWEST_INTERVALS = 2
PRIOR_DRIFT = 0.1
"""Standard deviation of a healthy side's true rate, as a share of the rate, before anything was measured."""
PRIOR_INTERVALS = 10.0
_DRAWS = 20
"""The running mean of slow drift exceeds a limit about as often as the largest of so many draws, at most."""


class Counts:
    """Error ratio (0 to 1) and requests (> 0) per interval, in order of time; over all of them:

    `total` requests, the `rate` of errors, and the `cautious_rate`, with half an error added, so that no error at all does
    not claim to be sure.
    """

    def __init__(self, ratios: FloatArray, requests: FloatArray) -> None:
        self.ratios, self.requests = ratios, requests
        self.total = float(requests.sum())
        self.rate = float((ratios * requests).sum()) / self.total if self.total else math.nan
        self.cautious_rate = (self.rate * self.total + 0.5) / (self.total + 1.0)

    def sampling_variance(self, rate: float) -> float:
        """Of one interval's ratio."""
        return rate * (1 - rate) * (float((1 / self.requests).sum()) / self.requests.size)


def rate_difference(
    stable: Counts, canary: Counts, history: Counts | None, *, alpha: float, effect: float
) -> Interval | str:
    """Canary minus stable. `stable` and `canary` are paired in time; `effect` is the difference that matters (> 0 helps)."""
    n = int(stable.ratios.size)
    if n < FEWEST_INTERVALS:
        return f"{n} intervals with requests on both sides < at least {FEWEST_INTERVALS}"
    base = stable.cautious_rate
    high = max(base, canary.cautious_rate)
    variance = high * (1 - high) / canary.total + base * (1 - base) / stable.total
    information = max(effect, base / 2) ** 2 / variance
    sampling = variance * (1 + 1 / information) * math.log((1 + information) / alpha**2)
    drift = _drift_variance(stable, canary, history)
    reach = math.sqrt(sampling + NormalDist().inv_cdf(1 - alpha / (2 * _DRAWS)) ** 2 * drift)
    estimate = canary.rate - stable.rate
    return Interval(estimate, estimate - reach, estimate + reach, n, n * variance / (variance + drift))


def _drift_variance(stable: Counts, canary: Counts, history: Counts | None) -> float:
    """Variance of the drift between two healthy sides."""
    base = stable.cautious_rate
    prior = 2 * (PRIOR_DRIFT * base) ** 2
    sampling = stable.sampling_variance(base) + canary.sampling_variance(canary.cautious_rate)
    sources = [(canary.ratios - stable.ratios, sampling, 1.0)]
    if history is not None and history.ratios.size >= FEWEST_INTERVALS:
        rate = history.cautious_rate
        # One side's history stands for both, at today's rate.
        sources.append((history.ratios, history.sampling_variance(rate), 2 * (base / rate) ** 2))
    total, weight = PRIOR_INTERVALS * prior, PRIOR_INTERVALS
    for values, noise, scale in sources:
        excess = max(_variance(values) - noise, 0.0) * scale
        counted = (values.size - 1) * ((prior + excess) / (prior + excess + noise * scale)) ** 2
        total, weight = total + counted * excess, weight + counted
    return total / weight


def _variance(values: FloatArray) -> float:
    """As np.var(values, ddof=1) has it, to the last digit."""
    centred = values - values.sum() / values.size
    return float((centred * centred).sum()) / (values.size - 1)
