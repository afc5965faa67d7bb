"""Taking and pairing the sides: what is missing is said, what is there is paired by interval."""

import math

import numpy as np
import pytest

from gates.observation import Need, Observations, Selector, Series, Unavailable
from gates.two_sides import TwoSides, needs_of, paired_in_time, take_sides
from tests.gates.sides import NOW_S, both_sides, series_until_now


def series(*samples: tuple[float, float], interval_s: float = 60.0) -> Series:
    return Series.of(samples, unit="ms", interval_s=interval_s)


def test_needs_are_both_sides_of_the_window() -> None:
    """Canary and stable, equally far back."""
    assert [(need.selector.side, need.window_s) for need in needs_of("p95", 60.0)] == [("canary", 60.0), ("stable", 60.0)]


def test_takes_both_sides_within_the_window() -> None:
    """Older samples are left out, and those from the future."""
    taken = take_sides(both_sides([1, 2, 3], [4, 5, 6]), "p95", window_s=120.0, now_s=NOW_S)
    assert isinstance(taken, TwoSides)
    assert taken.stable.values.tolist() == [2, 3]
    assert taken.canary.values.tolist() == [5, 6]
    assert taken.samples() == {"canary": 2, "stable": 2}


@pytest.mark.parametrize(
    ("observations", "reason"),
    [
        ({}, "p95 of stable: was not measured"),
        ({Selector("p95", "stable"): Unavailable("timeout")}, "p95 of stable: source out of reach: timeout"),
        (both_sides([1, 2], []), "p95 of canary: no data in the last 1h"),
        (both_sides([1, 2], [None, None]), "p95 of canary: no data in the last 1h"),
        (
            both_sides([1, 2, None, None, None, None], [1] * 6),
            "p95 of stable: stale, the last sample is 4m old > at most 3m",
        ),
        (
            {Selector("p95", "stable"): Series.of_labels([(NOW_S, "up")], unit="category", interval_s=60)},
            "p95 of stable: is a category; a statistical judge needs numbers",
        ),
    ],
    ids=["missing", "unavailable", "empty", "only NaN", "stale", "category"],
)
def test_what_cannot_be_judged_is_said(observations: Observations, reason: str) -> None:
    """Never an empty array."""
    assert take_sides(observations, "p95", window_s=3600.0, now_s=NOW_S) == reason


def test_a_sample_three_intervals_old_is_not_stale() -> None:
    """The limit itself is still fresh."""
    observations = both_sides([1, 2, None, None, None], [1] * 5)
    assert isinstance(take_sides(observations, "p95", window_s=3600.0, now_s=NOW_S), TwoSides)


def test_pairs_samples_of_the_same_interval() -> None:
    """Scrapes are some seconds apart; NaN and lone samples are missing."""
    one = series((0, 1.0), (61, 2.0), (122, math.nan), (180, 4.0))
    two = series((5, 10.0), (58, 20.0), (119, 30.0), (240, 50.0))
    paired = paired_in_time(one, two)
    assert paired.rows.tolist() == [[1.0, 2.0], [10.0, 20.0]]
    assert paired.slots.tolist() == [0, 1]
    assert paired.missing == 3


def test_what_was_before_the_first_common_moment_is_not_missing() -> None:
    """The stable side existed before the canary did."""
    paired = paired_in_time(series_until_now(range(10), unit="ms"), series_until_now([7, 8, 9], unit="ms"))
    assert paired.rows.tolist() == [[7, 8, 9], [7, 8, 9]]
    assert paired.missing == 0


def test_nothing_in_common_is_all_missing() -> None:
    """No pair, and every moment counted."""
    paired = paired_in_time(series((0, 1.0), (60, 1.0)), series((120, 1.0)))
    assert paired.rows.shape == (2, 0)
    assert paired.missing == 3


def test_the_longer_interval_pairs_and_the_later_sample_counts() -> None:
    """A series sampled more often gives its last sample of each interval."""
    paired = paired_in_time(series((0, 1.0), (60, 2.0)), series((0, 5.0), (20, 6.0), (40, 7.0), (60, 8.0), interval_s=20.0))
    assert paired.interval_s == 60.0
    assert paired.rows.tolist() == [[1.0, 2.0], [6.0, 8.0]]


def test_a_given_interval_is_kept() -> None:
    """So that two pairings count the same moments."""
    paired = paired_in_time(series((0, 1.0), (60, 2.0)), interval_s=120.0)
    assert paired.interval_s == 120.0
    assert np.array_equal(paired.slots, [0, 1])


def test_sides_without_a_known_spacing_cannot_be_paired() -> None:
    series = Series.of([(NOW_S, 1.0)], unit="ms", interval_s=0.0)
    sides = {Selector("p95", "stable"): series, Selector("p95", "canary"): series}
    said = take_sides(sides, "p95", window_s=60.0, now_s=NOW_S)
    assert said == "p95 of stable: the spacing of samples is 0.0 s, not known"


@pytest.mark.parametrize(("history", "stable"), [(False, (True, 60.0)), (True, (False, 120.0))])
def test_history_is_what_the_stable_side_was_at_other_weights(history: bool, stable: tuple[bool, float]) -> None:
    split, window_s = stable
    assert needs_of("p95", 60.0, history=history) == (
        Need(Selector("p95", "canary", constant_split=True), 60.0),
        Need(Selector("p95", "stable", constant_split=split), window_s),
    )


@pytest.mark.parametrize(("history", "stable"), [(False, [8, 9]), (True, [1, 2, 3, 4])])
def test_takes_what_was_seen_since_the_split_and_with_history_twice_as_much(history: bool, stable: list[float]) -> None:
    split = {
        Selector("p95", "stable", constant_split=True): series_until_now([8, 9], unit="ms"),
        Selector("p95", "canary", constant_split=True): series_until_now([6, 7], unit="ms"),
    }
    observations = {**both_sides([0, 1, 2, 3, 4], [5, 5, 5, 5, 5]), **split}
    taken = take_sides(observations, "p95", window_s=120.0, now_s=NOW_S, history=history)
    assert isinstance(taken, TwoSides)
    assert taken.stable.values.tolist() == stable
    assert taken.canary.values.tolist() == [6, 7]


def test_samples_closer_than_a_second_can_be_taken() -> None:
    often = series((NOW_S - 1, 1.0), (NOW_S - 0.5, 2.0), (NOW_S, 3.0), interval_s=0.5)
    sides: Observations = {Selector("p95", "stable"): often, Selector("p95", "canary"): often}
    assert isinstance(take_sides(sides, "p95", window_s=60.0, now_s=NOW_S), TwoSides)


def test_the_later_of_two_samples_counts_when_both_series_have_two() -> None:
    one, two = series((0, 1.0), (60, 2.0), (80, 3.0)), series((0, 4.0), (60, 5.0), (80, 6.0))
    assert paired_in_time(one, two).rows.tolist() == [[1.0, 3.0], [4.0, 6.0]]


@pytest.mark.parametrize("shift_s", [0.0, 5.0])
def test_moments_are_missing_only_after_the_first_common_one(shift_s: float) -> None:
    """The same when the samples of both are some seconds apart."""
    one = series((0, math.nan), (60, math.nan), (120, 1.0), (180, 2.0), (240, 3.0))
    two = series(*((60.0 * place + shift_s, value) for place, value in enumerate([5.0, 6.0, 7.0, math.nan, 9.0])))
    paired = paired_in_time(one, two)
    assert (paired.rows.tolist(), paired.missing) == ([[1.0, 3.0], [7.0, 9.0]], 1)


def test_a_series_without_a_value_misses_all_its_moments() -> None:
    paired = paired_in_time(series((0, math.nan), (60, math.nan)))
    assert (paired.rows.shape, paired.missing) == ((1, 0), 2)
