"""Chosen differences of pairs are, to the float, those that sorting all of them gives."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates import pair_differences
from gates.pair_differences import differences_at

SAMPLES = {
    "normal": lambda rng, size: rng.normal(500, 20, size),
    "wide": lambda rng, size: rng.lognormal(0, 8, size),
    "two heaps": lambda rng, size: np.where(rng.random(size) < 0.5, rng.normal(0, 1, size), rng.normal(1e6, 1, size)),
    "few values": lambda rng, size: rng.binomial(1000, 0.005, size) / 1000,
    "some ties": lambda rng, size: np.round(rng.normal(0, 1, size), 1),
    "many ties": lambda rng, size: np.round(rng.normal(0, 1, size), 2),
    "one value": lambda rng, size: np.full(size, 0.1),
    "huge": lambda rng, size: rng.normal(0, 1e307, size),
    "close": lambda rng, size: 1.0 + 1e-16 * rng.integers(0, 40, size),
}


def plain(control, experiment, ranks):
    ordered = np.sort(np.subtract.outer(experiment, control), axis=None)
    return [float(ordered[rank]) for rank in ranks]


@settings(max_examples=15)
@pytest.mark.parametrize("other", SAMPLES)
@pytest.mark.parametrize("kind", SAMPLES)
@given(
    seed=st.integers(0, 1000),
    sizes=st.tuples(st.integers(1, 120), st.integers(40, 250)),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_they_are_those_of_sorting_everything(kind, other, seed, sizes, shares):
    rng = np.random.default_rng(seed)
    control, experiment = np.sort(SAMPLES[kind](rng, sizes[0])), np.sort(SAMPLES[other](rng, sizes[1]))
    pairs = control.size * experiment.size
    ranks = tuple(sorted(int(share * (pairs - 1)) for share in shares))
    assert differences_at(control, experiment, ranks) == plain(control, experiment, ranks)


@pytest.mark.parametrize(("kind", "way"), [("normal", "_between_guesses"), ("few values", "_of_distinct")])
def test_two_sides_of_240_samples_are_not_sorted_whole(kind, way):
    rng = np.random.default_rng(5)
    control, experiment = (np.sort(SAMPLES[kind](rng, 240)) for _ in range(2))
    ranks = (25_000, 28_799, 28_800, 32_000)
    assert getattr(pair_differences, way)(control, experiment, ranks) == plain(control, experiment, ranks)


@pytest.mark.parametrize("scale", [2.0**-20, 1.0, 2.0**20])
def test_where_rounding_could_matter_nothing_is_guessed(scale):
    control, experiment = (scale * np.sort(1.0 + 2.0**-52 * np.arange(200.0)) for _ in range(2))
    assert pair_differences._between_guesses(control, experiment, (100, 20_000)) is None


@pytest.mark.parametrize("rank", [7123, 13435])
def test_a_difference_that_rounding_put_on_the_other_side_of_a_guess_is_not_lost(rank, monkeypatch):
    monkeypatch.setattr(pair_differences, "_REACH", 1)
    rng = np.random.default_rng(0)
    control, experiment = (np.sort(np.repeat([0.1, 1e6], 70) + 1e-6 * rng.random(140)) for _ in range(2))
    assert differences_at(control, experiment, (rank,)) == plain(control, experiment, (rank,))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("place", "value"), [(0, -1e15), (-1, 1e15)])
def test_rounding_is_that_of_the_largest_value(side, place, value):
    rng = np.random.default_rng(5)
    sides = [np.sort(rng.normal(0, 1, 240)) for _ in range(2)]
    ranks = (25_000, 28_799, 28_800, 32_000)
    assert pair_differences._between_guesses(*sides, ranks) == plain(*sides, ranks)
    sides[side][place] = value
    assert pair_differences._between_guesses(*sides, ranks) is None
    assert differences_at(*sides, ranks) == plain(*sides, ranks)


@pytest.mark.parametrize("reach", [0, 1, 8])
def test_wrong_guesses_change_nothing(reach, monkeypatch):
    monkeypatch.setattr(pair_differences, "_REACH", reach)
    rng = np.random.default_rng(7)
    control, experiment = (np.sort(rng.normal(0, 1, 100)) for _ in range(2))
    ranks = tuple(range(0, 10_000, 9))
    assert [differences_at(control, experiment, (rank,))[0] for rank in ranks] == plain(control, experiment, ranks)


@pytest.mark.parametrize("kind", ["normal", "few values"])
@pytest.mark.parametrize("size", [1000, 1500])
def test_large_samples_take_a_fraction_of_the_memory_of_all_pairs(kind, size):
    rng = np.random.default_rng(5)
    control, experiment = (np.sort(SAMPLES[kind](rng, size)) for _ in range(2))
    ranks = tuple(int(share * size * size) for share in (0.44, 0.5, 0.56))
    tracemalloc.start()
    try:
        differences_at(control, experiment, ranks)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < size * size * control.itemsize / 4


@pytest.mark.parametrize("rank", range(6))
def test_counting_finds_every_difference_the_ends_too(rank):
    control, experiment = np.array([1.0, 20.0]), np.array([0.5, 3.0, 9.0])
    found = pair_differences.difference_by_counting(control, experiment, rank)
    assert [found] == pytest.approx(plain(control, experiment, [rank]))


def test_up_to_a_million_pairs_they_are_exact():
    rng = np.random.default_rng(5)
    control, experiment = (np.sort(SAMPLES["normal"](rng, 1000)) for _ in range(2))
    ranks = (440_000, 499_999, 500_000, 560_000)
    expected = plain(control, experiment, ranks)
    assert differences_at(control, experiment, ranks) == expected
    assert [pair_differences.difference_by_counting(control, experiment, rank) for rank in ranks] == pytest.approx(expected)
