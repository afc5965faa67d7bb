"""Series are canonical whatever they were built from, and a window never shows the future."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.observation import Series

pairs = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(), st.integers(0, 9)), st.one_of(st.none(), st.floats())), max_size=30
)


def series(*rows):
    return Series.of(rows, unit="ms", interval_s=60.0)


def rows(found):
    return [(t, None if math.isnan(v) else v) for t, v in zip(found.times_s.tolist(), found.values.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([(2, 2.0), (1, 1.0)], [(1, 1.0), (2, 2.0)]),
        ([(1, 1.0), (1, 2.0)], [(1, 2.0)]),
        ([(1, 1.0), (1, None)], [(1, 1.0)]),
        ([(1, None), (1, 1.0)], [(1, 1.0)]),
        ([(1, None), (1, None)], [(1, None)]),
        ([(1, math.inf), (2, -math.inf), (3, 3.0)], [(1, None), (2, None), (3, 3.0)]),
        ([(None, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1, 1.0)], [(1, 1.0)]),
        ([(3, 3.0), (1, 1.0), (3, 4.0), (2, None)], [(1, 1.0), (2, None), (3, 4.0)]),
        ([], []),
        ([(1, 1.0)], [(1, 1.0)]),
    ],
    ids=[
        "sorted",
        "the last counts",
        "a missing one hides nothing",
        "a measured one counts",
        "both missing",
        "infinite is missing",
        "unusable times are dropped",
        "all together",
        "empty",
        "one",
    ],
)
def test_a_series_is_canonical(written, read):
    assert rows(series(*written)) == read


@given(pairs)
def test_times_ascend_and_values_are_finite_or_nan(written):
    found = series(*written)
    assert np.all(np.diff(found.times_s) > 0)
    assert np.isfinite(found.times_s).all()
    assert not np.isinf(found.values).any()
    assert rows(Series.from_arrays(found.times_s, found.values, unit="ms", interval_s=60.0)) == rows(found)


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"times \(2,\) and values \(1,\) differ in shape"):
        Series.from_arrays(np.array([1.0, 2.0]), np.array([1.0]), unit="", interval_s=1.0)


@pytest.mark.parametrize(
    ("start_s", "end_s", "times"),
    [(1, 3, [2, 3]), (0, 3, [1, 2, 3]), (1, 2.5, [2]), (3, 9, []), (-9, 1, [1]), (2, 2, []), (3, 1, [])],
)
def test_a_window_leaves_its_start_out_and_the_future_too(start_s, end_s, times):
    whole = series((1, 1.0), (2, 2.0), (3, 3.0))
    window = whole.window(start_s=start_s, end_s=end_s)
    assert window.times_s.tolist() == times
    assert window.values.tolist() == times
    assert (window.unit, window.interval_s, window.labels) == ("ms", 60.0, None)
    assert len(window) == len(times)


def test_words_follow_their_samples():
    words = Series.of_labels([(3, "c"), (1, "a"), (2, "b"), (math.nan, "x"), (3, "d")], unit="category", interval_s=5.0)
    assert (words.times_s.tolist(), words.labels) == ([1, 2, 3], ("a", "b", "d"))
    assert np.isnan(words.values).all()
    assert words.window(start_s=1, end_s=2).labels == ("b",)
    assert (words.last().labels, words.last().times_s.tolist()) == (("d",), [3])
    assert words.shifted(10.0).labels == words.labels
    assert (words.unit, words.interval_s) == ("category", 5.0)


def test_the_newest_sample_alone_and_the_same_samples_later():
    whole = series((1, 1.0), (2, 2.0))
    assert rows(whole.last()) == [(2, 2.0)]
    assert rows(whole.shifted(60.0)) == [(61, 1.0), (62, 2.0)]
    assert rows(series().last()) == []
    assert (whole.last().unit, whole.shifted(1).unit, whole.last().interval_s, whole.shifted(1).interval_s) == (
        "ms",
        "ms",
        60,
        60,
    )


def test_the_last_of_three_is_one_sample():
    found = series((1, 1.0), (2, 2.0), (3, 3.0)).last()
    assert rows(found) == [(3, 3.0)]
    assert Series.of_labels([(1, "a"), (2, "b"), (3, "c")], unit="", interval_s=1.0).last().labels == ("c",)
