"""Where a measurement is going, by a robust slope with a stated confidence; never by two points.

With the confidence interval of the change over the window (slope times window) and a margin m (`within`: a share of the
level, or an amount in the metric's unit; 0 when left out):

| asked       | PASS                                | FAIL                                  | otherwise    |
| ---         | ---                                 | ---                                   | ---          |
| `rising`    | all of the interval above m         | all of it at or below m               | INCONCLUSIVE |
| `falling`   | all of it below -m                  | all of it at or above -m              | INCONCLUSIVE |
| `flat`      | all of it within -m to m (m needed) | all of it outside                     | INCONCLUSIVE |
| `unbounded` | rising by more than m over the      | whatever else was seen: growth is not | no or too    |
|             | window, and rising in its newer     | shown                                 | little data  |
|             | half as well (so not levelling off) |                                       |              |

`unbounded` states a breach, for triggers; its FAIL means "no such growth". Its margin is 5 % of the level by default.
"""

from collections.abc import Mapping
from datetime import timedelta
from math import isfinite, isnan
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts, Truths
from gates.observation import FloatArray, Need, Observations, Selector, Series, Side
from gates.slope import Slope, robust_slope
from gates.threshold import number_problems, unknown_metric, window_problems
from gates.units import Duration, Quantity, UnitError, format_duration, show
from gates.verdict import Finding, Verdict
from gates.window import Missing, covers, windows_at, with_values

_UNBOUNDED_MARGIN = Quantity(5.0, "%")


class Trend(Condition):
    """`trend: {metric: memory, is: flat, within: 5%, over: 4h}`. The samples must cover the window."""

    metric: str
    is_: Literal["rising", "falling", "flat", "unbounded"] = Field(alias="is")
    over: Duration
    within: Quantity | None = Field(default=None, description="% of the level (of a ratio: write pp), or the metric's unit")
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    min_samples: int = Field(default=10, ge=6)
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _margin(self) -> Self:
        if self.is_ == "flat" and self.within is None:
            raise ValueError("flat needs within: how far it may move over the window, such as 5%")
        if self.within is not None and not self.within.value >= 0:
            raise ValueError(f"within: {self.within} must not be below 0")
        if self.over <= timedelta(0):
            raise ValueError("over must be longer than 0")
        return self

    def needs(self) -> tuple[Need, ...]:
        return (Need(Selector(self.metric, self.side), self.over.total_seconds()),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        found = number_problems(self.metric, facts, self.side)
        found += window_problems(self.metric, self.over.total_seconds(), facts, self.min_samples)
        if not found:
            try:
                self._margin_at(1.0, facts.unit)
            except UnitError as error:
                found.append(f"{self.metric}: within {error}")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        over_s = self.over.total_seconds()
        seen = with_values(
            observations,
            Selector(self.metric, self.side),
            now_s=now_s,
            window_s=over_s,
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=self.min_samples,
        )
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        uncovered = covers(seen.times_s, now_s=now_s, window_s=over_s, interval_s=seen.interval_s)
        if uncovered:
            return self.unknown(f"{self.metric}: {uncovered}, for a trend over {format_duration(self.over)}")
        newer = int(seen.times_s.searchsorted(now_s - over_s / 2, side="right"))
        try:
            slope, margin, verdict = self._decide(seen.times_s, seen.values, seen.unit, newer)
        except UnitError as error:
            return self.unknown(f"{self.metric}: {error}")
        change, low, high = slope.slope * over_s, slope.lower * over_s, slope.upper * over_s
        unit = seen.unit
        numbers = {"change": change, "lower": low, "upper": high, "margin": margin, "level": slope.level}
        usable = {name: number for name, number in numbers.items() if isfinite(number)}
        between = f"{show(low, unit)} to {show(high, unit)} at {self.confidence:g} confidence"
        what = f"{self.metric} changed by {show(change, unit)} ({between}) over {format_duration(self.over)}"
        if any(isnan(number) for number in (change, low, high, margin)):
            return self.unknown(f"{self.metric}: no slope can be computed from its samples")
        word = {Verdict.PASS: "is", Verdict.FAIL: "is not", Verdict.INCONCLUSIVE: "cannot be told to be"}[verdict]
        return self.finding(verdict, f"{what}: {word} {self.is_}, margin {show(margin, unit)}", numbers=usable)

    def at_moments(self, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths] | None:
        """Once for all moments that see the same samples. None where there is no series."""
        found = observations.get(Selector(self.metric, self.side))
        over_s = self.over.total_seconds()
        if not isinstance(found, Series):
            return None
        seen = windows_at(
            found,
            moments,
            window_s=over_s,
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=self.min_samples,
        )
        if seen is None or not len(seen.series):
            return None
        series = seen.series
        newer = series.times_s.searchsorted(moments - over_s / 2, side="right") - seen.first
        verdicts: dict[tuple[int, int, int], Verdict] = {}
        known, passed = seen.known & ~seen.uncovered(moments, over_s), np.zeros(moments.size, dtype=np.bool_)
        for index in known.nonzero()[0]:
            first, last, half = key = int(seen.first[index]), int(seen.last[index]), int(newer[index])
            if key not in verdicts:
                times_s, values = series.times_s[first:last], series.values[first:last]
                try:
                    verdicts[key] = self._decide(times_s, values, series.unit, half)[2]
                except UnitError:
                    return None
            known[index] = verdicts[key] is not Verdict.INCONCLUSIVE
            passed[index] = verdicts[key] is Verdict.PASS
        return known, passed

    def _decide(self, times_s: FloatArray, values: FloatArray, unit: str, newer: int) -> tuple[Slope, float, Verdict]:
        """The slope, the margin of the change, and what they say; the newer half begins at `newer`. Raises UnitError."""
        over_s = self.over.total_seconds()
        slope = robust_slope(times_s, values, self.confidence)
        margin = self._margin_at(slope.level, unit)
        low, high = slope.lower * over_s, slope.upper * over_s
        if any(isnan(number) for number in (slope.slope, low, high, margin)):
            return slope, margin, Verdict.INCONCLUSIVE
        yes = no = False
        match self.is_:
            case "rising":
                yes, no = low > margin, high <= margin
            case "falling":
                yes, no = high < -margin, low >= -margin
            case "flat":
                yes, no = low >= -margin and high <= margin, low > margin or high < -margin
            case "unbounded":
                yes = low > margin and self._rises(times_s[newer:], values[newer:])
                no = not yes
        return slope, margin, Verdict.PASS if yes else Verdict.FAIL if no else Verdict.INCONCLUSIVE

    def _rises(self, times_s: FloatArray, values: FloatArray) -> bool:
        return times_s.size >= 3 and robust_slope(times_s, values, self.confidence).lower > 0

    def _margin_at(self, level: float, unit: str) -> float:
        within = self.within
        if within is None:
            within = _UNBOUNDED_MARGIN if self.is_ == "unbounded" else Quantity(0.0)
        if within.unit == "%":
            return within.value / 100 * abs(level)
        return Quantity(within.value, "%" if within.unit == "pp" else within.unit).to(unit)
