"""Chosen ones among the differences of all pairs of two samples, in their order, without putting all of them in order.

The differences of two ascending samples form a matrix whose rows and columns ascend. A thinned matrix tells roughly where
the rank asked for lies; counting tells how many differences are below a guess; only those between two guesses are written
out and sorted (the idea of Johnson and Mizoguchi, SIAM Journal on Computing 7(2), 1978). What is found is the same float
as sorting everything would find: where rounding could let a difference change sides of a guess, everything is sorted.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gates.observation import FloatArray

PAIRS_AT_ONCE = 1_000_000
"""Up to so many pairwise differences are held in memory (8 MB); beyond that each one asked for is found by counting."""
SORTED_AT_ONCE = 4096
"""So few are quicker sorted than looked through."""
_THINNED = 32
"""Rows and columns of the thinned matrix."""
_REACH = 8
"""How far from its place in the thinned matrix, in its elements, a rank is looked for."""
_ROUNDING = 8 * float(np.finfo(np.float64).eps)

Indices = NDArray[np.intp]


def differences_at(control: FloatArray, experiment: FloatArray, ranks: tuple[int, ...]) -> list[float]:
    """Those differences, experiment minus control, that have the ascending `ranks` (0 is the smallest); both ascending."""
    pairs = control.size * experiment.size
    if pairs > PAIRS_AT_ONCE:
        return [difference_by_counting(control, experiment, rank) for rank in ranks]
    if pairs > SORTED_AT_ONCE:
        found = _of_distinct(control, experiment, ranks) or _between_guesses(control, experiment, ranks)
        if found:
            return found
    ordered = np.subtract.outer(experiment, control).ravel()
    ordered.sort()
    return [float(ordered[rank]) for rank in ranks]


def distinct(ordered: FloatArray) -> tuple[Indices, Indices]:
    """Where each different value of an ascending sample begins, and how often it occurs."""
    different = np.empty(ordered.size + 1, dtype=np.bool_)
    different[0] = different[-1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=different[1:-1])
    begins = different.nonzero()[0]
    return begins[:-1], begins[1:] - begins[:-1]


def _of_distinct(control: FloatArray, experiment: FloatArray, ranks: tuple[int, ...]) -> list[float] | None:
    """From the different values and how often each occurs; None where they are not few."""
    (columns, across), (rows, down) = distinct(control), distinct(experiment)
    if rows.size * columns.size > SORTED_AT_ONCE:
        return None
    differences = np.subtract.outer(experiment[rows], control[columns]).ravel()
    order = differences.argsort()
    ends = np.multiply.outer(down, across).ravel()[order].cumsum()
    found: list[float] = differences[order[ends.searchsorted(ranks, side="right")]].tolist()
    return found


def _between_guesses(control: FloatArray, experiment: FloatArray, ranks: tuple[int, ...]) -> list[float] | None:
    """None where a guess was wrong, or rounding could matter."""
    pairs, rows = control.size * experiment.size, experiment.size
    thinned = np.subtract.outer(_thinned(experiment), _thinned(control)).ravel()
    thinned.sort()
    spans = _spans([int((rank + 0.5) * thinned.size / pairs) for rank in ranks])
    lows = [float(thinned[low]) if low >= 0 else -np.inf for low, _ in spans]
    highs = [float(thinned[high]) if high < thinned.size else np.inf for _, high in spans]
    # Of each row, the columns from `begins` up to `ends` are above the low guess of a span and not above its high one.
    looked_for = (experiment - np.array(lows + highs)[:, None]).ravel()
    ends, begins = control.searchsorted(looked_for).reshape(2, -1)
    lengths = ends - begins
    stops = lengths.cumsum()
    columns = np.arange(stops[-1]) + np.repeat(ends - stops, lengths)
    written = np.repeat(np.concatenate([experiment] * len(spans)), lengths) - control.take(columns)
    # The spans are apart, so that all of them can be sorted at once.
    written.sort()
    slack = _ROUNDING * max(abs(float(side[end])) for side in (control, experiment) for end in (0, -1))
    above = ends.reshape(-1, rows).sum(axis=1).tolist()
    found: list[float] = []
    first = 0
    for low, high, after, behind in zip(lows, highs, stops[rows - 1 :: rows].tolist(), above, strict=True):
        for rank in ranks[len(found) :]:
            place = rank - (pairs - behind) + first
            if not first <= place < after:
                break
            value = float(written[place])
            if not low + slack < value < high - slack:
                return None
            found.append(value)
        first = after
    return found if len(found) == len(ranks) else None


def _spans(places: list[int]) -> list[tuple[int, int]]:
    """From `_REACH` below each of the ascending places to `_REACH` above; those that touch as one."""
    spans: list[tuple[int, int]] = []
    for place in places:
        if spans and place - _REACH <= spans[-1][1]:
            spans[-1] = (spans[-1][0], place + _REACH)
        else:
            spans.append((place - _REACH, place + _REACH))
    return spans


def _thinned(ordered: FloatArray) -> FloatArray:
    """About `_THINNED` of the values, evenly spread."""
    return ordered.take(_spread(ordered.size))


@lru_cache(maxsize=256)
def _spread(size: int) -> Indices:
    return ((np.arange(_THINNED) + 0.5) * (size / _THINNED)).astype(np.intp)


def difference_by_counting(control: FloatArray, experiment: FloatArray, rank: int) -> float:
    """Bisection down to neighbouring floats on how many differences are at most a given one; O(n log n), no matrix."""
    low, high = float(experiment[0] - control[-1]), float(experiment[-1] - control[0])
    while low < (middle := low / 2 + high / 2) < high:
        at_most = control.size * experiment.size - int(np.searchsorted(control, experiment - middle).sum())
        low, high = (low, middle) if at_most > rank else (middle, high)
    return high
