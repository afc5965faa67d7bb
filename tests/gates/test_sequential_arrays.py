"""The sequential judge on arrays: its verdicts, what it refuses, and how rarely it cries wolf."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.observation import FloatArray
from gates.sequential import SequentialOptions, SequentialResult, sequential_test
from gates.verdict import Verdict

NAN = math.nan
RNG = np.random.default_rng(20)
CALM = 200 + RNG.normal(0, 1, 60)
ALSO_CALM = 200 + RNG.normal(0, 1, 60)
SLOWER = ALSO_CALM + 60
PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def rates(requests: float = 20_000.0, **options: Any) -> SequentialOptions:
    return SequentialOptions(control_requests=requests, experiment_requests=requests, **options)


def ratios(rate: float, points: int, *, requests: int = 20_000, seed: int = 4) -> FloatArray:
    found: FloatArray = np.random.default_rng(seed).binomial(requests, rate, points) / requests
    return found


def autoregressive(rng: np.random.Generator, rollouts: int, rho: float) -> FloatArray:
    values = rng.standard_normal((rollouts, 60))
    for place in range(1, 60):
        values[:, place] = rho * values[:, place - 1] + math.sqrt(1 - rho**2) * values[:, place]
    return values


@pytest.mark.parametrize(
    ("canary", "options", "verdict"),
    [
        (ALSO_CALM, SequentialOptions(), PASS),
        (SLOWER, SequentialOptions(), FAIL),
        (ALSO_CALM - 60, SequentialOptions(), PASS),
        (ALSO_CALM - 60, SequentialOptions(worse="lower"), FAIL),
        (SLOWER, SequentialOptions(worse="lower"), PASS),
        (SLOWER, SequentialOptions(worse="either"), FAIL),
        (ALSO_CALM - 60, SequentialOptions(worse="either"), FAIL),
        (ALSO_CALM, SequentialOptions(worse="either"), PASS),
        (SLOWER, SequentialOptions(minimum_effect=100.0), PASS),
        (SLOWER, SequentialOptions(minimum_relative_effect=0.5), PASS),
        (SLOWER, SequentialOptions(minimum_effect=1.0, minimum_relative_effect=0.5), PASS),
        (SLOWER, SequentialOptions(minimum_effect=60.0), INCONCLUSIVE),
        (ALSO_CALM + 20, SequentialOptions(), INCONCLUSIVE),
        (ALSO_CALM, SequentialOptions(minimum_effect=0.0), INCONCLUSIVE),
    ],
)
def test_judges_means_by_the_effect_that_matters(canary: FloatArray, options: SequentialOptions, verdict: Verdict) -> None:
    """FAIL wholly beyond it, PASS wholly within, INCONCLUSIVE across."""
    assert sequential_test(CALM, canary, options).verdict is verdict


@pytest.mark.parametrize(
    ("canary", "options", "verdict"),
    [
        (ratios(0.015, 2), rates(), FAIL),
        (ratios(0.015, 2), rates(worse="lower"), PASS),
        (ratios(0.005, 60, seed=5), rates(), PASS),
        (ratios(0.005, 2, seed=5), rates(), INCONCLUSIVE),
        (ratios(0.015, 1), rates(), INCONCLUSIVE),
        (ratios(0.015, 2), rates(minimum_effect=0.02), PASS),
        (ratios(0.015, 60), rates(minimum_relative_effect=2.0), INCONCLUSIVE),
        (ratios(0.0, 60), rates(worse="either"), FAIL),
        (ratios(0.0, 60), rates(), PASS),
    ],
)
def test_judges_rates_by_their_requests(canary: FloatArray, options: SequentialOptions, verdict: Verdict) -> None:
    """A rate tripled is seen after two intervals of 20,000 requests; one interval never decides."""
    assert sequential_test(ratios(0.005, canary.size), canary, options).verdict is verdict


def test_a_longer_control_is_history() -> None:
    """Its last values are paired with the experiment's, the earlier ones say how much the rate wanders."""
    wandering = np.concatenate([np.tile([0.001, 0.009], 30), ratios(0.005, 3)])
    canary = ratios(0.015, 3)
    assert sequential_test(wandering[-3:], canary, rates()).verdict is FAIL
    assert sequential_test(wandering, canary, rates()).verdict is INCONCLUSIVE
    assert sequential_test(np.append(np.full(40, 5000.0), CALM), SLOWER) == sequential_test(CALM, SLOWER)


@pytest.mark.parametrize(
    ("control", "experiment", "options", "reason"),
    [
        ([], [], None, "no interval with a value on both sides"),
        ([NAN] * 60, CALM, None, "no interval with a value on both sides"),
        ([1e308] * 60, [-1e308] * 60, None, "too large"),
        ([5.0] * 60, [5.0] * 60, None, "do not vary"),
        (CALM[:9], SLOWER[:9], None, "9 points < at least 10"),
        ([0.5] * 9, [0.5] * 9, SequentialOptions(control_requests=10.0), "requests are needed for both sides"),
        (
            [0.5] * 9,
            [0.5] * 9,
            SequentialOptions(control_requests=np.ones(8), experiment_requests=np.ones(9)),
            "requests are needed for both sides",
        ),
        ([0.5] * 9, [0.5] * 9, rates(0.0), "no interval with requests on both sides"),
        ([0.5] * 9, [0.5] * 9, rates(NAN), "no interval with requests on both sides"),
        ([0.5] * 9, [50.0] * 9, rates(), "an error ratio above 1"),
        ([0.5] * 9 + [1.5], [0.5] * 10, rates(), "an error ratio above 1"),
        ([1.5] + [0.5] * 9, [0.5] * 9, rates(), "an error ratio above 1"),
        ([0.5] * 9, [0.5] * 9, rates(1e15), "no interval with requests on both sides"),
        (1.5e308 + CALM * 1e300, 1.5e308 + ALSO_CALM * 1e300, None, "the values are too large to compute with"),
    ],
)
def test_says_why_it_cannot_tell(
    control: Sequence[float], experiment: Sequence[float], options: SequentialOptions | None, reason: str
) -> None:
    """Never an exception, a warning or a verdict."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        result = sequential_test(np.array(control), np.array(experiment), options)
    assert result.verdict is INCONCLUSIVE
    assert reason in result.reason
    assert result.as_json()["estimate"] is None
    assert result.numbers().keys() == {"n"}


def test_result_shows_both_operands() -> None:
    """In the reason, in the numbers and in JSON."""
    result = sequential_test(CALM, SLOWER, unit="ms")
    assert "canary − stable 60.1 ms" in result.reason
    assert "is wholly worse than the effect that matters, 19.98 ms higher (60 intervals)" in result.reason
    assert result.lower < result.estimate < result.upper
    assert result.estimate == pytest.approx(60, abs=1)
    assert result.minimum_effect == pytest.approx(20, abs=0.1)
    assert result.as_json()["verdict"] == "FAIL"
    assert result.numbers()["n"] == 60


def test_result_in_json_has_every_number() -> None:
    """The same as the fields; without a unit the reason shows bare numbers."""
    result = sequential_test(CALM, SLOWER)
    numbers = {name: getattr(result, name) for name in ("estimate", "lower", "upper", "minimum_effect", "n", "n_effective")}
    assert result.as_json() == {"verdict": "FAIL", "reason": result.reason, **numbers}
    assert result.reason.startswith("canary − stable 60.1, valid-at-every-look interval ")


@pytest.mark.parametrize(
    ("control", "experiment", "worse"), [(CALM, SLOWER, "higher"), (SLOWER, CALM, "lower"), (SLOWER, CALM, "either")]
)
def test_a_limit_exactly_at_the_effect_is_within(control: FloatArray, experiment: FloatArray, worse: Any) -> None:
    """FAIL only beyond the effect that matters, PASS up to it."""
    found = sequential_test(control, experiment, SequentialOptions(worse=worse))
    near, far = sorted((abs(found.lower), abs(found.upper)))
    verdicts = [
        sequential_test(control, experiment, SequentialOptions(worse=worse, minimum_effect=effect)).verdict
        for effect in (np.nextafter(near, 0), near, np.nextafter(far, 0), far)
    ]
    assert verdicts == [FAIL, INCONCLUSIVE, INCONCLUSIVE, PASS]


def test_small_integers_and_none_are_numbers_too() -> None:
    """Arrays as they come: bytes do not wrap around, None is a missing value."""
    fewer, more = np.tile([10, 12, 11], 10), np.tile([210, 213, 208], 10)
    expected = sequential_test(fewer.astype(float), more.astype(float), SequentialOptions(worse="either"))
    found = sequential_test(more.astype(np.uint8), fewer.astype(np.uint8), SequentialOptions(worse="either"))
    assert found.estimate == -expected.estimate
    holes: Any = np.array([None, *CALM], dtype=object)
    assert sequential_test(holes, np.append(1.0, SLOWER)) == sequential_test(CALM, SLOWER)
    stable, canary = ratios(0.005, 6), ratios(0.015, 6)
    requests: Any = [None, *[20_000] * 5]
    options = SequentialOptions(control_requests=requests, experiment_requests=requests)
    assert sequential_test(stable, canary, options) == sequential_test(stable[1:], canary[1:], rates())


def test_an_interval_that_one_side_misses_is_left_out() -> None:
    """And only that one: NaN, no requests, fewer than one request, a ratio that is infinite."""
    stable, canary = ratios(0.005, 7), ratios(0.015, 7)
    requests = np.full(7, 20_000.0)
    holes, stable_holes = requests.copy(), requests.copy()
    holes[1], holes[2], stable_holes[3], canary[6] = NAN, 0.5, 0.0, math.inf
    result = sequential_test(stable, canary, SequentialOptions(control_requests=stable_holes, experiment_requests=holes))
    kept = [0, 4, 5]
    assert result == sequential_test(stable[kept], canary[kept], rates())
    assert result.n == 3


def test_single_requests_and_a_ratio_of_one_count() -> None:
    """Both are possible: one request, and all of them failed."""
    options = SequentialOptions(control_requests=np.ones(40), experiment_requests=np.ones(40))
    result = sequential_test(np.zeros(40), np.ones(40), options)
    assert (result.n, result.estimate, result.verdict) == (40, 1.0, FAIL)
    assert "an error ratio above 1" in sequential_test(np.zeros(40), np.full(40, 1.5), options).reason


def test_rates_are_shown_as_ratios() -> None:
    """In percent, as everywhere."""
    result = sequential_test(np.full(3, 0.005), np.full(3, 0.015), rates())
    assert result.reason.startswith("canary − stable 1 %, valid-at-every-look interval ")
    assert "0.2504 % higher (3 intervals)" in result.reason


any_values = st.lists(
    st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 1e308, -1e308, 5e-324]), max_size=70
)


@settings(max_examples=300, deadline=None)
@given(
    control=any_values,
    experiment=any_values,
    requests=st.none() | st.floats() | st.just(20_000.0),
    worse=st.sampled_from(["higher", "lower", "either"]),
)
def test_no_input_raises_or_passes_without_evidence(
    control: list[float], experiment: list[float], requests: float | None, worse: Any
) -> None:
    """NaN, infinite, empty, huge, constant: PASS only with enough finite pairs and an interval that says so."""
    options = SequentialOptions(worse=worse, control_requests=requests, experiment_requests=requests)
    result = sequential_test(np.array(control), np.array(experiment), options)
    assert isinstance(result, SequentialResult)
    if result.verdict is PASS:
        n = min(len(control), len(experiment))
        pairs = np.isfinite(control[len(control) - n :]) & np.isfinite(experiment[len(experiment) - n :])
        assert pairs.sum() >= (10 if requests is None else 2)
        assert math.isfinite(result.lower)
        assert math.isfinite(result.upper)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 0.9, 0.95])
def test_false_alarms_over_all_looks_stay_below_one_percent(rho: float) -> None:
    """Both sides the same AR(1), a look every five points, no effect too small to matter; 400 rollouts."""
    rng = np.random.default_rng(99)
    control, experiment = autoregressive(rng, 400, rho), autoregressive(rng, 400, rho)
    options = SequentialOptions(worse="either", minimum_effect=0.0)
    alarms = sum(
        any(sequential_test(one[:n], two[:n], options).verdict is FAIL for n in range(5, 61, 5))
        for one, two in zip(control, experiment, strict=True)
    )
    assert alarms <= 4


def test_a_tripled_rate_is_seen_within_two_intervals() -> None:
    """At 20,000 requests a minute, in every one of 300 rollouts within four, in most within two."""
    rng = np.random.default_rng(7)
    stable, canary = rng.binomial(20_000, 0.005, (300, 4)) / 20_000, rng.binomial(20_000, 0.015, (300, 4)) / 20_000
    seen = [
        next((n for n in (1, 2, 3, 4) if sequential_test(one[:n], two[:n], rates()).verdict is FAIL), 99)
        for one, two in zip(stable, canary, strict=True)
    ]
    assert max(seen) <= 4
    assert np.median(seen) == 2


def test_healthy_rates_raise_no_alarm() -> None:
    """A drift of 20 % of the rate, independent on both sides, a look each minute; 150 rollouts."""
    rng = np.random.default_rng(8)
    stable, canary = (rng.binomial(20_000, 0.005 * np.exp(0.2 * autoregressive(rng, 150, 0.8))) / 20_000 for _ in range(2))
    alarms = sum(
        any(sequential_test(one[:n], two[:n], rates()).verdict is FAIL for n in range(1, 61))
        for one, two in zip(stable, canary, strict=True)
    )
    assert alarms <= 1
