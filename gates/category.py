"""A metric whose samples are words: the newest one (or every one of a window) is one of those allowed."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts
from gates.observation import Need, Observations, Selector, Side
from gates.threshold import unknown_metric, window_problems
from gates.units import CATEGORY, Duration, format_duration
from gates.verdict import Finding, Verdict
from gates.window import Missing, held, look


class Category(Condition):
    """`category: {metric: field_weather, is: flowing}` or `{metric: mode, one_of: [full, lite], held: 10m}`.

    An empty word is a sample without a value.
    """

    metric: str
    is_: str | None = Field(default=None, alias="is", min_length=1)
    one_of: tuple[str, ...] = ()
    held: Duration | None = None
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if (self.is_ is None) == (not self.one_of):
            raise ValueError("exactly one of is and one_of is needed")
        if "" in self.one_of:
            raise ValueError("one_of: an empty word is a sample without a value, it cannot be asked for")
        return self

    @property
    def allowed(self) -> tuple[str, ...]:
        """The words that satisfy this."""
        return self.one_of if self.is_ is None else (self.is_,)

    def needs(self) -> tuple[Need, ...]:
        return (Need(Selector(self.metric, self.side), 0.0 if self.held is None else self.held.total_seconds()),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        if facts.unit != CATEGORY:
            return [f"{self.metric}: category needs a metric of words (unit {CATEGORY!r}), it is in {facts.unit!r}"]
        return window_problems(self.metric, self.held.total_seconds(), facts, 1) if self.held else []

    def judge(self, observations: Observations, now_s: float) -> Finding:
        selector = Selector(self.metric, self.side)
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        seen = look(observations, selector, now_s=now_s, window_s=None, stale_after_s=stale_s)
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        if seen.labels is None or len(seen.labels) != len(seen):
            return self.unknown(f"{self.metric}: its samples are numbers in {seen.unit!r}, not words")
        newest = seen.labels[-1]
        if not newest:
            return self.unknown(f"{self.metric}: the newest sample has no value")
        wanted = " or ".join(repr(word) for word in self.allowed)
        if newest not in self.allowed:
            return self.finding(Verdict.FAIL, f"{self.metric} is {newest!r}, not {wanted}")
        if self.held is None:
            return self.finding(Verdict.PASS, f"{self.metric} is {newest!r}, one of {wanted}")
        told = np.array([bool(word) for word in seen.labels])
        truths = np.array([word in self.allowed for word in seen.labels])[told]
        for_s = self.held.total_seconds()
        since = held(seen.times_s[told], truths, now_s=now_s, for_s=for_s, interval_s=seen.interval_s)
        if since.enough:
            return self.finding(Verdict.PASS, f"{self.metric} is {wanted} for {format_duration(for_s)}")
        left = f"held {format_duration(for_s)} wanted, {format_duration(round(since.missing_s, 3))} left at the earliest"
        reason = f"{self.metric} is {newest!r}; {since.why}, {left}"
        return self.finding(Verdict.INCONCLUSIVE, reason, holds_in_s=since.missing_s)
