"""The shift and its limits: against R's published values, against R's definition, and against scipy's p-value."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gates import pair_differences
from gates.mann_whitney import location_shift, smallest_p_value, superiority
from gates.observation import FloatArray

# From R 3.x: wilcox.test(x, y, conf.int = TRUE), as quoted in Kayenta's own tests. R stops its root finder 1e-4 short.
R_TOLERANCE = 1e-4
R_CONTROL = [
    *(1.5, 6.0, 5.0, 2.5, 2.5, 2.0, 2.0, 3.5, 3.0, 3.0, 3.0, 2.0, 3.0, 8.0, 4.0, 2.5, 3.0, 2.5, 2.5, 2.0, 2.5, 2.0, 2.0),
    *(2.5, 3.5, 3.0, 1.5, 5.0, 2.5, 5.5, 2.0, 2.5, 3.5, 2.0, 2.5, 4.0, 2.0, 2.0, 2.0, 2.0, 5.5, 4.5, 4.0, 3.0, 3.0, 3.5),
    *(2.5, 3.0, 2.5, 4.0, 6.0, 2.0, 5.0, 6.0, 3.5, 3.0, 54.5, 3.0, 5.0, 6.0, 3.5, 4.5, 2.5, 2.0, 6.0, 5.0, 2.5, 3.5, 2.0),
    *(3.0, 2.5, 3.5, 3.5, 2.5, 3.0, 4.5, 3.0, 15.5, 5.0, 2.5, 3.0, 4.0, 3.5, 4.0, 4.0, 2.0, 4.5, 2.5, 4.0, 3.0),
]
R_EXPERIMENT = [
    *(2.5, 2.5, 2.0, 2.5, 3.5, 2.0, 3.5, 1.5, 3.0, 3.0, 2.5, 3.5, 2.0, 2.5, 2.0, 2.0, 5.0, 3.0, 2.0, 1.5, 2.0, 4.0, 3.0),
    *(2.5, 3.0, 2.0, 2.0, 2.0, 2.5, 3.5, 1.5, 1.5, 3.5, 2.0, 2.5, 2.5, 3.0, 3.5, 2.5, 6.5, 2.5, 4.0, 2.5, 3.0, 2.5, 6.5),
    *(2.5, 3.0, 1.5, 2.0, 2.5, 3.0, 7.5, 1.5, 2.0, 4.0, 2.5, 2.0, 2.5, 3.5, 4.0, 2.5, 3.0, 2.5, 2.0, 3.5, 3.0, 16.5, 3.0),
    *(3.0, 7.0, 4.5, 5.0, 2.0, 3.5, 6.0, 1.5, 3.0, 2.5, 4.0, 3.0, 1.5, 5.0, 3.0, 2.5, 5.5, 3.0, 1.5, 2.5, 6.0),
]
R_TIED_CONTROL = [
    *(0.0, 21.9000000000001, 30.2833333333334, 29.45, 32.1, 31.1166666666667, 33.5, 32.1166666666667, 32.7, 33.85),
    *(32.6833333333334, 33.5166666666667, 33.6, 34.3, 33.05),
]
R_TIED_EXPERIMENT = [
    *(0.0, 20.95, 30.5666666666667, 31.4, 32.1166666666667, 31.9833333333334, 31.1833333333334, 32.35, 33.25),
    *(32.8000000000001, 34.5166666666667, 33.4166666666667, 35.8833333333334, 35.0666666666667, 33.9),
]

few_values = st.lists(st.integers(0, 9).map(float), min_size=2, max_size=25)
# Multiples of 1/1024, which add and subtract without rounding, as R's definition is checked by shifting one sample.
many_values = st.lists(st.integers(-(10**9), 10**9).map(lambda number: number / 1024), min_size=2, max_size=25)


def as_array(values: list[float]) -> FloatArray:
    return np.sort(np.array(values, dtype=np.float64))


def statistic_of_r(control: FloatArray, experiment: FloatArray) -> Callable[[float], float]:
    """The z value that R's root finder looks at, as a function of the shift."""
    m, n = experiment.size, control.size

    def value(shift: float) -> float:
        ranks = stats.rankdata(np.concatenate([experiment - shift, control]))
        distance = ranks[:m].sum() - m * (m + 1) / 2 - m * n / 2
        tied = np.unique(ranks, return_counts=True)[1]
        variance = m * n / 12 * (m + n + 1 - (tied**3 - tied).sum() / ((m + n) * (m + n - 1)))
        return float((distance - np.sign(distance) * 0.5) / math.sqrt(variance))

    return value


@pytest.mark.parametrize(
    ("control", "experiment", "confidence", "estimate", "lower", "upper"),
    [
        (R_CONTROL, R_EXPERIMENT, 0.95, -0.4999393907180323, -0.500002521696696, -3.486287505871302e-05),
        (R_TIED_CONTROL, R_TIED_EXPERIMENT, 0.99, None, -1.866663, 2.899996),
    ],
    ids=["many ties", "few ties"],
)
def test_limits_are_those_of_r_within_its_own_tolerance(
    control: list[float],
    experiment: list[float],
    confidence: float,
    estimate: float | None,
    lower: float,
    upper: float,
) -> None:
    """R's numbers, to the 1e-4 to which R itself is exact."""
    shift = location_shift(as_array(control), as_array(experiment), confidence=confidence)
    assert shift.lower == pytest.approx(lower, abs=R_TOLERANCE)
    assert shift.upper == pytest.approx(upper, abs=R_TOLERANCE)
    if estimate is not None:
        assert shift.estimate == pytest.approx(estimate, abs=R_TOLERANCE)


def test_limits_are_exactly_the_steps_that_r_approaches() -> None:
    """Where R answers -0.5000025 and -0.0000349, the samples are multiples of a half and so are the limits."""
    shift = location_shift(as_array(R_CONTROL), as_array(R_EXPERIMENT), confidence=0.95)
    assert (shift.estimate, shift.lower, shift.upper) == (-0.5, -0.5, 0.0)


@settings(max_examples=150, deadline=None)
@given(control=few_values | many_values, experiment=few_values | many_values, confidence=st.sampled_from([0.9, 0.95, 0.98]))
def test_limits_are_where_the_statistic_steps_over_the_quantile(
    control: list[float], experiment: list[float], confidence: float
) -> None:
    """By brute force: the first and the last pairwise difference at which R's statistic crosses its quantile."""
    one, two = as_array(control), as_array(experiment)
    steps = np.unique(np.subtract.outer(two, one))
    between = steps[:-1] / 2 + steps[1:] / 2
    value, quantile = statistic_of_r(one, two), float(stats.norm.ppf(0.5 + confidence / 2))
    lower = next((step for step, at in zip(steps, between, strict=False) if value(at) <= quantile), steps[-1])
    upper = next((step for step, at in zip(steps[::-1], between[::-1], strict=False) if value(at) >= -quantile), steps[0])
    shift = location_shift(one, two, confidence=confidence)
    assert shift.lower == pytest.approx(lower, rel=1e-9, abs=1e-9)
    assert shift.upper == pytest.approx(upper, rel=1e-9, abs=1e-9)
    assert shift.lower <= shift.estimate <= shift.upper


@settings(max_examples=100, deadline=None)
@given(control=few_values | many_values, experiment=few_values | many_values)
def test_estimate_is_the_median_of_the_differences(control: list[float], experiment: list[float]) -> None:
    """Hodges and Lehmann's definition."""
    one, two = as_array(control), as_array(experiment)
    expected = float(np.median(np.subtract.outer(two, one)))
    assert location_shift(one, two, confidence=0.98).estimate == pytest.approx(expected, rel=1e-12, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(control=few_values | many_values, experiment=few_values | many_values)
def test_p_value_is_that_of_scipy(control: list[float], experiment: list[float]) -> None:
    """The asymptotic two-sided p-value with continuity correction."""
    one, two = as_array(control), as_array(experiment)
    p_value = location_shift(one, two, confidence=0.98).p_value
    theirs = float(stats.mannwhitneyu(two, one, method="asymptotic").pvalue)
    assert p_value == pytest.approx(1.0 if math.isnan(theirs) else theirs, rel=1e-6)


@pytest.mark.parametrize(("control", "experiment"), [([1.0], [2.0, 3.0]), ([1.0], [2.0]), ([1.0, 1.0], [2.0])])
def test_p_value_of_very_few_samples_is_that_of_scipy(control: list[float], experiment: list[float]) -> None:
    """Where the variance is below 1."""
    theirs = stats.mannwhitneyu(experiment, control, method="asymptotic").pvalue
    assert location_shift(as_array(control), as_array(experiment), confidence=0.98).p_value == pytest.approx(theirs)


@settings(max_examples=100, deadline=None)
@given(control=few_values, experiment=few_values)
def test_superiority_is_the_share_of_pairs_won(control: list[float], experiment: list[float]) -> None:
    """By counting all pairs, ties half."""
    one, two = as_array(control), as_array(experiment)
    differences = np.subtract.outer(two, one)
    share = ((differences > 0).sum() + 0.5 * (differences == 0).sum()) / differences.size
    assert superiority(one, two) == pytest.approx(share)


@settings(max_examples=100, deadline=None)
@given(control=few_values, experiment=few_values)
def test_counting_finds_the_difference_of_every_rank(control: list[float], experiment: list[float]) -> None:
    """Down to the float, ties and both ends included."""
    one, two = as_array(control), as_array(experiment)
    ordered = np.sort(np.subtract.outer(two, one), axis=None)
    found = [pair_differences.difference_by_counting(one, two, rank) for rank in range(ordered.size)]
    assert found == pytest.approx(ordered.tolist(), abs=1e-12)


def test_swapping_the_sides_mirrors_the_interval() -> None:
    """Nothing prefers a side."""
    there = location_shift(as_array(R_CONTROL), as_array(R_EXPERIMENT), confidence=0.98)
    back = location_shift(as_array(R_EXPERIMENT), as_array(R_CONTROL), confidence=0.98)
    assert (back.lower, back.upper, back.estimate) == (-there.upper, -there.lower, -there.estimate)


def test_large_samples_give_the_same_without_a_matrix_of_pairs() -> None:
    """Beyond the limit of pairs in memory, counting finds the same differences."""
    rng = np.random.default_rng(1)
    control, experiment = np.sort(rng.normal(0, 1, 1500).round(3)), np.sort(rng.normal(0.1, 1, 1200).round(3))
    assert control.size * experiment.size > pair_differences.PAIRS_AT_ONCE
    ordered = np.sort(np.subtract.outer(experiment, control), axis=None)
    shift = location_shift(control, experiment, confidence=0.98)
    assert shift.estimate == pytest.approx(float(np.median(ordered)), abs=1e-12)
    for limit in (shift.lower, shift.upper):
        nearest = ordered[np.argmin(np.abs(ordered - limit))]
        assert limit == pytest.approx(float(nearest), abs=1e-12)


@pytest.mark.parametrize(("size", "least"), [(3, 0.1), (5, 2 / 252), (1, 1.0)])
def test_smallest_p_value_is_that_of_the_most_extreme_order(size: int, least: float) -> None:
    """Two of all arrangements are the most extreme."""
    assert smallest_p_value(size, size) == pytest.approx(least)
