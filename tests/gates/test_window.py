"""Whether there is evidence: missing, stale, covered, held; every edge to the sample."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.observation import Selector, Series, Unavailable
from gates.window import Missing, covers, held, look, name_of, newest, newest_at, windows_at, with_values

NOW = 10_000.0
HERE = Selector("p99", "canary")


def seen(*rows, interval_s=10.0):
    return {HERE: Series.of([(NOW - ago, value) for ago, value in rows], unit="ms", interval_s=interval_s)}


def looked(observations, selector=HERE, *, now_s=NOW, window_s=None, stale_after_s=None):
    found = look(observations, selector, now_s=now_s, window_s=window_s, stale_after_s=stale_after_s)
    return found.reason if isinstance(found, Missing) else [NOW - t for t in found.times_s.tolist()]


@pytest.mark.parametrize(
    ("observations", "more", "said"),
    [
        ({}, {}, "p99: not measured"),
        ({HERE: Unavailable("refused")}, {}, "p99: source unavailable: refused"),
        (seen((0, 1.0)), {"now_s": math.nan}, "p99: now is nan, not a time"),
        (seen((0, 1.0)), {"now_s": math.inf}, "p99: now is inf, not a time"),
        (seen((0, 1.0), interval_s=0.0), {}, "p99: the spacing of samples is 0.0 s, not known"),
        (seen((0, 1.0), interval_s=math.inf), {}, "p99: the spacing of samples is inf s, not known"),
        (seen(), {}, "p99: no samples"),
        (seen((-1, 1.0)), {}, "p99: no samples up to now, all are from the future"),
        (seen((50, 1.0)), {}, [50]),
        (seen((2, 1.0), interval_s=0.5), {}, [2]),
        (seen((50.1, 1.0)), {}, "p99: stale, newest sample 50.1s old > at most 50s"),
        (seen((90, 1.0)), {"stale_after_s": 90.0}, [90]),
        (seen((91, 1.0)), {"stale_after_s": 90.0}, "p99: stale, newest sample 1m31s old > at most 1m30s"),
        (seen((20, 1.0), (10, 2.0), (0, None), (-5, 3.0)), {"window_s": 20.0}, [10, 0]),
        (seen((20, 1.0)), {"window_s": 20.0}, "p99: no samples in the last 20s"),
        (seen((900, 1.0), (0, 1.0)), {}, [900, 0]),
    ],
)
def test_look(observations, more, said):
    assert looked(observations, **more) == said


def test_a_recorded_baseline_is_whole_and_never_stale():
    recorded = Selector("p99", "all", 0.0, "legacy")
    old = Series.of([(1.0, 5.0), (NOW + 5, 6.0)], unit="ms", interval_s=10.0)
    assert looked({recorded: old}, recorded) == [NOW - 1, -5]
    assert looked({recorded: Series.of([], unit="ms", interval_s=10.0)}, recorded) == "p99 in baseline legacy: no samples"
    found = with_values({recorded: old}, recorded, now_s=NOW, window_s=0.0, stale_after_s=None, min_samples=2)
    assert isinstance(found, Series)
    few = with_values({recorded: old}, recorded, now_s=NOW, window_s=0.0, stale_after_s=None, min_samples=3)
    assert few == Missing("p99 in baseline legacy: 2 samples with a value < at least 3")


def test_the_newest_value_is_the_newest_samples_or_none():
    value, series = newest(seen((20, 3.0), (10, 1.0), (0, 2.0)), HERE, now_s=NOW, stale_after_s=None)
    assert (value, series.unit) == (2.0, "ms")
    assert newest(seen((60, 4.0)), HERE, now_s=NOW, stale_after_s=60.0)[0] == 4.0
    nothing = newest(seen((10, 1.0), (0, None)), HERE, now_s=NOW, stale_after_s=None)
    assert nothing == Missing("p99: the newest sample has no value (NaN)")
    assert newest({}, HERE, now_s=NOW, stale_after_s=None) == Missing("p99: not measured")


@pytest.mark.parametrize(
    ("rows", "min_samples", "stale_after_s", "said"),
    [
        ([(20, 1.0), (10, None), (0, 2.0)], 2, None, [20, 0]),
        ([(20, 1.0), (10, None), (0, 2.0)], 3, None, "p99: 2 samples with a value < at least 3"),
        ([(10, None), (0, None)], 0, None, "p99: 0 samples with a value < at least 1"),
        ([(60, 1.0), (0, None)], 1, None, "p99: stale, newest value 1m old > at most 50s"),
        ([(50, 1.0), (0, None)], 1, None, [50]),
        ([(60, 1.0), (0, None)], 1, 60.0, [60]),
        ([(70, 1.0), (0, None)], 1, 60.0, "p99: stale, newest value 1m10s old > at most 1m"),
        ([(100, 1.0), (0, 1.0)], 1, None, [0]),
        ([(60, 1.0)], 1, 60.0, [60]),
    ],
)
def test_with_values(rows, min_samples, stale_after_s, said):
    found = with_values(seen(*rows), HERE, now_s=NOW, window_s=100.0, stale_after_s=stale_after_s, min_samples=min_samples)
    assert (found.reason if isinstance(found, Missing) else [NOW - t for t in found.times_s.tolist()]) == said
    if isinstance(found, Series):
        assert (found.unit, found.interval_s) == ("ms", 10.0)
        assert found.values.tolist() == [value for ago, value in rows if value is not None and ago < 100]


@pytest.mark.parametrize(
    ("agos", "why"),
    [
        (range(90, -1, -10), None),
        (range(99, 0, -10), None),
        ([90, 80, 70, 60, 50, 40, 30, 20, 10], None),
        ([90, 80, 70, 60, 50, 40, 30, 20], "8 samples < at least 90% of the 10 expected"),
        ([100 - i for i in range(0, 61, 6)], "a gap of 40s > at most 30s"),
        ([70, 65, 60, 50, 40, 30, 20, 10, 0], None),
        ([69, 65, 60, 50, 40, 30, 20, 10, 0], "a gap of 31s > at most 30s"),
        ([99, 98, 97, 67, 66, 65, 60, 30, 0], None),
        ([99, 98, 97, 66.5, 66, 65, 60, 30, 0], "a gap of 30.5s > at most 30s"),
        ([99, 90, 80, 70, 60, 50, 40, 35, 30], None),
        ([99, 90, 80, 70, 60, 50, 40, 35, 31], "a gap of 31s > at most 30s"),
        ([], "0 samples < at least 90% of the 10 expected"),
    ],
    ids=[
        "all",
        "off the grid",
        "nine of ten",
        "eight of ten",
        "too much silence before now",
        "late start",
        "too late a start",
        "gap of three intervals",
        "gap of over three",
        "silent for three",
        "silent for over three",
        "nothing",
    ],
)
def test_covers(agos, why):
    times = np.array([NOW - ago for ago in agos])
    assert covers(times, now_s=NOW, window_s=100.0, interval_s=10.0) == why


def hold(agos_and_truths, *, for_s=100.0):
    times = np.array([NOW - ago for ago, _ in agos_and_truths])
    return held(times, [truth for _, truth in agos_and_truths], now_s=NOW, for_s=for_s, interval_s=10.0)


def steady(first, truth=True, last=0):
    return [(ago, truth) for ago in range(first, last - 1, -10)]


@pytest.mark.parametrize(
    ("samples", "enough", "held_s", "missing_s", "why"),
    [
        (steady(90), True, 100.0, 0.0, ""),
        (steady(300), True, 100.0, 0.0, ""),
        ([(100, False), *steady(90)], True, 100.0, 0.0, ""),
        ([(90, False), *steady(80)], False, 80.0, 10.0, "held 1m20s"),
        ([*steady(90, last=10), (0, False)], False, 0.0, 100.0, "the newest sample does not hold"),
        ([], False, 0.0, 100.0, "no samples with a value in the window"),
        (steady(300, last=100), False, 0.0, 100.0, "no samples with a value in the window"),
        (steady(50), False, 50.0, 30.0, "6 samples < at least 90% of the 10 expected"),
        (
            [*steady(200, last=100), *steady(90, last=70), *steady(40)],
            False,
            200.0,
            10.0,
            "8 samples < at least 90% of the 10 expected",
        ),
        (
            [*steady(200, last=60), *steady(30)],
            False,
            200.0,
            10.0,
            "8 samples < at least 90% of the 10 expected",
        ),
        ([(99.5, False), *steady(90)], False, 90.0, 0.5, "held 1m30s"),
        (steady(90, last=30), False, 90.0, 20.0, "7 samples < at least 90% of the 10 expected"),
        (steady(90, last=40), False, 90.0, 70.0, "no sample for 40s > at most 30s"),
        ([*steady(200, last=60), *steady(20)], False, 20.0, 50.0, "7 samples < at least 90% of the 10 expected"),
        (
            [*steady(200, last=60), (55, True), (51, True), *steady(10), (5, True), (2, True)],
            False,
            10.0,
            60.0,
            "a gap of 41s > at most 30s",
        ),
    ],
    ids=[
        "holds",
        "holds longer",
        "false at the edge of the window",
        "false in the window",
        "false now",
        "nothing",
        "nothing in the window",
        "begun half way",
        "one too few, and enough before the window",
        "a gap of three is none",
        "false for half a second more",
        "silent for three",
        "silent for four",
        "a gap of four",
        "enough samples but a gap",
    ],
)
def test_held(samples, enough, held_s, missing_s, why):
    found = hold(samples)
    assert (found.enough, found.why) == (enough, why)
    assert found.held_s == pytest.approx(held_s)
    assert found.missing_s == pytest.approx(missing_s)


@given(
    truths=st.lists(st.booleans(), min_size=1, max_size=40),
    there=st.lists(st.booleans(), min_size=40, max_size=40),
    place=st.integers(0, 39),
)
def test_a_truth_that_becomes_false_never_makes_it_hold(truths, there, place):
    samples = [(10 * i, truth) for i, (truth, kept) in enumerate(zip(truths, there, strict=False)) if kept][::-1]
    before = hold(samples)
    worse = [(ago, truth and index != place) for index, (ago, truth) in enumerate(samples)]
    after = hold(worse)
    assert not after.enough or before.enough
    assert after.missing_s >= before.missing_s - 1e-9 or not samples
    assert 0.0 <= before.missing_s <= 100.0


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        (Selector("p99", "canary"), "p99"),
        (Selector("p99", "all"), "p99"),
        (Selector("p99", "stable"), "p99 of stable"),
        (Selector("p99", "canary", 86400.0), "p99 1d ago"),
        (Selector("p99", "stable", 60.0), "p99 of stable 1m ago"),
        (Selector("p99", "all", 0.0, "legacy"), "p99 in baseline legacy"),
    ],
)
def test_a_series_is_called_as_people_do(selector, name):
    assert name_of(selector) == name


def test_one_sample_covers_one_interval():
    found = held(np.array([NOW]), [True], now_s=NOW, for_s=10.0, interval_s=10.0)
    assert (found.enough, found.missing_s) == (True, 0.0)


def test_after_a_silence_the_rest_of_the_window_is_missing():
    found = held(np.array([NOW - 30.2]), [True], now_s=NOW, for_s=30.5, interval_s=10.0)
    assert not found.enough
    assert found.missing_s == pytest.approx(0.5)


@pytest.mark.parametrize("stale_after_s", [None, 25.0, 90.0])
def test_the_newest_at_each_moment_is_the_newest_then(stale_after_s):
    observed = seen((200, 1.0), (190, 2.0), (180, None), (100, 3.0), (95, 4.0), (0, 5.0))
    moments = NOW - np.arange(210.0, -20.0, -2.5)
    values, unit = newest_at(observed, HERE, moments, stale_after_s=stale_after_s)
    one_by_one = [newest(observed, HERE, now_s=float(moment), stale_after_s=stale_after_s) for moment in moments]
    known = [math.nan if isinstance(found, Missing) else found[0] for found in one_by_one]
    assert unit == "ms"
    np.testing.assert_array_equal(values, known)


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        ({}, False),
        ({HERE: Unavailable("refused")}, False),
        (seen((0, 1.0), interval_s=0.0), False),
        (seen((0, 1.0), interval_s=math.inf), False),
        (seen((0, 1.0), interval_s=math.nan), False),
        (seen((0, 1.0), interval_s=0.5), True),
        (seen(), True),
    ],
)
def test_without_a_series_of_known_spacing_there_is_no_newest_at_any_moment(observed, told):
    found = newest_at(observed, HERE, np.array([NOW]), stale_after_s=None)
    assert (found is not None) is told
    assert len(observed.get(HERE, ()) if told else (1,)) or np.isnan(found[0]).tolist() == [True]


@pytest.mark.parametrize("interval_s", [0.1, 10.0, 1000.0])
def test_covers_whatever_the_spacing(interval_s):
    times = NOW - interval_s * np.arange(9, -1, -1)
    assert covers(times, now_s=NOW, window_s=10 * interval_s, interval_s=interval_s) is None
    assert covers(times[:-4], now_s=NOW, window_s=6 * interval_s, interval_s=interval_s) is not None


@pytest.mark.parametrize("interval_s", [0.0, -1.0, math.inf, math.nan])
def test_no_window_is_known_where_the_spacing_is_not(interval_s):
    found = Series.of([(NOW, 1.0)], unit="ms", interval_s=interval_s)
    assert windows_at(found, np.array([NOW]), window_s=100.0, stale_after_s=None, min_samples=1) is None


@pytest.mark.parametrize("min_samples", [0, 1, 2, 5])
@pytest.mark.parametrize("stale_after_s", [None, 25.0, 90.0])
@pytest.mark.parametrize("interval_s", [0.5, 5.0, 10.0])
@pytest.mark.parametrize(
    "agos",
    [
        range(200, -1, -10),
        range(205, 0, -10),
        [*range(200, 99, -10), *range(50, -1, -10)],
        [*range(200, 109, -10), 80.5, 80, *range(70, -1, -10)],
        [95, 94, 93, 92, 91, *range(50, -1, -10)],
        range(60, -1, -5),
        [90, 45],
        [0],
        [],
    ],
    ids=[
        "steady",
        "off the grid",
        "a gap",
        "gaps of three intervals",
        "a gap after the first",
        "a late start",
        "two",
        "one",
        "none",
    ],
)
def test_the_windows_at_each_moment_are_those_then(agos, interval_s, stale_after_s, min_samples):
    """Missing values in between; the same samples and the same objections as one by one, to the edge."""
    rows = [(NOW - ago, None if index % 7 == 3 else float(index)) for index, ago in enumerate(agos)]
    found = Series.of(rows, unit="ms", interval_s=interval_s)
    moments = NOW - np.arange(230.0, -61.0, -2.5)
    windows = windows_at(found, moments, window_s=100.0, stale_after_s=stale_after_s, min_samples=min_samples)
    assert (windows.series.unit, windows.series.interval_s) == ("ms", interval_s)
    uncovered = windows.uncovered(moments, 100.0) if len(windows.series) else np.zeros(moments.size)
    for index, moment in enumerate(moments.tolist()):
        then = with_values(
            {HERE: found}, HERE, now_s=moment, window_s=100.0, stale_after_s=stale_after_s, min_samples=min_samples
        )
        assert windows.known[index] == isinstance(then, Series)
        if isinstance(then, Series):
            inside = slice(windows.first[index], windows.last[index])
            assert windows.series.times_s[inside].tolist() == then.times_s.tolist()
            assert windows.series.values[inside].tolist() == then.values.tolist()
            why = covers(then.times_s, now_s=moment, window_s=100.0, interval_s=interval_s)
            assert uncovered[index] == (why is not None), why
