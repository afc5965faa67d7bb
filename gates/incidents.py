"""Quiet for days: no incident for N days, or conditions that were satisfied all the time for N days."""

from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gates.combine import all_of, judge_one, needs_of_all
from gates.condition import Condition, MetricFacts, Truths
from gates.observation import FloatArray, Need, Observations, Selector, Side
from gates.threshold import Threshold, number_problems, unknown_metric, window_problems
from gates.units import Duration, format_duration, show
from gates.verdict import Finding, Mode, Verdict
from gates.window import COVERAGE, Missing, held, look

if TYPE_CHECKING:
    AnyCondition = Condition

STABLE_EVALUATIONS = 168
"""How many times a condition without a `held` of its own is judged over the days; once an hour over a week."""


class IncidentFree(Condition):
    """`incident_free: {metric: p0_incidents, for: 7d}`: every sample of the days counts 0, and they cover the days.

    A day without samples is no quiet day. `samples_are: total` is for a running counter, which must not have grown.
    """

    metric: str
    for_: Duration = Field(alias="for")
    samples_are: Literal["increments", "total"] = "increments"
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.for_ <= timedelta(0):
            raise ValueError("for must be longer than 0")
        return self

    def needs(self) -> tuple[Need, ...]:
        return (Need(Selector(self.metric, self.side), self.for_.total_seconds()),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        found = number_problems(self.metric, facts, self.side)
        return found + window_problems(self.metric, self.for_.total_seconds(), facts, 1)

    def judge(self, observations: Observations, now_s: float) -> Finding:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        seen = look(observations, Selector(self.metric, self.side), now_s=now_s, window_s=None, stale_after_s=stale_s)
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        usable = np.isfinite(seen.values)
        times, values = seen.times_s[usable], seen.values[usable]
        if not values.size:
            return self.unknown(f"{self.metric}: no samples with a value")
        quiet = values <= 0
        if self.samples_are == "total":
            grown = np.diff(values, prepend=values[0])
            quiet = (grown == 0) | ((grown < 0) & (values == 0))
        for_s = self.for_.total_seconds()
        since = held(times, quiet, now_s=now_s, for_s=for_s, interval_s=seen.interval_s)
        what = f"{self.metric}: {show(float(values[-1]), seen.unit)}"
        if not quiet[-1]:
            return self.finding(Verdict.FAIL, f"{what} now, none allowed", numbers={"value": float(values[-1])})
        if since.enough:
            return self.finding(Verdict.PASS, f"{self.metric}: none for {format_duration(for_s)}", numbers={"for_s": for_s})
        reason = f"{self.metric}: quiet, {since.why}; {_left(for_s, since.missing_s)}"
        numbers = {"held_s": since.held_s, "for_s": for_s}
        return self.finding(Verdict.INCONCLUSIVE, reason, numbers=numbers, holds_in_s=since.missing_s)


class Stable(Condition):
    """`stable: {of: [conditions], for: 7d}`: each condition was satisfied all the time.

    A threshold on samples is held over every sample. Any other condition is judged again at moments of the past, each
    `every` (default: a 168th of the time), on what was known then.
    """

    of: "tuple[AnyCondition, ...]" = Field(min_length=1)
    for_: Duration = Field(alias="for")
    every: Duration | None = None

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.for_ <= timedelta(0) or (self.every is not None and not timedelta(0) < self.every <= self.for_):
            raise ValueError("for must be longer than 0, and every at most as long")
        if self.every is not None and self.for_ / self.every > 10_000:
            raise ValueError(
                f"every: {format_duration(self.every)} is judged more than 10000 times in {format_duration(self.for_)}"
            )
        if not any(part.mode is Mode.BLOCK for part in self.of):
            raise ValueError("no condition counts: all are warn or dry_run; at least one must have mode block")
        return self

    @property
    def every_s(self) -> float:
        """Seconds between two evaluations."""
        return self.every.total_seconds() if self.every else self.for_.total_seconds() / STABLE_EVALUATIONS

    def needs(self) -> tuple[Need, ...]:
        for_s = self.for_.total_seconds()
        return tuple(Need(need.selector, need.window_s + for_s) for need in needs_of_all(self.of))

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        return [problem for part in self.of for problem in part.problems(metrics)]

    def judge(self, observations: Observations, now_s: float) -> Finding:
        if not np.isfinite(now_s):
            return self.unknown(f"now is {now_s}, not a time")
        return all_of(self, tuple(self._one(part, observations, now_s) for part in self.of))

    def _one(self, part: Condition, observations: Observations, now_s: float) -> Finding:
        if isinstance(part, Threshold) and part.statistic == "last" and (part.held is None or part.held <= self.for_):
            return judge_one(part.model_copy(update={"held": self.for_}), observations, now_s)
        for_s, every_s = self.for_.total_seconds(), self.every_s
        steps = max(1, ceil(for_s / every_s - 1e-9))
        moments: FloatArray = np.float64(now_s) - every_s * np.arange(steps - 1, -1, -1, dtype=np.float64)
        latest = judge_one(part, observations, now_s)
        if not latest.passed:
            return latest
        known, passed = _at_moments(part, observations, moments)
        since = held(moments[known], passed[known], now_s=now_s, for_s=for_s, interval_s=every_s)
        if since.enough:
            return part.finding(Verdict.PASS, f"{latest.reason}; so for {format_duration(for_s)}", numbers=latest.numbers)
        reason = f"{latest.reason}; {since.why}, {_left(for_s, since.missing_s)}"
        return part.finding(Verdict.INCONCLUSIVE, reason, numbers=latest.numbers, holds_in_s=since.missing_s)


def _at_moments(part: Condition, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths]:
    """Whether the condition was known and whether it passed, judged again at each moment, the newest first.

    Moments before the newest failure are left out (as not known) once that failure alone says how long is left: `held`
    takes the longest of several times, and theirs are shorter.
    """
    told = part.at_moments(observations, moments)
    if told is not None:
        return told
    known, passed = np.zeros((2, moments.size), dtype=np.bool_)
    for index in range(moments.size - 1, -1, -1):
        found = judge_one(part, observations, float(moments[index]))
        known[index], passed[index] = found.verdict is not Verdict.INCONCLUSIVE, found.passed
        if found.verdict is Verdict.FAIL and index >= COVERAGE * moments.size - int(known.sum()) + 1:
            break
    return known, passed


def _left(for_s: float, missing_s: float) -> str:
    return f"{format_duration(for_s)} wanted, {format_duration(round(missing_s, 3))} left at the earliest"
