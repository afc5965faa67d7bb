"""Stable for days: the moments judged at once are the same as each judged by itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gates import trend
from gates.comparison import Comparison
from gates.condition import Condition
from gates.count import Count
from gates.incidents import Stable
from gates.observation import Selector, Series
from gates.threshold import Threshold
from gates.trend import Trend
from gates.verdict import Verdict
from gates.window import held
from tests.gates.strategies import NOW_S, any_series, canary, every_minute

BOUNDS = [{"below": 5}, {"at_most": 5}, {"above": 3}, {"at_least": 3}, {"between": [3, 5]}]
STATISTICS = ("mean", "median", "min", "max", "p90", "p0", "p100")


def one_by_one(spec: Threshold, observed, moments):
    found = [spec.judge(observed, float(moment)) for moment in moments]
    return (
        [one.verdict is not Verdict.INCONCLUSIVE for one in found],
        [one.passed for one in found],
    )


@pytest.mark.parametrize("statistic", STATISTICS)
@given(
    values=st.lists(st.one_of(st.floats(2, 6), st.sampled_from([3.0, 5.0, math.nan])), max_size=40),
    gaps=st.lists(st.sampled_from([1, 1, 1, 2, 6]), min_size=40, max_size=40),
    bound=st.sampled_from(BOUNDS),
    min_samples=st.sampled_from([1, 3]),
    stale_after=st.sampled_from([None, "2m", "30m"]),
)
def test_all_at_once_is_one_by_one(statistic, values, gaps, bound, min_samples, stale_after):
    spec = Threshold(metric="m", statistic=statistic, over="10m", min_samples=min_samples, stale_after=stale_after, **bound)
    times = NOW_S - 60.0 * np.cumsum(gaps)[: len(values)][::-1]
    observed = canary(m=Series.of(zip(times, values, strict=True), unit="", interval_s=60.0))
    moments = NOW_S - 45.0 * np.arange(80, -1, -1)
    known, passed = spec.at_moments(observed, moments)
    assert (known.tolist(), passed.tolist()) == one_by_one(spec, observed, moments)


@given(series=any_series())
def test_odd_series_too(series):
    spec = Threshold(metric="m", statistic="mean", over="10m", below=5)
    moments = NOW_S - 60.0 * np.arange(30, -1, -1)
    observed = canary(m=series)
    told = spec.at_moments(observed, moments) if series.unit in ("", "ms") else None
    if told is not None:
        assert (told[0].tolist(), told[1].tolist()) == one_by_one(spec, observed, moments)


@pytest.mark.parametrize("statistic", ["last", "sum", "rate"])
def test_what_leaves_the_range_of_its_samples_is_judged_one_by_one(statistic):
    over = {} if statistic == "last" else {"over": "10m"}
    series = Series.of([(NOW_S, 1.0)], unit="count", interval_s=60.0)
    assert (
        Threshold(metric="m", statistic=statistic, below=5, **over).at_moments(canary(m=series), np.array([NOW_S])) is None
    )


DIFFERENCES = [
    {"target": 5, "within": 1},
    {"target": 4, "between": ["-1", "0.1"]},
    {"against": "stable", "above": "5%"},
    {"against": "stable", "at_most": "0.5"},
    {"against": "5m ago", "below": "10%"},
    {"against": "stable", "at_least": "-1", "stale_after": "30m"},
    {"target": "5.0ms", "within": "0.001s"},
]


@pytest.mark.parametrize("fields", DIFFERENCES)
@given(
    values=st.lists(st.one_of(st.floats(2, 6), st.sampled_from([4.0, 4.1, 5.0, 0.1, math.nan])), max_size=40),
    others=st.lists(st.one_of(st.floats(2, 6), st.sampled_from([4.0, 0.0, math.nan])), min_size=40, max_size=40),
    gaps=st.lists(st.sampled_from([1, 1, 1, 2, 6]), min_size=40, max_size=40),
)
def test_comparisons_all_at_once_are_one_by_one(fields, values, others, gaps):
    spec = Comparison(metric="m", **fields)
    times = NOW_S - 60.0 * np.cumsum(gaps)[: len(values)][::-1]
    mine = Series.of(zip(times, values, strict=True), unit="ms", interval_s=60.0)
    theirs = Series.of(zip(times, others[: len(values)], strict=True), unit="ms", interval_s=60.0)
    observed = {
        Selector("m", "canary"): mine,
        Selector("m", "stable"): theirs,
        Selector("m", "canary", 300.0): mine.shifted(300.0),
    }
    moments = NOW_S - 45.0 * np.arange(80, -1, -1)
    known, passed = spec.at_moments(observed, moments)
    assert (known.tolist(), passed.tolist()) == one_by_one(spec, observed, moments)


@pytest.mark.parametrize(
    ("fields", "alone"),
    [
        ({"against": "stable", "at_most": "2x"}, False),
        ({"against": "stable", "speed_up": "2x"}, False),
        ({"against": "baseline:old", "at_most": "5%"}, False),
        ({"against": "stable", "at_most": "5%", "statistic": "mean", "over": "5m"}, False),
        ({"against": "stable", "at_most": "5%"}, True),
    ],
    ids=["multiple", "speed-up", "baseline", "window", "no stable side"],
)
def test_other_comparisons_are_judged_one_by_one(fields, alone):
    series = Series.of([(NOW_S, 1.0)], unit="", interval_s=60.0)
    observed = {Selector("m", "canary"): series, Selector("m", "all", 0.0, "old"): series}
    if not alone:
        observed[Selector("m", "stable")] = series
    assert Comparison(metric="m", **fields).at_moments(observed, np.array([NOW_S])) is None


@pytest.mark.parametrize(
    ("value", "reference", "bound"),
    [
        (0.1, -0.2, {"at_most": 0.3}),
        (0.1, 0.3, {"at_most": -0.2}),
        (0.1, 0.3, {"at_least": -0.2}),
        (8388608.3, 8388608.1, {"at_most": 0.2}),
        (8388608.3, 8388608.1, {"at_least": 0.2}),
        (0.3, 0.1, {"at_most": 0.2}),
        (0.3, 0.1, {"at_least": 0.2}),
        (0.0, 0.0, {"at_least": 0.0}),
        (0.0, 0.0, {"at_most": "5%"}),
    ],
)
def test_exactly_at_the_limit_as_it_is_written_is_kept(value, reference, bound):
    spec = Comparison(metric="m", against="stable", **bound)
    observed = {
        Selector("m", side): Series.of([(NOW_S, number)], unit="", interval_s=60.0)
        for side, number in (("canary", value), ("stable", reference))
    }
    known, passed = spec.at_moments(observed, np.array([NOW_S]))
    assert (known.tolist(), passed.tolist()) == ([True], [True])


@pytest.mark.parametrize(
    ("interval_s", "told"), [(0.5, True), (0.0, False), (-1.0, False), (math.inf, False), (math.nan, False)]
)
def test_a_spacing_that_is_none_tells_nothing_at_once(interval_s, told):
    observed = canary(m=Series.of([(NOW_S, 1.0)], unit="", interval_s=interval_s))
    spec = Threshold(metric="m", statistic="mean", over="5m", below=5)
    assert (spec.at_moments(observed, np.array([NOW_S])) is not None) is told


def test_a_bound_in_another_unit_is_converted_at_every_moment():
    spec = Threshold(metric="m", statistic="mean", over="2m", below="0.7s")
    observed = canary(m=Series.of([(NOW_S - 60.0, 500.0), (NOW_S, 1000.0)], unit="ms", interval_s=60.0))
    known, passed = spec.at_moments(observed, NOW_S + np.array([-60.0, 0.0]))
    assert (known.tolist(), passed.tolist()) == ([True, True], [True, False])


COUNTS = [{"at_most": 3}, {"below": 4}, {"at_least": 3}, {"above": 2}, {"between": [1, 4]}]


@pytest.mark.parametrize("bound", COUNTS, ids=str)
@pytest.mark.parametrize("samples_are", ["increments", "total"])
@given(
    values=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 5.0, math.nan]), min_size=1, max_size=60),
    gaps=st.lists(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 4, 6]), min_size=60, max_size=60),
    stale_after=st.sampled_from([None, "30m"]),
)
def test_counts_all_at_once_are_one_by_one(bound, samples_are, values, gaps, stale_after):
    spec = Count(metric="m", over="10m", samples_are=samples_are, stale_after=stale_after, **bound)
    times = NOW_S - 60.0 * np.cumsum(gaps)[: len(values)][::-1]
    observed = canary(m=Series.of(zip(times, values, strict=True), unit="count", interval_s=60.0))
    moments = NOW_S - 45.0 * np.arange(100, -1, -1)
    told = spec.at_moments(observed, moments)
    if np.isfinite(values).any():
        assert (told[0].tolist(), told[1].tolist()) == one_by_one(spec, observed, moments)
    else:
        assert told is None


@pytest.mark.parametrize("value", [0.1, 1e300, 2.0**52], ids=["no whole number", "too large", "just too large"])
def test_counts_that_do_not_add_up_exactly_are_judged_one_by_one(value):
    series = Series.of([(NOW_S, value)], unit="count", interval_s=60.0)
    assert Count(metric="m", over="10m", at_most=3).at_moments(canary(m=series), np.array([NOW_S])) is None


@pytest.mark.parametrize("kind", ["rising", "falling", "flat", "unbounded"])
@given(
    values=st.lists(st.one_of(st.floats(2, 6), st.sampled_from([4.0, math.nan])), min_size=1, max_size=40),
    step=st.sampled_from([-1.0, 0.0, 0.02, 1.0]),
    gaps=st.lists(st.sampled_from([1] * 12 + [2, 6]), min_size=40, max_size=40),
    within=st.sampled_from(["5%", "30%", "2ms", "1pp"]),
    stale_after=st.sampled_from([None, "1m", "30m"]),
)
def test_trends_all_at_once_are_one_by_one(kind, values, step, gaps, within, stale_after):
    spec = Trend(metric="m", over="10m", within=within, min_samples=6, stale_after=stale_after, **{"is": kind})
    times = NOW_S - 60.0 * np.cumsum(gaps)[: len(values)][::-1]
    growing = np.array(values) + step * np.arange(len(values))
    observed = canary(m=Series.of(zip(times, growing, strict=True), unit="ms", interval_s=60.0))
    moments = NOW_S - 25.0 * np.arange(60, -1, -1)
    told = spec.at_moments(observed, moments)
    if told is not None:
        assert (told[0].tolist(), told[1].tolist()) == one_by_one(spec, observed, moments)


def test_a_trend_is_computed_once_for_the_moments_that_see_the_same_samples(monkeypatch):
    times = NOW_S - 60.0 * np.arange(30, -1, -1)
    observed = canary(m=Series.from_arrays(times, np.arange(31.0), unit="ms", interval_s=60.0))
    computed = []
    slope = trend.robust_slope
    monkeypatch.setattr(trend, "robust_slope", lambda *given: computed.append(1) or slope(*given))
    spec = Trend(metric="m", over="10m", **{"is": "rising"})
    known, passed = spec.at_moments(observed, NOW_S + np.arange(-115.0, 0.0, 5.0))
    assert (known.all(), passed.all(), len(computed)) == (True, True, 2)


class Said(Condition):
    """Says at each moment what it was told to, and notes that it was asked."""

    verdicts: dict[float, Verdict]
    asked: list[float] = Field(default_factory=list)

    def needs(self):
        return ()

    def problems(self, metrics):
        return []

    def judge(self, observations, now_s):
        self.asked.append(now_s)
        return self.finding(self.verdicts[now_s], "as told")


@given(
    verdicts=st.lists(st.sampled_from([Verdict.PASS] * 6 + [Verdict.INCONCLUSIVE, Verdict.FAIL]), min_size=2, max_size=40),
    every_s=st.sampled_from([60.0, 45.0, 7.0]),
    cut=st.floats(0, 0.99),
)
def test_moments_before_a_failure_that_decides_change_nothing(verdicts, every_s, cut):
    verdicts[-1] = Verdict.PASS
    for_s = every_s * (len(verdicts) - cut)
    moments = NOW_S - every_s * np.arange(len(verdicts) - 1, -1, -1)
    stable = Stable(of=(Threshold(metric="m", below=5),), **{"for": f"{for_s}s"}, every=f"{every_s}s")
    told = Said(verdicts=dict(zip(moments.tolist(), verdicts, strict=True)))
    found = stable._one(told, {}, NOW_S)
    known = np.array([one is not Verdict.INCONCLUSIVE for one in verdicts])
    passed = np.array([one is Verdict.PASS for one in verdicts])
    all_of_them = held(moments[known], passed[known], now_s=NOW_S, for_s=stable.for_.total_seconds(), interval_s=every_s)
    assert found.passed is all_of_them.enough
    assert found.holds_in_s == (None if found.passed else all_of_them.missing_s)
    assert found.passed or all_of_them.why in found.reason


def test_no_moment_before_a_failure_that_decides_is_judged():
    moments = NOW_S - 60.0 * np.arange(99, -1, -1)
    told = Said(verdicts={float(one): Verdict.PASS for one in moments})
    told.verdicts[float(moments[-3])] = Verdict.FAIL
    told.asked.clear()
    Stable(of=(Threshold(metric="m", below=5),), **{"for": "100m"}, every="60s")._one(told, {}, NOW_S)
    assert min(told.asked) == moments[-3]


def test_without_a_series_nothing_is_told_at_once():
    assert Comparison(metric="m", target=5, within=1).at_moments({}, np.array([NOW_S])) is None
    assert Trend(metric="m", over="5m", **{"is": "rising"}).at_moments({}, np.array([NOW_S])) is None
    assert Threshold(metric="m", statistic="mean", over="5m", below=5).at_moments({}, np.array([NOW_S])) is None


def test_a_trend_sees_the_newer_half_of_every_window():
    rng = np.random.default_rng(3)
    values = np.concatenate((10.0 * np.arange(40), np.full(40, 400.0), 400 + 10.0 * np.arange(40))) + rng.normal(0, 1, 120)
    observed = canary(m=Series.from_arrays(NOW_S - 60.0 * np.arange(119, -1, -1), values, unit="ms", interval_s=60.0))
    spec = Trend(metric="m", over="30m", within="0.05s", confidence=0.6, **{"is": "unbounded"})
    moments = NOW_S - 60.0 * np.arange(118, -1, -1)
    known, passed = spec.at_moments(observed, moments)
    assert (known.tolist(), passed.tolist()) == one_by_one(spec, observed, moments)
    assert known.dtype == passed.dtype == np.bool_
    assert 0 < passed.sum() < known.sum() < moments.size


def test_a_trend_is_not_known_from_stale_samples():
    times = NOW_S - 60.0 * np.arange(30, -1, -1)
    observed = canary(m=Series.from_arrays(times, np.arange(31.0), unit="ms", interval_s=60.0))
    spec = Trend(metric="m", over="10m", min_samples=6, stale_after="1m", **{"is": "rising"})
    known, passed = spec.at_moments(observed, NOW_S + np.array([0.0, 60.0, 61.0, 120.0]))
    assert (known.tolist(), passed.tolist()) == ([True, True, False, False], [True, True, False, False])


@pytest.mark.parametrize(
    ("bound", "known", "passed"),
    [
        ({"at_most": "3count"}, [True, True], [True, False]),
        ({"at_least": "4count"}, [True, True], [False, True]),
        ({"between": ["1count", "3count"]}, [True, True], [True, False]),
    ],
    ids=str,
)
def test_counts_with_a_unit_are_found_at_once(bound, known, passed):
    observed = canary(m=every_minute([1.0] * 3 + [2.0], unit="count"))
    told = Count(metric="m", over="3m", **bound).at_moments(observed, NOW_S + np.array([-60.0, 0.0]))
    assert (told[0].tolist(), told[1].tolist()) == (known, passed)


def test_a_gap_before_the_window_is_not_of_the_window():
    observed = canary(m=Series.of([(NOW_S - 600, 5.0), (NOW_S, 1.0)], unit="count", interval_s=60.0))
    spec = Count(metric="m", over="1m", at_most=3)
    known, passed = spec.at_moments(observed, np.array([NOW_S]))
    assert (known.tolist(), passed.tolist()) == one_by_one(spec, observed, np.array([NOW_S])) == ([True], [True])


class Told(Said):
    """Knows all moments at once."""

    def at_moments(self, observations, moments):
        verdicts = [self.verdicts[moment] for moment in moments.tolist()]
        known = np.array([one is not Verdict.INCONCLUSIVE for one in verdicts])
        return known, np.array([one is Verdict.PASS for one in verdicts])


def asked_of(kind, verdicts):
    """What a condition of this kind said of the moments, one a minute, and at which ones it was judged."""
    moments = NOW_S - 60.0 * np.arange(len(verdicts) - 1, -1, -1)
    told = kind(verdicts=dict(zip(moments.tolist(), verdicts, strict=True)))
    told.asked.clear()
    stable = Stable(of=(Threshold(metric="m", below=5),), **{"for": f"{len(verdicts)}m"}, every="60s")
    found = stable._one(told, {}, NOW_S)
    return found, [round((one - NOW_S) / 60) for one in told.asked]


@pytest.mark.parametrize(("kind", "again"), [(Said, [*range(0, -10, -1)]), (Told, [])])
def test_every_moment_is_judged_once_and_none_where_all_are_told_at_once(kind, again):
    found, asked = asked_of(kind, [Verdict.PASS] * 10)
    assert found.passed
    assert asked == [0, *again]


@pytest.mark.parametrize(("known", "left_out"), [(40, 0), (41, 50)])
def test_moments_before_a_failure_are_left_out_where_those_after_it_are_enough(known, left_out):
    """Of 100 moments, 90 must be known: with 50 older ones not asked, 41 from the failure on do."""
    unknown = 50 - known
    newer = [Verdict.FAIL, *[Verdict.INCONCLUSIVE] * unknown, *[Verdict.PASS] * (known - 1)]
    _, asked = asked_of(Said, [*[Verdict.PASS] * 50, *newer])
    assert len(asked) == 1 + 100 - left_out


@pytest.mark.parametrize(
    ("value", "reference", "bound", "passed"),
    [
        (104.97, 100.0, {"at_most": "5%"}, True),
        (105.03, 100.0, {"at_most": "5%"}, False),
        (105.0, 100.0, {"below": "5%"}, False),
        (105.0, 100.0, {"above": "5%"}, False),
        (95.03, 100.0, {"within": "5%"}, True),
        (94.97, 100.0, {"within": "5%"}, False),
        (1.7e308, -1.7e308, {"at_most": 5}, False),
        (-1.7e308, 1.7e308, {"at_most": 5}, True),
    ],
)
def test_differences_at_one_moment(value, reference, bound, passed):
    spec = Comparison(metric="m", against="stable", **bound)
    observed = {
        Selector("m", side): Series.of([(NOW_S, number)], unit="", interval_s=60.0)
        for side, number in (("canary", value), ("stable", reference))
    }
    with np.errstate(all="raise"):
        told = spec.at_moments(observed, np.array([NOW_S]))
    assert (told[0].tolist(), told[1].tolist()) == ([True], [passed])
    assert spec.judge(observed, NOW_S).passed is passed
