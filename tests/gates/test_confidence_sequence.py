"""The interval for an autocorrelated mean: against the likelihood written out, invariances, and what it refuses."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gates.confidence_sequence import FEWEST_POINTS, Interval, autocorrelated_mean
from gates.observation import FloatArray


def interval_of(values: FloatArray, alpha: float = 0.01) -> Interval:
    found = autocorrelated_mean(values, alpha=alpha)
    assert isinstance(found, Interval)
    return found


def wave(points: int, rho: float, *, seed: int = 3) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(points)
    for place in range(1, points):
        values[place] = rho * values[place - 1] + math.sqrt(1 - rho**2) * values[place]
    return values


def log_likelihoods(values: FloatArray) -> Callable[[float], float]:
    """Of a mean, by the general multivariate normal: stationary AR(1) at its best variance and autocorrelation."""
    n, shapes = values.size, []
    for rho in 1 - np.exp(np.linspace(0, math.log(0.02), 25)):
        shape = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (1 - rho**2)
        shapes.append((np.linalg.inv(shape), np.linalg.slogdet(shape).logabsdet))

    def of(mean: float) -> float:
        away = values - mean
        return max(-n / 2 * (math.log(2 * math.pi * (away @ inverse @ away) / n) + 1) - size / 2 for inverse, size in shapes)

    return of


def likelihood_limits(values: FloatArray, alpha: float) -> tuple[float, float]:
    """Bisection on the likelihood ratio, for one scale."""
    log_likelihood = log_likelihoods(values)
    centre = max(np.linspace(values.min(), values.max(), 400), key=log_likelihood)
    crossed = 2 * math.log(1 / alpha) + math.log(1 + values.size / 100) + 6.0
    top = log_likelihood(centre)
    limits = []
    for direction in (-1, 1):
        inside, outside = 0.0, 100.0
        for _ in range(40):
            middle = (inside + outside) / 2
            kept = 2 * (top - log_likelihood(centre + direction * middle)) <= crossed
            inside, outside = (middle, outside) if kept else (inside, middle)
        limits.append(centre + direction * inside)
    return limits[0], limits[1]


def test_the_likelihood_written_out_is_scipys() -> None:
    """Its multivariate normal, at the best variance of each autocorrelation."""
    values, mean, known = wave(12, 0.5), 0.3, []
    for rho in 1 - np.exp(np.linspace(0, math.log(0.02), 25)):
        shape = rho ** np.abs(np.subtract.outer(np.arange(12), np.arange(12))) / (1 - rho**2)
        variance = (values - mean) @ np.linalg.solve(shape, values - mean) / 12
        known.append(stats.multivariate_normal.logpdf(values, np.full(12, mean), variance * shape))
    assert log_likelihoods(values)(mean) == pytest.approx(float(max(known)))


@pytest.mark.parametrize(
    ("points", "rho", "alpha", "jump", "seed"),
    [
        (12, 0.0, 0.2, 0.0, 11),
        (19, 0.0, 0.01, 0.0, 11),
        (19, 0.6, 0.05, 0.0, 11),
        (18, 0.8, 0.2, 30.0, 11),
        (20, 0.3, 0.1, 0.0, 11),
        (21, -0.7, 0.1, 0.0, 13),
    ],
    ids=["white", "white, sure", "wave", "a wave that begins far off", "means are wider", "points are wider"],
)
def test_limits_are_those_of_the_likelihood_written_out(
    points: int, rho: float, alpha: float, jump: float, seed: int
) -> None:
    """The closed form against a general multivariate normal; from 20 points on the hull of two scales."""
    values = wave(points, rho, seed=seed)
    values[0] += jump
    scales = [values] if points < 20 else [values, values[points % 2 :].reshape(-1, 2).mean(axis=1)]
    limits = [likelihood_limits(one, alpha) for one in scales]
    found = interval_of(values, alpha)
    assert found.lower == pytest.approx(min(lower for lower, _ in limits), rel=1e-3)
    assert found.upper == pytest.approx(max(upper for _, upper in limits), rel=1e-3)


@pytest.mark.parametrize("points", [20, 21, 60])
def test_from_twenty_points_on_the_means_of_neighbours_count_too(points: int) -> None:
    """The interval holds that of the series of means, so that a wave under noise shows."""
    values = wave(points, 0.9) + np.random.default_rng(5).standard_normal(points)
    halved = values[points % 2 :].reshape(-1, 2).mean(axis=1)
    whole, coarse = interval_of(values), interval_of(halved) if halved.size < 20 else None
    if coarse is not None:
        assert whole.lower <= coarse.lower + 1e-9
        assert whole.upper >= coarse.upper - 1e-9


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    points=st.integers(FEWEST_POINTS, 80),
    shift=st.floats(-100, 100),
    scale=st.floats(1e-3, 1e6),
)
def test_shift_and_scale_go_through(seed: int, points: int, shift: float, scale: float) -> None:
    """Another unit gives the same interval in that unit, and the estimate is the mean, inside."""
    values = wave(points, 0.5, seed=seed)
    plain, moved = interval_of(values), interval_of(shift + scale * values)
    assert moved.lower == pytest.approx(shift + scale * plain.lower, rel=1e-6, abs=1e-6 * scale)
    assert moved.upper == pytest.approx(shift + scale * plain.upper, rel=1e-6, abs=1e-6 * scale)
    assert plain.lower < plain.estimate < plain.upper
    assert plain.estimate == pytest.approx(float(values.mean()))


def test_mirrored_values_give_the_mirrored_interval() -> None:
    """No side is preferred."""
    values = wave(40, 0.7)
    there, back = interval_of(values), interval_of(-values)
    assert (back.lower, back.upper) == pytest.approx((-there.upper, -there.lower))


def test_a_smaller_alpha_gives_a_wider_interval() -> None:
    """More confidence costs width."""
    values = wave(40, 0.3)
    widths = [interval_of(values, alpha).upper - interval_of(values, alpha).lower for alpha in (0.1, 0.01, 0.001)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_more_points_of_white_noise_narrow_it() -> None:
    """Evidence adds up."""
    values = wave(480, 0.0)
    widths = [interval_of(values[:n]).upper - interval_of(values[:n]).lower for n in (30, 120, 480)]
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_a_slow_wave_is_worth_few_points() -> None:
    """The effective number says what the points are worth."""
    assert interval_of(wave(60, 0.0)).n_effective > 40
    assert interval_of(wave(60, 0.95)).n_effective < 8


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "0 points < at least 10"),
        ([1.0, 2.0] * 4 + [1.0], "9 points < at least 10"),
        ([0.0] * 30, "do not vary"),
        ([7.25] * 30, "do not vary"),
        ([1e12 + 1e-5 * place for place in range(30)], "do not vary"),
        ([1.0 + 5e-10 * (-1) ** place for place in range(30)], "do not vary"),
    ],
)
def test_refuses_what_says_nothing(values: list[float], reason: str) -> None:
    """Too few, or all the same but for rounding; without a warning of numpy's."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        found = autocorrelated_mean(np.array(values), alpha=0.01)
    assert isinstance(found, str)
    assert reason in found


def test_more_than_rounding_is_variation() -> None:
    """Twice the billionth that is refused has an interval."""
    assert interval_of(np.array([1.0 + 2e-9 * (-1) ** place for place in range(30)])).lower < 1.0
