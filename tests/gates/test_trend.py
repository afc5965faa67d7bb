"""Trends: shown with confidence, not by two points, and honest on autocorrelated noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import theilslopes

from gates.condition import MetricFacts
from gates.observation import Series
from gates.slope import robust_slope
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL
NOISE = np.random.default_rng(7).normal(0, 1, 60)
STEPS = np.arange(60)


def judge(values, **fields):
    spec = condition("trend", metric="m", over="1h", **fields)
    return spec.judge(canary(m=every_minute([float(v) for v in values], unit="MB")), NOW_S)


@pytest.mark.parametrize(
    ("values", "fields", "verdict"),
    [
        (100 + STEPS + NOISE, {"is": "rising"}, PASS),
        (100 - STEPS + NOISE, {"is": "rising"}, FAIL),
        (100 + NOISE, {"is": "rising"}, INCONCLUSIVE),
        (100 + NOISE, {"is": "rising", "within": "5%"}, FAIL),
        (100 - STEPS + NOISE, {"is": "falling"}, PASS),
        (100 + STEPS + NOISE, {"is": "falling"}, FAIL),
        (100 + NOISE, {"is": "flat", "within": "5%"}, PASS),
        (100 + NOISE, {"is": "flat", "within": "5MB"}, PASS),
        (100 + STEPS + NOISE, {"is": "flat", "within": "5%"}, FAIL),
        (100 + 60 * NOISE, {"is": "flat", "within": "5%"}, INCONCLUSIVE),
        (np.full(60, 100.0), {"is": "flat", "within": "0%"}, PASS),
        (np.full(60, 100.0), {"is": "rising"}, FAIL),
        (np.full(60, 100.0), {"is": "falling"}, FAIL),
        (100 - STEPS / 5 + NOISE, {"is": "flat", "within": "12MB"}, INCONCLUSIVE),
        (100 + STEPS / 5 + NOISE, {"is": "flat", "within": "12MB"}, INCONCLUSIVE),
        (np.concatenate((10.0 * STEPS[:30], 400 - 20.0 * STEPS[:10], 300.0 + STEPS[:20])), {"is": "unbounded"}, FAIL),
        (np.append(100 + 20.0 * np.arange(30), np.full(30, 700.0)), {"is": "unbounded"}, FAIL),
        (100 + STEPS + NOISE, {"is": "unbounded"}, PASS),
        (100 + NOISE, {"is": "unbounded"}, FAIL),
        (100 + 60 * (1 - np.exp(-STEPS / 5)) + NOISE, {"is": "unbounded"}, FAIL),
        (np.append(100 + NOISE[:59], 900.0), {"is": "unbounded"}, FAIL),
        (100 + NOISE[:30], {"is": "flat", "within": "5%"}, INCONCLUSIVE),
        (100 + NOISE[:5], {"is": "unbounded"}, INCONCLUSIVE),
    ],
    ids=[
        "rising",
        "falls, not rising",
        "noise may rise a little",
        "noise rises by nothing that matters",
        "falling",
        "rises, not falling",
        "flat",
        "flat by an amount",
        "rises, not flat",
        "too noisy to tell",
        "constant is flat",
        "constant does not rise",
        "constant does not fall",
        "falls by about the margin",
        "rises by about the margin",
        "fell in the newer half",
        "levelled off",
        "grows without bound",
        "noise does not",
        "warming up levels off",
        "one high sample is no growth",
        "half the window",
        "too few samples",
    ],
)
def test_trend(values, fields, verdict):
    found = judge(values, **fields)
    assert found.verdict is verdict, found.reason


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_limits_are_those_of_scipy_when_samples_are_independent(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(1, 3, 40))
    alternating = 0.1 * times + rng.normal(0, 1, 40) + 3 * (-1.0) ** np.arange(40)
    mine = robust_slope(times, alternating, 0.95)
    theirs = theilslopes(alternating, times, 0.95)
    assert mine.slope == pytest.approx(theirs.slope)
    assert mine.lower <= theirs.low_slope + 1e-9
    assert mine.upper >= theirs.high_slope - 1e-9
    assert mine.upper - mine.lower == pytest.approx(theirs.high_slope - theirs.low_slope, rel=0.05)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 0.9])
def test_false_alarms_stay_few_on_autocorrelated_noise(rho):
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(150):
        noise = rng.normal(0, 1, 60)
        for index in range(1, 60):
            noise[index] += rho * noise[index - 1]
        alarms += judge(1000 + noise, **{"is": "rising"}).passed
    assert alarms / 150 <= 0.10


def test_a_long_series_is_thinned_and_keeps_its_slope():
    times = np.arange(10_000) * 60.0
    found = robust_slope(times, 5 + 0.001 * times, 0.95)
    assert found.slope == pytest.approx(0.001, rel=1e-6)


@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=50),
    confidence=st.floats(0.5, 0.999),
)
@settings(max_examples=200, deadline=None)
def test_the_slope_lies_within_its_limits(values, confidence):
    with np.errstate(all="ignore"):
        found = robust_slope(np.arange(len(values)) * 60.0, np.array(values), confidence)
    assert found.lower <= found.slope <= found.upper


@pytest.mark.parametrize(
    "fields",
    [
        {"is": "flat"},
        {"is": "rising", "over": "0s"},
        {"is": "sideways"},
        {"is": "flat", "within": "-1%"},
        {"is": "rising", "confidence": 1.0},
    ],
)
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        condition("trend", metric="m", **{"over": "1h", **fields})


@pytest.mark.parametrize(("within", "unit"), [("5ms", "MB"), ("5pp", "MB")])
def test_a_margin_in_another_unit_is_a_problem(within, unit):
    spec = condition("trend", metric="m", over="1h", within=within, **{"is": "flat"})
    assert "within" in "; ".join(spec.problems({"m": MetricFacts(unit, 60.0, True, "neither")}))


@pytest.mark.parametrize(
    ("kind", "sign", "end", "verdict"),
    [
        ("flat", 1, "lower", INCONCLUSIVE),
        ("flat", -1, "upper", INCONCLUSIVE),
        ("falling", -1, "upper", INCONCLUSIVE),
        ("falling", -1, "lower", FAIL),
        ("rising", 1, "lower", INCONCLUSIVE),
        ("rising", 1, "upper", FAIL),
        ("unbounded", 1, "lower", FAIL),
    ],
)
def test_a_change_of_exactly_the_margin_is_within_it(kind, sign, end, verdict):
    values = 100 + sign * STEPS + NOISE
    limit = judge(values, **{"is": "flat", "within": 0}).numbers[end]
    assert judge(values, **{"is": kind, "within": f"{abs(limit)!r}MB"}).verdict is verdict


def test_a_margin_in_the_unit_of_the_metric_is_no_problem():
    spec = condition("trend", metric="m", over="1h", within="0.5s", **{"is": "flat"})
    assert spec.problems({"m": MetricFacts("ms", 60.0, True, "neither")}) == []


@pytest.mark.parametrize("unit", ["ratio", "%"])
@pytest.mark.parametrize(("within", "verdict"), [("3pp", PASS), ("1pp", FAIL)])
def test_points_are_a_margin_of_a_ratio(unit, within, verdict):
    size = 1.0 if unit == "%" else 0.01
    values = size * (10 + STEPS / 30)
    spec = condition("trend", metric="m", over="1h", within=within, **{"is": "flat"})
    assert spec.judge(canary(m=every_minute(values.tolist(), unit=unit)), NOW_S).verdict is verdict


def test_a_margin_that_does_not_fit_leaves_it_unknown():
    found = judge(100 + NOISE, **{"is": "flat", "within": "5ms"})
    assert found.verdict is INCONCLUSIVE
    assert found.reason == "m: 5ms is in 'ms' (time), but the metric is in 'MB' (size)"


def test_three_samples_are_enough_for_the_newer_half():
    spec = condition("trend", metric="m", over="6m", min_samples=6, confidence=0.5, within=1, **{"is": "unbounded"})
    assert spec.judge(canary(m=every_minute([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], unit="MB")), NOW_S).passed


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([1, 1, 4, 2, 3, 4], PASS), ([1, 1, 2, 5, 5, 5], FAIL)],
    ids=["a sample in the middle is of the older half", "constant does not rise"],
)
def test_what_the_newer_half_must_do(values, verdict):
    spec = condition("trend", metric="m", over="6m", min_samples=6, confidence=0.5, within=1, **{"is": "unbounded"})
    assert spec.judge(canary(m=every_minute([float(v) for v in values], unit="MB")), NOW_S).verdict is verdict
    as_rising = spec.model_copy(update={"is_": "rising"})
    assert as_rising.judge(canary(m=every_minute([float(v) for v in values], unit="MB")), NOW_S).passed


def test_samples_that_allow_no_slope_are_inconclusive():
    spec = condition("trend", metric="m", over="1ms", min_samples=6, within="5%", **{"is": "rising"})
    samples = [(place * 1e-320, float(place)) for place in range(8)]
    with np.errstate(all="ignore"):
        found = spec.judge(canary(m=Series.of(samples, unit="MB", interval_s=60.0)), 1e-319)
    assert (found.verdict, found.reason) == (INCONCLUSIVE, "m: no slope can be computed from its samples")


def test_what_is_said_of_a_trend():
    found = judge(100 + STEPS, **{"is": "rising", "within": "5%"})
    assert found.reason == "m changed by 60 MB (60 MB to 60 MB at 0.95 confidence) over 1h: is rising, margin 6.475 MB"
    expected = {"change": 60.0, "lower": 60.0, "upper": 60.0, "margin": 6.475, "level": 129.5}
    assert found.numbers == pytest.approx(expected)


@pytest.mark.parametrize(
    ("now_s", "stale_after", "reason"),
    [
        (NOW_S + 120, "1m", "m: stale, newest sample 2m old > at most 1m"),
        (NOW_S + 200, None, "m: a gap of 3m20s > at most 3m, for a trend over 1h"),
    ],
)
def test_a_trend_of_old_samples_is_inconclusive(now_s, stale_after, reason):
    spec = condition("trend", metric="m", over="1h", stale_after=stale_after, **{"is": "rising"})
    found = spec.judge(canary(m=every_minute((100.0 + STEPS).tolist(), unit="MB")), now_s)
    assert (found.verdict, found.reason) == (INCONCLUSIVE, reason)
