"""Events: how many there were in a window, whether any occurred at all, and how many bad samples came in a row.

Silence is never zero events: without samples nothing is known. What a sample counts is said by `samples_are`:
`increments` (events since the sample before, as `count(*)` per interval gives) or `total` (a running counter, which a
restart takes back to zero).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gates.bound import Bounded
from gates.condition import Condition, MetricFacts, Truths
from gates.observation import FloatArray, Need, Observations, Selector, Series, Side
from gates.statistic import grown, increase, total
from gates.threshold import number_problems, unknown_metric, window_problems
from gates.units import Duration, Quantity, UnitError, format_duration, show
from gates.verdict import Finding, Verdict
from gates.window import Missing, covers, newest, windows_at, with_values

SamplesAre = Literal["increments", "total"]
_HOUR = timedelta(hours=1)
_EXACT_BELOW = 2.0**52
"""Whole numbers up to here add up without rounding, also a growth that is twice as large."""


class Count(Bounded):
    """`count: {metric: emergence_events, at_least: 3, over: 24h}`; without `over` the newest sample is the count.

    A bound from above (`at_most`, `below`, `between`) passes only when the samples cover the window: events that were not
    counted could be there. A bound from below passes as soon as enough events were seen, and fails only when all are known.
    """

    metric: str
    over: Duration | None = None
    samples_are: SamplesAre = "increments"
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _total_needs_a_window(self) -> Self:
        _needs_a_window(self.samples_are, self.over)
        return self

    def needs(self) -> tuple[Need, ...]:
        return (_need(self),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        found = _event_problems(self, metrics)
        return found or self.bound_problems(metrics[self.metric].unit, self.metric)

    def judge(self, observations: Observations, now_s: float) -> Finding:
        seen = _seen(self, observations, now_s)
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        events = _events(seen, self.samples_are)
        span = "newest count" if self.over is None else f"events in {format_duration(self.over)}"
        try:
            found = self.compare(events, seen.unit, f"{self.metric} {span}")
        except UnitError as error:
            return self.unknown(f"{self.metric}: {error}")
        numbers = {"value": events, **found.limits}
        uncovered = None
        if self.over is not None:
            over_s = self.over.total_seconds()
            uncovered = covers(seen.times_s, now_s=now_s, window_s=over_s, interval_s=seen.interval_s)
        low, high = self._limits(seen.unit)
        if uncovered and (high < np.inf if found.kept else events <= low):
            return self.unknown(f"{found.words} so far; {uncovered}", numbers=numbers)
        return self.finding(Verdict.PASS if found.kept else Verdict.FAIL, found.words, numbers=numbers)

    def at_moments(self, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths] | None:
        """Only over a window, and for whole numbers small enough that their running sum is exact."""
        found = observations.get(Selector(self.metric, self.side))
        if self.over is None or not isinstance(found, Series):
            return None
        over_s = self.over.total_seconds()
        seen = windows_at(
            found,
            moments,
            window_s=over_s,
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=_fewest(self),
        )
        if seen is None or not len(seen.series) or not _adds_up(seen.series.values):
            return None
        counted, skipped = seen.series.values, 0
        if self.samples_are == "total":
            # What the first sample of a window had counted before it is not of the window.
            counted, skipped = np.append(0.0, grown(counted)), 1
        sums = np.append(0.0, np.cumsum(counted))
        events = sums[seen.last] - sums[np.minimum(seen.first + skipped, seen.last)]
        kept = self.keeps_each(events, found.unit)
        low, high = self._limits(found.unit)
        open_ended = np.where(kept, high < np.inf, events <= low) & seen.uncovered(moments, over_s)
        known = seen.known & ~open_ended
        return known, known & kept


class Exists(Condition):
    """`exists: {metric: emergence_events, over: 24h}`: at least one event occurred (a sample above 0).

    Without `over` the newest sample says it.
    """

    metric: str
    over: Duration | None = None
    samples_are: SamplesAre = "increments"
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _total_needs_a_window(self) -> Self:
        _needs_a_window(self.samples_are, self.over)
        return self

    def needs(self) -> tuple[Need, ...]:
        return (_need(self),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        return _event_problems(self, metrics)

    def judge(self, observations: Observations, now_s: float) -> Finding:
        seen = _seen(self, observations, now_s)
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        events = _events(seen, self.samples_are)
        occurred = _occurred(seen, self.samples_are)
        where = "now" if self.over is None else f"in the last {format_duration(self.over)}"
        what = f"{self.metric} {where}: {show(events, seen.unit)} in {len(seen)} samples"
        if occurred:
            return self.finding(Verdict.PASS, f"{what}, above 0", numbers={"value": events})
        return self.finding(Verdict.FAIL, f"{what}, none above 0", numbers={"value": events})


class InARow(Condition):
    """`in_a_row: {metric: errors, more_than: 10}`: the newest samples that are all above `above` number more than 10.

    `at_most` states the opposite, for a gate. A sample without a value neither adds to the run nor ends it. A run that
    reaches back to the oldest sample known may be longer: too short a one is then INCONCLUSIVE.
    """

    metric: str
    more_than: int | None = Field(default=None, ge=0)
    at_most: int | None = Field(default=None, ge=0)
    above: Quantity = Quantity(0.0)
    over: Duration = Field(default=_HOUR, description="how far back to look for the run")
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.more_than is None) == (self.at_most is None):
            raise ValueError("exactly one of more_than, at_most is needed")
        return self

    @property
    def limit(self) -> int:
        """The longest run that is not yet too long."""
        return self.more_than if self.more_than is not None else self.at_most or 0

    def needs(self) -> tuple[Need, ...]:
        return (Need(Selector(self.metric, self.side), self.over.total_seconds()),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        found = number_problems(self.metric, facts, self.side)
        try:
            self.above.to(facts.unit)
        except UnitError as error:
            found.append(f"{self.metric}: {error}")
        over_s = self.over.total_seconds()
        if not found and over_s < (self.limit + 1) * facts.interval_s:
            span = format_duration(facts.interval_s)
            found.append(f"{self.metric}: {format_duration(over_s)} cannot hold {self.limit + 1} samples, one each {span}")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        seen = with_values(
            observations,
            Selector(self.metric, self.side),
            now_s=now_s,
            window_s=self.over.total_seconds(),
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=1,
        )
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        try:
            bad = seen.values > self.above.to(seen.unit)
        except UnitError as error:
            return self.unknown(f"{self.metric}: {error}")
        good = np.flatnonzero(~bad)
        run = int(bad.size - 1 - good[-1]) if good.size else int(bad.size)
        limit = self.limit
        what = f"{self.metric}: {run} above {show(self.above.to(seen.unit), seen.unit)} in a row"
        numbers = {"value": float(run), "limit": float(limit)}
        if run <= limit and not good.size:
            reason = f"{what}, {run} of at most {limit}; only {run} samples known, the run may be longer"
            return self.unknown(reason, numbers=numbers)
        too_long = run > limit
        sign = ">" if too_long else "<="
        passed = too_long if self.more_than is not None else not too_long
        return self.finding(Verdict.PASS if passed else Verdict.FAIL, f"{what} {sign} {limit}", numbers=numbers)


def _events(seen: Series, samples_are: SamplesAre) -> float:
    return total(seen.values) if samples_are == "increments" else increase(seen.values)


def _occurred(seen: Series, samples_are: SamplesAre) -> bool:
    if samples_are == "increments":
        return bool(np.any(seen.values > 0))
    return increase(seen.values) > 0


def _needs_a_window(samples_are: SamplesAre, over: timedelta | None) -> None:
    if over is not None and over <= timedelta(0):
        raise ValueError("over must be longer than 0")
    if samples_are == "total" and over is None:
        raise ValueError("samples_are: total needs over: the window in which the counter grew")


def _need(spec: Count | Exists) -> Need:
    return Need(Selector(spec.metric, spec.side), 0.0 if spec.over is None else spec.over.total_seconds())


def _event_problems(spec: Count | Exists, metrics: Mapping[str, MetricFacts]) -> list[str]:
    facts = metrics.get(spec.metric)
    if facts is None:
        return [unknown_metric(spec.metric, metrics)]
    found = number_problems(spec.metric, facts, spec.side)
    if spec.over is None:
        return found
    return found + window_problems(spec.metric, spec.over.total_seconds(), facts, _fewest(spec))


def _fewest(spec: Count | Exists) -> int:
    return 2 if spec.samples_are == "total" else 1


def _adds_up(values: FloatArray) -> bool:
    return bool((values == np.rint(values)).all() and np.abs(values).sum() < _EXACT_BELOW)


def _seen(spec: Count | Exists, observations: Observations, now_s: float) -> Series | Missing:
    selector = Selector(spec.metric, spec.side)
    stale_s = None if spec.stale_after is None else spec.stale_after.total_seconds()
    if spec.over is None:
        found = newest(observations, selector, now_s=now_s, stale_after_s=stale_s)
        return found if isinstance(found, Missing) else found[1].last()
    return with_values(
        observations,
        selector,
        now_s=now_s,
        window_s=spec.over.total_seconds(),
        stale_after_s=stale_s,
        min_samples=_fewest(spec),
    )
