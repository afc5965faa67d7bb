"""Looking at a series: is there evidence at all, is it fresh, does it cover the window, and since when does something hold.

Every condition looks through these, so "no data", "stale" and "held too short" mean the same everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gates.observation import FloatArray, Observations, Selector, Series, Unavailable
from gates.units import format_duration

STALE_INTERVALS = 5
"""A newest sample older than this many intervals is stale, unless the plan says otherwise."""
GAP_INTERVALS = 3
"""The longest gap, in intervals, that a window may have."""
COVERAGE = 0.9
"""The least share of the samples expected in a window that must be there."""

ROUNDING = 1e-6


class Missing(NamedTuple):
    """Why there is no evidence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """How long a truth per sample has held up to now.

    `enough` says that it held long enough and was seen all the time; if not, `missing_s` is the time, in seconds, after
    which that can be so at the earliest.
    """

    enough: bool
    held_s: float
    missing_s: float
    why: str


def look(
    observations: Observations, selector: Selector, *, now_s: float, window_s: float | None, stale_after_s: float | None
) -> Series | Missing:
    """The samples of the window up to now (all when `window_s` is None), or why they are no evidence.

    A recorded baseline is taken whole and is never stale.
    """
    found = observations.get(selector)
    if found is None:
        return _missing(selector, "not measured")
    if isinstance(found, Unavailable):
        return _missing(selector, f"source unavailable: {found.reason}")
    if not isfinite(now_s):
        return _missing(selector, f"now is {now_s}, not a time")
    interval_s = found.interval_s
    if not (isfinite(interval_s) and interval_s > 0):
        return _missing(selector, f"the spacing of samples is {interval_s} s, not known")
    times_s = found.times_s
    count = times_s.size
    if selector.baseline is not None:
        return found if count else _missing(selector, "no samples")
    # The watch asks this of thousands of series that end before now: for those no search is needed.
    last = count if count and times_s[-1] <= now_s else int(np.searchsorted(times_s, now_s, side="right"))
    if last == 0:
        return _missing(selector, "no samples" + (" up to now, all are from the future" if count else ""))
    allowed_s = STALE_INTERVALS * interval_s if stale_after_s is None else stale_after_s
    age_s = now_s - float(times_s[last - 1])
    if age_s > allowed_s + ROUNDING:
        age, allowed = format_duration(age_s), format_duration(allowed_s)
        return _missing(selector, f"stale, newest sample {age} old > at most {allowed}")
    if window_s is None and last == count:
        return found
    start_s = -np.inf if window_s is None else now_s - window_s
    seen = found.window(start_s=start_s, end_s=now_s)
    return seen if len(seen) else _missing(selector, f"no samples in the last {format_duration(window_s or 0)}")


def _missing(selector: Selector, why: str) -> Missing:
    return Missing(f"{name_of(selector)}: {why}")


def newest(
    observations: Observations, selector: Selector, *, now_s: float, stale_after_s: float | None
) -> tuple[float, Series] | Missing:
    """The newest sample's value; one without a value (NaN) is no evidence, even when an older one has one."""
    seen = look(observations, selector, now_s=now_s, window_s=None, stale_after_s=stale_after_s)
    if isinstance(seen, Missing):
        return seen
    value = float(seen.values[-1])
    return _missing(selector, "the newest sample has no value (NaN)") if isnan(value) else (value, seen)


def newest_at(
    observations: Observations, selector: Selector, moments: FloatArray, *, stale_after_s: float | None
) -> tuple[FloatArray, str] | None:
    """What `newest` finds at each of many moments, NaN where that is no evidence, and the unit; None without a series."""
    found = observations.get(selector)
    if not isinstance(found, Series) or not (np.isfinite(found.interval_s) and found.interval_s > 0):
        return None
    allowed_s = STALE_INTERVALS * found.interval_s if stale_after_s is None else stale_after_s
    if not len(found):
        return np.full(moments.shape, np.nan), found.unit
    last = found.times_s.searchsorted(moments, side="right") - 1
    fresh = (moments - found.times_s[last] <= allowed_s + ROUNDING) & (last >= 0)
    return np.where(fresh, found.values[last], np.nan), found.unit


@dataclass(frozen=True, slots=True)
class Windows:
    """What `with_values` finds at each of many moments: of `series`, all finite, the samples from `first` up to `last`."""

    series: Series
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    known: NDArray[np.bool_]
    """Enough samples, and the newest of them fresh."""

    def uncovered(self, moments: FloatArray, window_s: float) -> NDArray[np.bool_]:
        """Where `covers` has an objection; of the moments that are known only."""
        times, interval_s = self.series.times_s, self.series.interval_s
        longest_s = GAP_INTERVALS * interval_s + ROUNDING
        few = self.last - self.first + ROUNDING < COVERAGE * (window_s / interval_s)
        oldest, newest_ = np.minimum(self.first, times.size - 1), self.last - 1
        edges = (times[oldest] - (moments - window_s) > longest_s) | (moments - times[newest_] > longest_s)
        gaps = np.append(0, (times[1:] - times[:-1] > longest_s).cumsum())
        inside = gaps[newest_] > gaps[oldest]
        uncovered: NDArray[np.bool_] = few | inside | edges
        return uncovered


def windows_at(
    found: Series, moments: FloatArray, *, window_s: float, stale_after_s: float | None, min_samples: int
) -> Windows | None:
    """The window up to each of many moments; None where the spacing of samples is not known."""
    usable = np.isfinite(found.values)
    if not (np.isfinite(found.interval_s) and found.interval_s > 0):
        return None
    times = found.times_s[usable]
    allowed_s = STALE_INTERVALS * found.interval_s if stale_after_s is None else stale_after_s
    last = times.searchsorted(moments, side="right")
    first = times.searchsorted(moments - window_s, side="right")
    known = last - first >= max(1, min_samples)
    if times.size:
        # Where no sample is in the window, it does not matter which one -1 picks.
        known &= moments - times[last - 1] <= allowed_s + ROUNDING
    return Windows(Series(times, found.values[usable], found.unit, found.interval_s), first, last, known)


def with_values(
    observations: Observations,
    selector: Selector,
    *,
    now_s: float,
    window_s: float,
    stale_after_s: float | None,
    min_samples: int,
) -> Series | Missing:
    """The samples of the window that have a value, at least `min_samples` of them and the newest of them fresh."""
    seen = look(observations, selector, now_s=now_s, window_s=window_s, stale_after_s=stale_after_s)
    if isinstance(seen, Missing):
        return seen
    usable = np.isfinite(seen.values)
    if not usable.all():
        seen = Series(seen.times_s[usable], seen.values[usable], seen.unit, seen.interval_s)
    what = name_of(selector)
    if len(seen) < max(1, min_samples):
        return Missing(f"{what}: {len(seen)} samples with a value < at least {max(1, min_samples)}")
    if selector.baseline is None:
        allowed_s = STALE_INTERVALS * seen.interval_s if stale_after_s is None else stale_after_s
        age_s = now_s - float(seen.times_s[-1])
        if age_s > allowed_s + ROUNDING:
            return Missing(
                f"{what}: stale, newest value {format_duration(age_s)} old > at most {format_duration(allowed_s)}"
            )
    return seen


def covers(times_s: FloatArray, *, now_s: float, window_s: float, interval_s: float) -> str | None:
    """Why the samples do not cover the window up to now, or None when they do.

    At least 90 % of the samples expected, and no gap over 3 intervals; the edges of the window count as gaps do.
    """
    expected = window_s / interval_s
    if not times_s.size or times_s.size + ROUNDING < COVERAGE * expected:
        return f"{times_s.size} samples < at least {COVERAGE:.0%} of the {expected:.0f} expected"
    at_the_edges_s = max(float(times_s[0]) - (now_s - window_s), now_s - float(times_s[-1]))
    longest_s = max(at_the_edges_s, float((times_s[1:] - times_s[:-1]).max(initial=0.0)))
    if longest_s > GAP_INTERVALS * interval_s + ROUNDING:
        return f"a gap of {format_duration(longest_s)} > at most {format_duration(GAP_INTERVALS * interval_s)}"
    return None


def held(
    times_s: FloatArray, truths: NDArray[np.bool_] | Sequence[bool], *, now_s: float, for_s: float, interval_s: float
) -> Held:
    """Whether `truths` (one per sample that has a value, times ascending, none after now) held for `for_s` up to now.

    Held: every sample in the window is true, and the samples cover the window.
    """
    truth = np.asarray(truths, dtype=np.bool_)
    first = int(times_s.searchsorted(now_s - for_s, side="right"))
    if times_s.size in (0, first):
        return Held(False, 0.0, for_s, "no samples with a value in the window")
    gap_s = GAP_INTERVALS * interval_s
    if not truth[-1]:
        return Held(False, 0.0, for_s, "the newest sample does not hold")
    wrong = (~truth).nonzero()[0]
    wrong_s = float(times_s[wrong[-1]]) if wrong.size else -np.inf
    jumps = (times_s[1:] - times_s[:-1] > gap_s + ROUNDING).nonzero()[0]
    run = max(int(jumps[-1]) + 1 if jumps.size else 0, int(wrong[-1]) + 1 if wrong.size else 0)
    held_s = now_s - float(times_s[run])
    silent_s = now_s - float(times_s[-1])
    if silent_s > gap_s + ROUNDING:
        why = f"no sample for {format_duration(silent_s)} > at most {format_duration(gap_s)}"
        return Held(False, held_s, max(0.0, for_s - gap_s), why)
    uncovered = covers(times_s[first:], now_s=now_s, window_s=for_s, interval_s=interval_s)
    if wrong_s <= now_s - for_s and uncovered is None:
        return Held(True, min(for_s, held_s + interval_s), 0.0, "")
    after_gap_s = float(times_s[int(jumps[-1]) + 1] if jumps.size else times_s[0]) - gap_s
    lacking = COVERAGE * for_s / interval_s - (times_s.size - first)
    missing_s = max(wrong_s + for_s - now_s, after_gap_s + for_s - now_s, np.ceil(lacking - ROUNDING) * interval_s, 0.0)
    too_short = f"held {format_duration(round(held_s, 3))}"
    why = uncovered if uncovered and wrong_s <= now_s - for_s else too_short
    return Held(False, held_s, float(min(missing_s, for_s)), why)


def name_of(selector: Selector) -> str:
    """The series as people call it: `p95`, `p95 of stable`, `p95 24h ago`, `p95 in baseline legacy`."""
    if selector.baseline is not None:
        return f"{selector.metric} in baseline {selector.baseline}"
    side = f" of {selector.side}" if selector.side == "stable" else ""
    return f"{selector.metric}{side}" + (f" {format_duration(selector.offset_s)} ago" if selector.offset_s else "")
