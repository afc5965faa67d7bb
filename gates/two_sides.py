"""The canary's and the stable side's series of one metric, as the statistical judges take them, or why they cannot.

Everything that must not become evidence stops here: a side that was not asked, is out of reach, empty or stale.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from gates.observation import FloatArray, Need, Observations, Selector, Series, Side, Unavailable
from gates.units import format_duration

STALE_AFTER_INTERVALS = 3.0
LONGEST = timedelta(days=1)
"""How far back a statistical judge looks at most, unless the plan says `over`."""


@dataclass(frozen=True, slots=True)
class TwoSides:
    """Both sides within the window, with all their samples (a value may be NaN)."""

    stable: Series
    canary: Series

    def samples(self) -> dict[Side, int]:
        """How many samples with a value each side has."""
        return {
            "canary": int(np.count_nonzero(np.isfinite(self.canary.values))),
            "stable": int(np.count_nonzero(np.isfinite(self.stable.values))),
        }


@dataclass(frozen=True, slots=True)
class Paired:
    """Samples of several series at the same moments: one row per series, one column per moment, all finite."""

    rows: FloatArray
    slots: FloatArray
    """The moments, counted in intervals of `interval_s`."""
    interval_s: float
    missing: int
    """Moments since the first common one at which one series had a sample and another had none, or NaN."""


def needs_of(metric: str, window_s: float, *, history: bool = False) -> tuple[Need, Need]:
    """What a judge of both sides must be given: their samples since the traffic was last split anew, at most `window_s`.

    With `history` the stable side's from before that as well, as far back again.
    """
    canary = Need(Selector(metric, "canary", constant_split=True), window_s)
    stable = Selector(metric, "stable", constant_split=not history)
    return canary, Need(stable, 2 * window_s if history else window_s)


def take_sides(
    observations: Observations, metric: str, *, window_s: float, now_s: float, history: bool = False
) -> TwoSides | str:
    """Both sides, or the reason why there is nothing to judge; `history` as in `needs_of`."""
    taken = {}
    for selector, reach_s in reversed(needs_of(metric, window_s, history=history)):
        found = _take_side(observations, selector, window_s=reach_s, now_s=now_s)
        if isinstance(found, str):
            return found
        taken[selector.side] = found
    return TwoSides(stable=taken["stable"], canary=taken["canary"])


def paired_in_time(*series: Series, interval_s: float | None = None) -> Paired:
    """The samples of all series that were taken in the same interval; the later one where an interval has two.

    `interval_s` is the longest spacing among them unless given.
    """
    interval_s = interval_s or max(one.interval_s for one in series)
    slots = _slots(series, interval_s)
    if all(slot is slots[0] for slot in slots[1:]) and (slots[0][1:] > slots[0][:-1]).all():
        values = np.array([one.values for one in series])
        everywhere = np.isfinite(values).all(axis=0).nonzero()[0]
        asked = slots[0].size - int(everywhere[0]) if everywhere.size else slots[0].size
        return Paired(values.take(everywhere, axis=1), slots[0].take(everywhere), interval_s, asked - everywhere.size)
    finite = [_finite(slot, one.values) for slot, one in zip(slots, series, strict=True)]
    common = finite[0][0]
    for moments, _ in finite[1:]:
        common = np.intersect1d(common, moments, assume_unique=True)
    rows = np.array([values[np.searchsorted(moments, common)] for moments, values in finite])
    seen = np.unique(np.concatenate(slots))
    expected = seen[seen >= common[0]].size if common.size else seen.size
    return Paired(rows, common, interval_s, int(expected - common.size))


def _slots(series: tuple[Series, ...], interval_s: float) -> list[FloatArray]:
    """Which interval each sample was taken in; the same array where two series were sampled in the same intervals."""
    first = series[0]
    slots = [np.floor(first.times_s / interval_s + 0.5)]
    for one in series[1:]:
        if one.times_s.size == first.times_s.size and (one.times_s == first.times_s).all():
            slots.append(slots[0])
            continue
        own = np.floor(one.times_s / interval_s + 0.5)
        slots.append(slots[0] if np.array_equal(own, slots[0]) else own)
    return slots


def _take_side(observations: Observations, selector: Selector, *, window_s: float, now_s: float) -> Series | str:
    metric, side = selector.metric, selector.side
    found = observations.get(selector, observations.get(Selector(metric, side)))
    if found is None:
        return f"{metric} of {side}: was not measured"
    if isinstance(found, Unavailable):
        return f"{metric} of {side}: source out of reach: {found.reason}"
    if found.labels is not None:
        return f"{metric} of {side}: is a category; a statistical judge needs numbers"
    if not (np.isfinite(found.interval_s) and found.interval_s > 0):
        return f"{metric} of {side}: the spacing of samples is {found.interval_s} s, not known"
    series = found.window(start_s=now_s - window_s, end_s=now_s)
    with_value = np.isfinite(series.values).nonzero()[0]
    if with_value.size == 0:
        return f"{metric} of {side}: no data in the last {format_duration(window_s)}"
    age_s, oldest_s = now_s - float(series.times_s[with_value[-1]]), STALE_AFTER_INTERVALS * series.interval_s
    if age_s > oldest_s:
        return (
            f"{metric} of {side}: stale, the last sample is {format_duration(round(age_s, 3))} old"
            f" > at most {format_duration(oldest_s)}"
        )
    return series


def _finite(slots: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The finite values and their intervals; the last one of each interval."""
    usable = np.isfinite(values)
    slots, values = slots[usable], values[usable]
    newer = slots[1:] > slots[:-1]
    if newer.all():
        return slots, values
    last = np.append(newer, True)
    return slots[last], values[last]
