"""The interval for the difference of two error rates: what widens it, what narrows it, what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.confidence_sequence import Interval
from gates.rate_sequence import PRIOR_DRIFT, Counts, rate_difference


def counts(*ratios: float, requests: float = 20_000.0) -> Counts:
    return Counts(np.array(ratios), np.full(len(ratios), requests))


def interval_of(
    stable: Counts, canary: Counts, history: Counts | None = None, *, alpha: float = 0.01, effect: float = 0.0025
) -> Interval:
    found = rate_difference(stable, canary, history, alpha=alpha, effect=effect)
    assert isinstance(found, Interval)
    return found


def width(interval: Interval) -> float:
    return interval.upper - interval.lower


STEADY = counts(0.005, 0.005, 0.005)


def test_rates_are_weighted_by_requests() -> None:
    """Errors of all requests, not the mean of the ratios."""
    side = Counts(np.array([0.0, 0.1]), np.array([900.0, 100.0]))
    assert side.rate == pytest.approx(0.01)
    assert side.cautious_rate == pytest.approx(10.5 / 1001)


def test_the_interval_by_hand() -> None:
    """The formula of the module's docstring, term by term, where nothing but the prior says how much rates drift."""
    found = interval_of(STEADY, counts(0.015, 0.015, 0.015))
    base, high = (300 + 0.5) / 60_001, (900 + 0.5) / 60_001
    variance = high * (1 - high) / 60_000 + base * (1 - base) / 60_000
    information = max(0.0025, base / 2) ** 2 / variance
    sampling = variance * (1 + 1 / information) * math.log((1 + information) / 0.01**2)
    prior = 2 * (PRIOR_DRIFT * base) ** 2
    noise = high * (1 - high) / 20_000 + base * (1 - base) / 20_000
    counted = 2 * (prior / (prior + noise)) ** 2
    drift = 10 * prior / (10 + counted)
    reach = math.sqrt(sampling + 3.4807564043462034**2 * drift)
    assert found.estimate == pytest.approx(0.01)
    assert found.upper - found.estimate == pytest.approx(reach, rel=1e-9)
    assert found.estimate - found.lower == pytest.approx(reach, rel=1e-9)
    assert found.n == 3
    assert found.n_effective == pytest.approx(3 * variance / (variance + drift))


def test_measured_drift_and_history_by_hand() -> None:
    """Each source counts by its excess over sampling noise and by how much of it is not noise."""
    stable, canary, history = counts(0.004, 0.007, 0.005), counts(0.012, 0.006, 0.009), counts(0.002, 0.008)
    base, high, past = (0.016 * 20_000 + 0.5) / 60_001, (0.027 * 20_000 + 0.5) / 60_001, (0.01 * 20_000 + 0.5) / 40_001
    prior = 2 * (PRIOR_DRIFT * base) ** 2
    total, weight = 10 * prior, 10.0
    pair_noise = high * (1 - high) / 20_000 + base * (1 - base) / 20_000
    past_noise, scale = past * (1 - past) / 20_000, 2 * (base / past) ** 2
    for variance, noise, factor, n in (
        (np.var([0.008, -0.001, 0.004], ddof=1), pair_noise, 1.0, 3),
        (np.var([0.002, 0.008], ddof=1), past_noise, scale, 2),
    ):
        excess = (variance - noise) * factor
        share = (n - 1) * ((prior + excess) / (prior + excess + noise * factor)) ** 2
        total, weight = total + share * excess, weight + share
    variance = high * (1 - high) / 60_000 + base * (1 - base) / 60_000
    information = 0.0025**2 / variance if base / 2 < 0.0025 else (base / 2) ** 2 / variance
    sampling = variance * (1 + 1 / information) * math.log((1 + information) / 0.01**2)
    reach = math.sqrt(sampling + 3.4807564043462034**2 * total / weight)
    found = interval_of(stable, canary, history)
    assert found.upper - found.estimate == pytest.approx(reach, rel=1e-9)


def test_measured_drift_widens_it() -> None:
    """Rates that wander between intervals are less sure than those that do not."""
    calm = interval_of(counts(*[0.005] * 12), counts(*[0.005] * 12))
    wandering = interval_of(counts(*[0.003, 0.007] * 6), counts(*[0.007, 0.003] * 6))
    assert width(wandering) > 2 * width(calm)


def test_drift_that_hits_both_sides_alike_does_not() -> None:
    """Pairing cancels it."""
    calm = interval_of(counts(*[0.005] * 12), counts(*[0.005] * 12))
    shared = interval_of(counts(*[0.003, 0.007] * 6), counts(*[0.003, 0.007] * 6))
    assert width(shared) == pytest.approx(width(calm), rel=0.05)


def test_the_stable_sides_history_counts_in_both_directions() -> None:
    """A calm hour narrows the interval, a wandering one widens it; a single interval says nothing."""
    calm, wandering = counts(*[0.005] * 60), counts(*[0.002, 0.008] * 30)
    plain = interval_of(STEADY, STEADY)
    assert width(interval_of(STEADY, STEADY, calm)) < width(plain) < width(interval_of(STEADY, STEADY, wandering))
    assert interval_of(STEADY, STEADY, counts(0.9)) == plain


def test_history_counts_relative_to_its_own_rate() -> None:
    """Twice the rate wandering twice as far is the same drift."""
    low, high = counts(*[0.002, 0.008] * 30, requests=1e9), counts(*[0.004, 0.016] * 30, requests=1e9)
    stable = counts(0.005, 0.005, 0.005, requests=1e9)
    assert width(interval_of(stable, stable, low)) == pytest.approx(width(interval_of(stable, stable, high)), rel=1e-3)


@pytest.mark.parametrize("n", [0, 1])
def test_one_interval_decides_nothing(n: int) -> None:
    """However many requests it holds: one blip must not take a release back."""
    found = rate_difference(counts(*[0.005] * n), counts(*[0.5] * n), None, alpha=0.01, effect=0.0025)
    assert found == f"{n} intervals with requests on both sides < at least 2"


def test_no_errors_at_all_are_not_certainty() -> None:
    """Zero of a few thousand says that the rate is low, not that it is zero."""
    found = interval_of(counts(0.0, 0.0, requests=1000.0), counts(0.0, 0.0, requests=1000.0), effect=0.0)
    assert 0.001 < found.upper < 0.01


@settings(max_examples=100, deadline=None)
@given(
    ratios=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20),
    requests=st.floats(1, 1e12),
    effect=st.floats(0, 1),
    alpha=st.floats(1e-6, 0.2),
)
def test_the_interval_holds_the_estimate(
    ratios: list[tuple[float, float]], requests: float, effect: float, alpha: float
) -> None:
    """Finite and in order, whatever the rates."""
    stable, canary = (counts(*side, requests=requests) for side in zip(*ratios, strict=True))
    found = interval_of(stable, canary, stable, alpha=alpha, effect=effect)
    assert math.isfinite(found.lower)
    assert found.lower < found.estimate < found.upper
    assert 0 < found.n_effective <= found.n
