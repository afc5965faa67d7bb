"""The Mann-Whitney statistic: how far one sample is shifted against another, with an exact confidence interval.

The shift, its interval and the p-value are those of R's `wilcox.test(experiment, control, conf.int=TRUE, exact=FALSE)`,
which Kayenta's judge ports: normal approximation, continuity correction, variance corrected for ties (Hollander and
Wolfe, Nonparametric Statistical Methods, 1973; Bauer, JASA 67, 1972). R and Kayenta look for the limits with a root
finder that stops 1e-4 short. On a metric whose values are themselves about 1e-4 (an error ratio) that error is as large
as the effect, and their lower limit can lie above the upper one. Here the limits are exact by construction: the
statistic only steps at the pairwise differences, so each limit is one of the differences, chosen by its rank.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gates.observation import FloatArray
from gates.pair_differences import differences_at, distinct

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Shift:
    """Experiment minus control: the Hodges-Lehmann estimate, its limits, the two-sided p-value, in the metric's unit."""

    estimate: float
    lower: float
    upper: float
    p_value: float


def location_shift(control: FloatArray, experiment: FloatArray, *, confidence: float) -> Shift:
    """The shift of `experiment` against `control`; both finite, ascending and not empty, `confidence` between 0 and 1."""
    pairs = control.size * experiment.size
    together = np.concatenate([control, experiment])
    together.sort()
    tied = _tied(together)
    # Of the statistic between two steps, where only ties within a side count: a shift breaks those across.
    within = tied and _tied(control) + _tied(experiment)
    sigma = _sigma(control.size, experiment.size, within)
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2) * sigma
    beyond = min(math.floor(pairs / 2 + 0.5 + reach), pairs - 1)
    low, high = (pairs - 1) // 2, pairs // 2
    lower, middle_low, middle_high, upper = differences_at(control, experiment, (pairs - 1 - beyond, low, high, beyond))
    return Shift(middle_low / 2 + middle_high / 2, lower, upper, _p_value(control, experiment, tied))


def superiority(control: FloatArray, experiment: FloatArray) -> float:
    """The common language effect size: the share of pairs in which `experiment` is the higher, ties counted half.

    Both ascend. Vargha and Delaney, Journal of Educational and Behavioral Statistics 25(2), 2000. 0.5 is no effect.
    """
    return _won(control, experiment) / (control.size * experiment.size)


def smallest_p_value(control_size: int, experiment_size: int) -> float:
    """The p-value of the most extreme ordering: with fewer samples than this needs, nothing can be significant."""
    return 2.0 / math.comb(control_size + experiment_size, control_size)


def _won(control: FloatArray, experiment: FloatArray) -> float:
    """The pairs in which `experiment` is the higher, ties counted half; exact."""
    below = int(control.searchsorted(experiment).sum())
    not_above = int(control.searchsorted(experiment, side="right").sum())
    return (below + not_above) / 2


def _p_value(control: FloatArray, experiment: FloatArray, tied: float) -> float:
    distance = abs(_won(control, experiment) - control.size * experiment.size / 2)
    sigma = _sigma(control.size, experiment.size, tied)
    if sigma == 0:
        return 1.0
    return 2.0 * _NORMAL.cdf(-max(distance - 0.5, 0.0) / sigma)


def _sigma(control_size: int, experiment_size: int, tied: float) -> float:
    total = control_size + experiment_size
    spread = total + 1 - tied / (total * (total - 1))
    return math.sqrt(max(control_size * experiment_size / 12 * spread, 0.0))


def _tied(ordered: FloatArray) -> float:
    """The sum of t³ - t over the groups of t equal values, which are ascending."""
    counts = distinct(ordered)[1]
    if counts.size == ordered.size:
        return 0.0
    often = counts.astype(np.float64)
    return float((often**3 - often).sum())
