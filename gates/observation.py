"""What was measured: series of samples, and the names by which conditions ask for them.

Times are unix seconds (UTC) as float64, values float64 in the metric's unit; NaN is a sample that was taken and has no
value. A Series is canonical once built: times ascending and unique, finite. Conditions never see anything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Side = Literal["canary", "stable", "all"]


class Selector(NamedTuple):
    """Which series: a metric, of which side, and how long ago (`offset_s`, seconds; 0 is now).

    A series asked for with an offset is served moved onto now (its times plus `offset_s`), as PromQL's `offset` does.
    `baseline` names a recorded series instead ("before the rollout"); it excludes an offset, belongs to no side
    (`side` is "all"), and every sample of it counts, whatever its time. `constant_split` asks for those samples only that
    were taken since the traffic was last split anew: what was seen at another weight is another experiment.
    """

    metric: str
    side: Side = "all"
    offset_s: float = 0.0
    baseline: str | None = None
    constant_split: bool = False


class Need(NamedTuple):
    """What a condition must be given: a selector and how far back from `now` it looks, in seconds.

    A window of 0 asks for the newest sample only; whoever fetches adds a few intervals, so that staleness can be told.
    """

    selector: Selector
    window_s: float


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The source could not be asked: out of reach, refused, timed out. Never to be confused with an empty series."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Samples of one metric. Build with `Series.of`, which sorts, drops unusable times and keeps the last of duplicates.

    `interval_s` is the spacing expected between samples. `labels` holds the category per sample for a categorical metric
    (values are then NaN); `None` otherwise.
    """

    times_s: FloatArray
    values: FloatArray
    unit: str
    interval_s: float
    labels: tuple[str, ...] | None = None

    @classmethod
    def of(cls, samples: Iterable[Sequence[float | None]], *, unit: str, interval_s: float) -> "Series":
        """From (unix seconds, value) pairs in any order; a value of None is a missing one (NaN)."""
        rows = [(nan if t is None else float(t), nan if v is None else float(v)) for t, v in samples]
        times, values = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        return cls.from_arrays(times, values, unit=unit, interval_s=interval_s)

    @classmethod
    def from_arrays(cls, times_s: FloatArray, values: FloatArray, *, unit: str, interval_s: float) -> "Series":
        """From two arrays of the same length; infinite values become NaN, unusable times are dropped.

        Of samples with the same time the last one that has a value counts: a missing value never hides a measured one.
        """
        if times_s.shape != values.shape:
            raise ValueError(f"times {times_s.shape} and values {values.shape} differ in shape")
        usable = np.isfinite(times_s)
        times, kept = times_s[usable], values[usable]
        kept = np.where(np.isfinite(kept), kept, np.nan)
        if not np.all(times[1:] > times[:-1]):
            order = np.lexsort((np.isfinite(kept), times))
            times, kept = times[order], kept[order]
            last = np.append(times[1:] > times[:-1], True)
            times, kept = times[last], kept[last]
        return cls(times, kept, unit, interval_s)

    @classmethod
    def of_labels(cls, samples: Iterable[tuple[float, str]], *, unit: str, interval_s: float) -> "Series":
        """From (unix seconds, category) pairs, for a categorical metric."""
        latest = {float(t): label for t, label in samples if np.isfinite(t)}
        rows = sorted(latest.items())
        times = np.array([t for t, _ in rows])
        nothing = np.full(times.shape, np.nan)
        return cls(times, nothing, unit, interval_s, tuple(label for _, label in rows))

    def __len__(self) -> int:
        return int(self.times_s.size)

    def window(self, *, start_s: float, end_s: float) -> "Series":
        """The samples with start < time <= end; samples from the future of `end_s` never count."""
        first, last = self.times_s.searchsorted((start_s, end_s), side="right").tolist()
        labels = None if self.labels is None else self.labels[first:last]
        return Series(self.times_s[first:last], self.values[first:last], self.unit, self.interval_s, labels)

    def last(self) -> "Series":
        """The newest sample alone (nothing, when there is none)."""
        labels = None if self.labels is None else self.labels[-1:]
        return Series(self.times_s[-1:], self.values[-1:], self.unit, self.interval_s, labels)

    def shifted(self, by_s: float) -> "Series":
        """The same samples with `by_s` seconds added to each time."""
        return Series(self.times_s + by_s, self.values, self.unit, self.interval_s, self.labels)


Observations = Mapping[Selector, Series | Unavailable]
