"""A measured number against a fixed bound: the newest sample, a statistic over a window, or every sample of a window.

`held: 60m` holds when every sample in the last 60 min keeps the bound and the samples cover the window (at least 90 % of
those expected, no gap over 3 intervals). The newest sample breaking the bound is FAIL; keeping it for too short a time is
INCONCLUSIVE, with the time left. Samples without a value (NaN) are missing ones: they neither keep nor break.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from gates.bound import Bounded, Compared
from gates.condition import MetricFacts, Truths
from gates.observation import FloatArray, Need, Observations, Selector, Series, Side
from gates.statistic import Statistic, of_values, rate_per_s, rate_unit
from gates.units import CATEGORY, Duration, UnitError, dimension, format_duration
from gates.verdict import Finding, Verdict
from gates.window import COVERAGE, Missing, held, look, newest, windows_at, with_values

BETWEEN_EXTREMES = ("mean", "median", "min", "max")
"""Statistics that are never below the smallest sample nor above the largest; percentiles are others."""


class Threshold(Bounded):
    """`threshold: {metric: p95, at_most: 700ms, held: 60m}`."""

    metric: str
    statistic: Statistic = "last"
    over: Duration | None = Field(default=None, description="the window of the statistic")
    held: Duration | None = Field(default=None, description="every sample of this window must keep the bound")
    side: Side = "canary"
    min_samples: int = Field(default=1, ge=1)
    stale_after: Duration | None = Field(default=None, description="default: 5 intervals of the metric")

    @model_validator(mode="after")
    def _one_way_to_look(self) -> Self:
        if self.held is not None and (self.over is not None or self.statistic != "last"):
            raise ValueError("held looks at every sample: leave out statistic and over")
        if self.statistic == "last" and self.over is not None:
            raise ValueError("over needs a statistic (mean, p95, ...); to look at every sample write held")
        if self.statistic != "last" and self.over is None:
            raise ValueError(f"statistic {self.statistic} needs over: the window it is taken of")
        for name, span in (("held", self.held), ("over", self.over), ("stale_after", self.stale_after)):
            if span is not None and span <= timedelta(0):
                raise ValueError(f"{name}: {format_duration(span)} must be longer than 0")
        return self

    @cached_property
    def selector(self) -> Selector:
        """The series this looks at."""
        return Selector(self.metric, self.side)

    def needs(self) -> tuple[Need, ...]:
        span = self.held or self.over or self.stale_after or timedelta(0)
        return (Need(self.selector, span.total_seconds()),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        unit = rate_unit(facts.unit) if self.statistic == "rate" else facts.unit
        found = number_problems(self.metric, facts, self.side) or self.bound_problems(unit, self.metric)
        if self.statistic == "rate" and dimension(facts.unit) in ("ratio", "time", "rate", "multiple"):
            found.append(f"{self.metric}: a rate is taken of a running counter, and the metric is in {facts.unit!r}")
        for span in (self.held, self.over):
            if span is not None:
                found += window_problems(self.metric, span.total_seconds(), facts, self.min_samples)
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        try:
            if self.held is not None:
                return self._judge_held(observations, now_s, self.held.total_seconds())
            return self._judge_number(observations, now_s)
        except UnitError as error:
            return self.unknown(f"{self.metric}: {error}")

    def plainly_fails(self, observations: Observations, now_s: float) -> bool:
        if self.held is not None or self.over is not None:
            return False
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        found = newest(observations, self.selector, now_s=now_s, stale_after_s=stale_s)
        try:
            return not isinstance(found, Missing) and self.breaks(found[0], found[1].unit)
        except UnitError:
            return False

    def at_moments(self, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths] | None:
        """Only for a statistic that lies between the smallest and the largest sample: where no sample of a window breaks
        the bound, the statistic does not either. None where there is no series."""
        found = observations.get(self.selector)
        between = self.statistic in BETWEEN_EXTREMES or self.statistic.startswith("p")
        if self.over is None or not between or not isinstance(found, Series):
            return None
        seen = windows_at(
            found,
            moments,
            window_s=self.over.total_seconds(),
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=self.min_samples,
        )
        if seen is None:
            return None
        first, last, known, values = seen.first, seen.last, seen.known, seen.series.values
        broken = np.append(0, np.cumsum(~self.keeps_each(values, found.unit)))
        passed = known & (broken[last] == broken[first])
        for index in np.flatnonzero(known & ~passed):
            value = of_values(self.statistic, values[first[index] : last[index]])
            passed[index] = self.keeps_each(np.array([value]), found.unit)[0]
        return known, passed

    def _judge_number(self, observations: Observations, now_s: float) -> Finding:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        if self.over is None:
            found = newest(observations, self.selector, now_s=now_s, stale_after_s=stale_s)
            if isinstance(found, Missing):
                return self.unknown(found.reason)
            return self._found(self.compare(found[0], found[1].unit, self.metric), found[0])
        over_s = self.over.total_seconds()
        seen = with_values(
            observations,
            self.selector,
            now_s=now_s,
            window_s=over_s,
            stale_after_s=stale_s,
            min_samples=self.min_samples,
        )
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        what = f"{self.metric} {self.statistic} over {format_duration(self.over)}"
        if self.statistic != "rate":
            value = of_values(self.statistic, seen.values)
            return self._found(self.compare(value, seen.unit, what), value)
        rate = rate_per_s(seen)
        if rate is None:
            return self.unknown(f"{what}: 1 sample < at least 2 for a rate")
        return self._found(self.compare(rate, rate_unit(seen.unit), what), rate)

    def _judge_held(self, observations: Observations, now_s: float, for_s: float) -> Finding:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        seen = look(observations, self.selector, now_s=now_s, window_s=None, stale_after_s=stale_s)
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        usable = np.isfinite(seen.values)
        times, values = seen.times_s[usable], seen.values[usable]
        in_window = values[np.searchsorted(times, now_s - for_s, side="right") :]
        if in_window.size < self.min_samples:
            reason = f"{self.metric}: {in_window.size} samples with a value < at least {self.min_samples}"
            return self.unknown(f"{reason} in the last {format_duration(for_s)}")
        kept = self.keeps_each(values, seen.unit)
        since = held(times, kept, now_s=now_s, for_s=for_s, interval_s=seen.interval_s)
        last = self.compare(float(values[-1]), seen.unit, self.metric)
        numbers = {"held_s": since.held_s, "for_s": for_s, "samples": float(in_window.size)}
        if not kept[-1]:
            return self._found(last, float(values[-1]), numbers)
        if since.enough:
            worst = self._worst(in_window)
            at_worst = self.compare(worst, seen.unit, f"{self.metric} at worst")
            return self._found(at_worst._replace(words=f"{at_worst.words} for {format_duration(for_s)}"), worst, numbers)
        wanted = f"held {format_duration(for_s)} wanted, {format_duration(round(since.missing_s, 3))} left at the earliest"
        return self.finding(
            Verdict.INCONCLUSIVE,
            f"{last.words}; {since.why}, {wanted}",
            numbers={"value": float(values[-1]), **last.limits, **numbers},
            holds_in_s=since.missing_s,
        )

    def _worst(self, values: FloatArray) -> float:
        if self.bound_kind in ("above", "at_least"):
            return float(np.min(values))
        return float(np.max(values))

    def _found(self, compared: Compared, value: float, more: Mapping[str, float] | None = None) -> Finding:
        verdict = Verdict.PASS if compared.kept else Verdict.FAIL
        return self.finding(verdict, compared.words, numbers={"value": value, **compared.limits, **(more or {})})


def unknown_metric(metric: str, metrics: Mapping[str, MetricFacts]) -> str:
    """The message for a metric that the plan does not define."""
    return f"unknown metric {metric!r}; the plan defines {', '.join(sorted(metrics)) or 'none'}"


def number_problems(metric: str, facts: MetricFacts, side: Side) -> list[str]:
    """Why the metric cannot be read as a number of this side."""
    if facts.unit == CATEGORY:
        return [f"{metric}: its samples are words (unit {CATEGORY!r}); use category or distribution"]
    if side == "stable" and not facts.sided:
        return [f"{metric}: side stable asked for, but the metric has no sides"]
    return []


def window_problems(metric: str, window_s: float, facts: MetricFacts, min_samples: int) -> list[str]:
    """Why a window can never hold enough samples of this metric."""
    if not facts.interval_s > 0:
        return [f"{metric}: the spacing of its samples is {facts.interval_s} s, it must be above 0"]
    most = window_s / facts.interval_s
    wanted = max(1.0, min_samples * COVERAGE)
    if most < wanted:
        window, spacing = format_duration(window_s), format_duration(facts.interval_s)
        return [f"{metric}: a window of {window} holds {most:.1f} samples (one each {spacing}) < at least {wanted:g}"]
    return []
