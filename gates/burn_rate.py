"""The error budget and how fast it is spent, over several windows at once (The Site Reliability Workbook, chapter 5).

With an objective of 99.9 % over a period of 30 d the budget is 0.1 % errors. A window that may spend 2 % of it in 1 h burns
at budget * period / window = 14.4: the mean error ratio of the window must not be above 14.4 * 0.1 %. A window burns only
when its short window (a twelfth of it) does too, so that it stops soon after the errors stop. `{budget: 80%, over: 30d}`
asks how much of the whole budget is spent.

The mean is taken over the samples there are, as Prometheus does. Burning needs no more; to pass as `within_budget`, the
samples must cover every window.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts, Spec
from gates.observation import Need, Observations, Selector, Series, Side
from gates.statistic import mean
from gates.threshold import number_problems, unknown_metric, window_problems
from gates.units import Duration, Quantity, UnitError, dimension, format_duration, show
from gates.verdict import Finding, Verdict
from gates.window import Missing, covers, with_values

SHORT_OF_LONG = 12


class BurnWindow(Spec):
    """`{budget: 2%, over: 1h}`: so much of the period's budget may be spent in so long."""

    budget: Quantity
    over: Duration
    short: Duration | None = Field(default=None, description="the window that must burn too; default over / 12, 0 is none")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        try:
            share = self.budget.to("ratio")
        except UnitError as error:
            raise ValueError(f"budget: {error}") from None
        if not 0 < share <= 1:
            raise ValueError(f"budget: {self.budget} must be above 0 and at most 100%")
        if self.over <= timedelta(0) or (self.short is not None and not timedelta(0) <= self.short < self.over):
            raise ValueError("over must be longer than 0, and short shorter than over")
        return self

    @property
    def spans_s(self) -> tuple[float, ...]:
        """The long window and, unless there is none, the short one; seconds."""
        over_s = self.over.total_seconds()
        short_s = over_s / SHORT_OF_LONG if self.short is None else self.short.total_seconds()
        return (over_s, short_s) if short_s else (over_s,)


_WORKBOOK = tuple(
    BurnWindow(budget=Quantity(percent, "%"), over=timedelta(hours=hours))
    for percent, hours in ((2.0, 1), (5.0, 6), (10.0, 24), (10.0, 72))
)


class _Spent(NamedTuple):
    burning: bool
    known: bool
    words: str


class BurnRate(Condition):
    """`burn_rate: {metric: error_rate, objective: 99.9%, is: burning}`; a gate asks for `is: within_budget`."""

    metric: str
    objective: Quantity
    is_: Literal["burning", "within_budget"] = Field(alias="is")
    windows: tuple[BurnWindow, ...] = Field(default=_WORKBOOK, min_length=1)
    period: Duration = timedelta(days=30)
    side: Side = "all"
    min_samples: int = Field(default=1, ge=1)
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _objective(self) -> Self:
        try:
            share = self.objective.to("ratio")
        except UnitError as error:
            raise ValueError(f"objective: {error}") from None
        if not 0 < share < 1:
            raise ValueError(f"objective: {self.objective} must be above 0 % and below 100 %, or there is no budget")
        for window in self.windows:
            if window.over > self.period:
                over, period = format_duration(window.over), format_duration(self.period)
                raise ValueError(f"windows: {over} is longer than the period {period}")
        return self

    def limit(self, window: BurnWindow) -> float:
        """The largest error ratio that is within budget in a window: burn rate times the budget."""
        burn = window.budget.to("ratio") * self.period.total_seconds() / window.over.total_seconds()
        return burn * (1 - self.objective.to("ratio"))

    def needs(self) -> tuple[Need, ...]:
        return (Need(Selector(self.metric, self.side), max(window.over.total_seconds() for window in self.windows)),)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        found = number_problems(self.metric, facts, self.side)
        if not found and dimension(facts.unit) != "ratio":
            found.append(f"{self.metric}: a burn rate needs an error ratio, it is in {facts.unit!r}")
        for window in self.windows:
            for span_s in window.spans_s:
                found += window_problems(self.metric, span_s, facts, 1)
            if self.limit(window) >= 1:
                shown = show(self.limit(window), "ratio")
                span = format_duration(window.over)
                found.append(f"{self.metric}: the window of {span} burns above {shown} errors, which can never be")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        seen = with_values(
            observations,
            Selector(self.metric, self.side),
            now_s=now_s,
            window_s=max(window.over.total_seconds() for window in self.windows),
            stale_after_s=None if self.stale_after is None else self.stale_after.total_seconds(),
            min_samples=self.min_samples,
        )
        if isinstance(seen, Missing):
            return self.unknown(seen.reason)
        if dimension(seen.unit) != "ratio":
            return self.unknown(f"{self.metric}: a burn rate needs an error ratio, it is in {seen.unit!r}")
        spent = [self._spent(window, seen, now_s) for window in self.windows]
        burning = [one for one in spent if one.burning]
        unknown = [one for one in spent if not one.known]
        words = "; ".join(one.words for one in burning or unknown or spent)
        if self.is_ == "burning":
            return self.finding(Verdict.PASS if burning else Verdict.FAIL, words)
        if burning:
            return self.finding(Verdict.FAIL, words)
        return self.unknown(words) if unknown else self.finding(Verdict.PASS, words)

    def _spent(self, window: BurnWindow, seen: Series, now_s: float) -> _Spent:
        limit = self.limit(window)
        burning, known, words = True, True, []
        for span_s in window.spans_s:
            inside = seen.window(start_s=now_s - span_s, end_s=now_s)
            if not len(inside):
                burning = known = False
                words.append(f"no samples in {format_duration(span_s)}")
                continue
            errors = mean(inside.values) * (0.01 if seen.unit == "%" else 1.0)
            above = bool(np.greater(errors, limit))
            burning = burning and above
            words.append(f"{show(errors, 'ratio')} in {format_duration(span_s)} {'>' if above else '<='}")
            uncovered = covers(inside.times_s, now_s=now_s, window_s=span_s, interval_s=seen.interval_s)
            if uncovered:
                known = False
                words[-1] = f"{words[-1][:-2].rstrip()} ({uncovered}) {'>' if above else '<='}"
        budget = f"{show(limit, 'ratio')}, {window.budget} of the budget"
        return _Spent(burning, known or burning, f"{self.metric} {' and '.join(words)} {budget}")
