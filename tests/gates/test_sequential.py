"""The sequential condition: sides paired in time, units, and what it refuses in what was measured."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.observation import FloatArray, Observations, Selector, Series, Unavailable
from gates.sequential import Sequential, SequentialOptions, sequential_test
from gates.verdict import Mode, Verdict
from tests.gates.sides import NOW_S, both_sides, series_until_now

RNG = np.random.default_rng(20)
CALM = 200 + RNG.normal(0, 1, 60)
ALSO_CALM = 200 + RNG.normal(0, 1, 60)
SLOWER = ALSO_CALM + 60
NAN = float("nan")
PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def ratios(rate: float, points: int, *, requests: int = 20_000, seed: int = 4) -> FloatArray:
    found: FloatArray = np.random.default_rng(seed).binomial(requests, rate, points) / requests
    return found


def latency(**fields: Any) -> Sequential:
    return Sequential.model_validate({"metric": "p95", "over": "2h", **fields})


def errors(**fields: Any) -> Sequential:
    return Sequential.model_validate({"metric": "errors", "over": "2h", "requests": "requests", **fields})


def observed_rates(
    stable: FloatArray, canary: FloatArray, *, unit: str = "ratio", requests: float = 20_000, requests_unit: str = "count"
) -> Observations:
    return {
        **both_sides(stable.tolist(), canary.tolist(), metric="errors", unit=unit),
        **both_sides([requests] * stable.size, [requests] * canary.size, metric="requests", unit=requests_unit),
    }


@pytest.mark.parametrize(
    ("condition", "canary", "verdict"),
    [
        (latency(), ALSO_CALM, PASS),
        (latency(), SLOWER, FAIL),
        (latency(minimum_effect="100ms"), SLOWER, PASS),
        (latency(minimum_effect="0.1s"), SLOWER, PASS),
        (latency(minimum_effect="50ms"), SLOWER, FAIL),
        (latency(minimum_relative_effect="40%"), SLOWER, PASS),
        (latency(minimum_relative_effect="0.2"), SLOWER, FAIL),
        (latency(worse="lower"), SLOWER, PASS),
        (latency(over="5m"), SLOWER, INCONCLUSIVE),
        (latency(alpha=1e-15), SLOWER, INCONCLUSIVE),
    ],
)
def test_condition_judges_latency(condition: Sequential, canary: FloatArray, verdict: Verdict) -> None:
    """Effects in any unit of time, or relative; too short a window knows nothing."""
    assert condition.judge(both_sides(CALM.tolist(), canary.tolist()), NOW_S).verdict is verdict


@pytest.mark.parametrize(
    ("condition", "observations", "verdict"),
    [
        (errors(), observed_rates(ratios(0.005, 2), ratios(0.015, 2)), FAIL),
        (errors(), observed_rates(100 * ratios(0.005, 2), 100 * ratios(0.015, 2), unit="%"), FAIL),
        (
            errors(),
            observed_rates(ratios(0.005, 2), ratios(0.015, 2), requests=20_000 / 60, requests_unit="/s"),
            FAIL,
        ),
        (errors(), observed_rates(ratios(0.005, 2), ratios(0.015, 2), requests=20_000, requests_unit="/min"), FAIL),
        (errors(), observed_rates(ratios(0.005, 2), ratios(0.015, 2), requests=20), INCONCLUSIVE),
        (errors(minimum_effect="2pp"), observed_rates(ratios(0.005, 2), ratios(0.015, 2)), PASS),
        (errors(minimum_effect="0.5pp"), observed_rates(ratios(0.005, 4), ratios(0.015, 4)), FAIL),
        (
            errors(minimum_effect="2pp"),
            observed_rates(100 * ratios(0.005, 2), 100 * ratios(0.015, 2), unit="%"),
            PASS,
        ),
        (errors(minimum_effect="0.02"), observed_rates(ratios(0.005, 2), ratios(0.015, 2)), PASS),
        (
            errors(minimum_effect="2"),
            observed_rates(100 * ratios(0.005, 2), 100 * ratios(0.015, 2), unit="%"),
            PASS,
        ),
    ],
)
def test_condition_judges_error_rates(condition: Sequential, observations: Observations, verdict: Verdict) -> None:
    """Ratio or percent, requests as a count or a rate, effects in points or bare in the metric's unit."""
    assert condition.judge(observations, NOW_S).verdict is verdict


@pytest.mark.parametrize(("effect", "verdict"), [("0.2", FAIL), ("3", PASS)])
def test_a_bare_effect_is_in_the_metrics_unit(effect: str, verdict: Verdict) -> None:
    """0.2 of a metric in percent is 0.2 points, not 20."""
    observations = observed_rates(100 * ratios(0.005, 9), 100 * ratios(0.015, 9), unit="%")
    assert errors(minimum_effect=effect).judge(observations, NOW_S).verdict is verdict


@pytest.mark.parametrize(
    ("requests", "unit"),
    [(20_000.0, ""), (20_000.0, "count"), (20_000.0 / 60, "/s"), (20_000.0, "/min"), (1_200_000.0, "/h")],
)
def test_requests_are_the_same_in_any_unit(requests: float, unit: str) -> None:
    """To the last digit of the interval, history included."""
    stable, canary = ratios(0.005, 40), ratios(0.006, 9)
    expected = sequential_test(stable, canary, SequentialOptions(control_requests=2e4, experiment_requests=2e4))
    found = errors().judge(observed_rates(stable, canary, requests=requests, requests_unit=unit), NOW_S)
    assert found.numbers == pytest.approx(expected.numbers())
    assert found.reason == f"errors: {expected.reason}"


def test_each_side_has_its_own_requests() -> None:
    """A canary at 5 % of the traffic knows less than the stable side; their units may differ."""
    stable, canary = ratios(0.005, 40), ratios(0.006, 9)
    observations = {
        **observed_rates(stable, canary),
        Selector("requests", "canary"): series_until_now([1000.0 / 60] * 9, unit="/s"),
    }
    options = SequentialOptions(control_requests=20_000.0, experiment_requests=1000.0)
    expected = sequential_test(stable, canary, options)
    assert errors().judge(observations, NOW_S).numbers == pytest.approx(expected.numbers())


def test_the_stable_sides_time_before_the_canary_is_history() -> None:
    """A rate that wandered before makes the same two minutes inconclusive."""
    quiet = observed_rates(ratios(0.005, 2), ratios(0.015, 2))
    wandered = observed_rates(np.append(np.tile([0.0, 0.02], 30), ratios(0.005, 2)), ratios(0.015, 2))
    assert errors().judge(quiet, NOW_S).verdict is FAIL
    assert errors().judge(wandered, NOW_S).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("condition", "observations", "reason"),
    [
        (latency(), {}, "p95 of stable: was not measured"),
        (latency(), {Selector("p95", "stable"): Unavailable("down")}, "out of reach: down"),
        (latency(), both_sides([1.0, None] * 30, [None, 1.0] * 30), "p95: 0 of 60 moments have a value on every side"),
        (latency(), both_sides([1.0] * 60, [1.0] * 20 + [None] * 39 + [1.0]), "p95: 21 of 60 moments"),
        (latency(minimum_effect="5pp"), both_sides(CALM.tolist(), SLOWER.tolist()), "points"),
        (errors(), both_sides([0.1] * 9, [0.1] * 9, metric="errors", unit="ratio"), "requests of stable: was not measured"),
        (errors(), observed_rates(ratios(0.1, 9), ratios(0.1, 9), requests_unit="ms"), "requests in 'ms' cannot be counted"),
        (errors(), observed_rates(ratios(0.1, 9), ratios(0.1, 9), unit="ms"), "ms"),
        (errors(), observed_rates(np.full(60, 0.1), np.tile([0.1, NAN, NAN], 20)), "errors: 20 of 60 moments"),
    ],
)
def test_what_was_not_measured_is_inconclusive(condition: Sequential, observations: Observations, reason: str) -> None:
    """With the reason, which names the metric or the units."""
    finding = condition.judge(observations, NOW_S)
    assert finding.verdict is INCONCLUSIVE
    assert reason in finding.reason


@pytest.mark.parametrize("effect", ["0.5", "50%", "0.5ratio"])
def test_a_relative_effect_is_a_share_in_any_form(effect: str) -> None:
    """Of the stable side's mean."""
    finding = latency(minimum_relative_effect=effect).judge(both_sides(CALM.tolist(), SLOWER.tolist()), NOW_S)
    assert finding.verdict is PASS
    assert finding.numbers["minimum_effect"] == pytest.approx(CALM.mean() / 2)


def test_half_of_the_moments_are_enough() -> None:
    """Those with a value on both sides."""
    canary = [value if place % 2 == 0 else None for place, value in enumerate(ALSO_CALM)]
    finding = latency().judge(both_sides(CALM.tolist(), canary), NOW_S)
    assert finding.verdict is PASS
    assert finding.numbers["n"] == 30


def test_without_requests_the_stable_side_counts_since_the_split() -> None:
    """Another share of the traffic is another difference: the samples that are asked for are the ones that are judged."""
    observations = {
        Selector("p95", "canary", constant_split=True): series_until_now(ALSO_CALM.tolist(), unit="ms"),
        Selector("p95", "stable", constant_split=True): series_until_now(CALM.tolist(), unit="ms"),
        Selector("p95", "stable"): series_until_now((CALM / 2).tolist(), unit="ms"),
    }
    assert latency().judge(observations, NOW_S).verdict is PASS


@pytest.mark.parametrize("cut", ["errors", "requests"])
def test_history_reaches_as_far_back_again_as_the_window(cut: str) -> None:
    """Forty minutes of canary, eighty of the stable side; what only one of the two metrics has is none."""
    stable, canary = np.append(np.tile([0.0, 0.02], 15), ratios(0.005, 30)), ratios(0.006, 30)
    options = SequentialOptions(control_requests=2e4, experiment_requests=2e4)
    observations = observed_rates(stable, canary)
    found = errors(over="40m").judge(observations, NOW_S)
    assert found.numbers == pytest.approx(sequential_test(stable, canary, options).numbers())
    shorter = observations[Selector(cut, "stable")].window(start_s=NOW_S - 1800, end_s=NOW_S)
    short = {**observations, Selector(cut, "stable"): shorter}
    less = errors(over="40m").judge(short, NOW_S)
    assert less.numbers == pytest.approx(sequential_test(stable[-30:], canary, options).numbers())


def test_history_is_paired_at_the_spacing_of_the_sides() -> None:
    """A canary that is sampled every two minutes; of the stable side, sampled each minute, the later sample counts."""
    stable, canary = np.append(np.tile([0.0, 0.01, 0.02, 0.03], 15), ratios(0.005, 20)), ratios(0.006, 10)
    times = NOW_S - 120.0 * np.arange(9, -1, -1)
    observations = {
        **observed_rates(stable, canary),
        Selector("errors", "canary"): Series.of(zip(times, canary, strict=True), unit="ratio", interval_s=120.0),
        Selector("requests", "canary"): Series.of([(at, 2e4) for at in times], unit="count", interval_s=120.0),
    }
    expected = sequential_test(stable[1::2], canary, SequentialOptions(control_requests=2e4, experiment_requests=2e4))
    assert errors().judge(observations, NOW_S).numbers == pytest.approx(expected.numbers())


@pytest.mark.parametrize(
    ("condition", "observations", "reason"),
    [
        (latency(), both_sides([1e308] * 60, [-1e308] * 60), "too large to subtract"),
        (errors(), observed_rates(ratios(0.1, 9), ratios(0.1, 9), requests=1e308, requests_unit="/s"), "no interval"),
    ],
)
def test_numbers_beyond_floats_are_inconclusive_without_a_warning(
    condition: Sequential, observations: Observations, reason: str
) -> None:
    """The log of a rollout holds no line of numpy's."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        finding = condition.judge(observations, NOW_S)
    assert finding.verdict is INCONCLUSIVE
    assert reason in finding.reason


def test_finding_carries_name_mode_and_numbers() -> None:
    """As every condition does."""
    finding = latency(name="latency", mode="warn").judge(both_sides(CALM.tolist(), SLOWER.tolist()), NOW_S)
    assert (finding.name, finding.mode) == ("latency", Mode.WARN)
    assert finding.reason.startswith("p95: canary − stable 60.1 ms, ")
    assert set(finding.numbers) == {"estimate", "lower", "upper", "minimum_effect", "n", "n_effective"}


@settings(max_examples=100, deadline=None)
@given(
    samples=st.lists(st.tuples(st.floats(NOW_S - 9000, NOW_S + 900), st.none() | st.floats()), max_size=80),
    others=st.lists(st.tuples(st.floats(), st.floats()), max_size=80),
)
def test_no_series_raises_or_passes_unseen(
    samples: list[tuple[float, float | None]], others: list[tuple[float, float]]
) -> None:
    """Unordered, duplicate, future and infinite times, NaN values."""
    observations = {
        Selector(metric, side): Series.of(rows, unit=unit, interval_s=60.0)
        for metric, unit in (("p95", "ms"), ("errors", "ratio"), ("requests", "count"))
        for side, rows in (("canary", samples), ("stable", samples + others))
    }
    for condition in (latency(), errors()):
        finding = condition.judge(observations, NOW_S)
        assert finding.verdict is not PASS or finding.numbers["n"] >= 2


def test_identical_sides_are_not_evidence() -> None:
    """The same series on both sides is more likely a query without a side than a perfect canary."""
    series = series_until_now(CALM.tolist(), unit="ms")
    finding = latency().judge({Selector("p95", "canary"): series, Selector("p95", "stable"): series}, NOW_S)
    assert finding.verdict is INCONCLUSIVE
    assert "do not vary" in finding.reason
