"""Chosen differences of pairs are, to the float, those that sorting all of them gives."""

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


def test_where_rounding_could_matter_nothing_is_guessed():
    control, experiment = (np.sort(1.0 + 2.0**-52 * np.arange(200.0)) for _ in range(2))
    assert pair_differences._between_guesses(control, experiment, (100, 20_000)) is None
