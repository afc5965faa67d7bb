"""How often each category occurs, against the shares that were planned: 70/25/5 full, lite, fallback.

Either one metric of words is counted over a window, or each category has a metric of its own (counts, rates or shares),
whose newest values are set in proportion. A category that was not planned counts as one with a planned share of 0.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts
from gates.observation import Need, Observations, Selector, Side
from gates.threshold import number_problems, unknown_metric, window_problems
from gates.units import CATEGORY, Duration, Quantity, UnitError, dimension, show
from gates.verdict import Finding, Verdict
from gates.window import Missing, look, newest

_ROUNDING = 1e-9


def _share(amount: Quantity) -> float:
    return Quantity(amount.value, "%" if amount.unit == "pp" else amount.unit).to("ratio")


class Distribution(Condition):
    """`distribution: {metric: mode, shares: {full: 70%, lite: 25%, fallback: 5%}, tolerance: 5pp, over: 1h}`.

    `metrics: {full: requests_full, ...}` instead of `metric` names one per category. `tolerance` is in points, for all or
    per category.
    """

    metric: str | None = None
    metrics: dict[str, str] = Field(default_factory=dict)
    shares: dict[str, Quantity] = Field(min_length=1)
    tolerance: Quantity | dict[str, Quantity]
    over: Duration | None = Field(default=None, description="the window in which words are counted")
    side: Side = "canary"
    min_samples: int = Field(default=1, ge=1)
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.metric is None) == (not self.metrics):
            raise ValueError("exactly one of metric (of words) and metrics (one per category) is needed")
        if self.metric is not None and (self.over is None or self.over <= timedelta(0)):
            raise ValueError("a metric of words needs over: the window in which they are counted")
        if self.metrics and self.over is not None:
            raise ValueError("over is for a metric of words; of metrics per category the newest values count")
        if self.metrics and set(self.metrics) != set(self.shares):
            raise ValueError(f"metrics are for {', '.join(self.metrics)}, but shares for {', '.join(self.shares)}")
        if isinstance(self.tolerance, dict) and set(self.tolerance) != set(self.shares):
            raise ValueError(f"tolerance is for {', '.join(self.tolerance)}, but shares for {', '.join(self.shares)}")
        try:
            planned = [_share(share) for share in self.shares.values()]
            allowed = [self._tolerance(category) for category in self.shares]
        except UnitError as error:
            raise ValueError(f"shares and tolerances are ratios: {error}") from None
        if min(planned) < 0 or abs(sum(planned) - 1) > 1e-6:
            raise ValueError(f"shares add up to {show(sum(planned), 'ratio')}, must be 100 % of parts not below 0")
        if min(allowed) < 0:
            raise ValueError("tolerance must not be below 0")
        return self

    def needs(self) -> tuple[Need, ...]:
        metrics = self.metrics.values() if self.metric is None else (self.metric,)
        return tuple(Need(Selector(metric, self.side), self._window_s) for metric in metrics)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        if self.metric is not None:
            facts = metrics.get(self.metric)
            if facts is None:
                return [unknown_metric(self.metric, metrics)]
            if facts.unit != CATEGORY:
                return [f"{self.metric}: needs a metric of words (unit {CATEGORY!r}), it is in {facts.unit!r}"]
            return window_problems(self.metric, self._window_s, facts, self.min_samples)
        found = []
        dimensions: dict[str, str] = {}
        for metric in self.metrics.values():
            facts = metrics.get(metric)
            if facts is None:
                found.append(unknown_metric(metric, metrics))
                continue
            found += number_problems(metric, facts, self.side)
            dimensions[dimension(facts.unit)] = facts.unit
        if len(dimensions) > 1:
            found.append(f"distribution: categories in different units: {', '.join(sorted(dimensions.values()))}")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        try:
            counted = (
                self._amounts(observations, now_s) if self.metric is None else self._words(self.metric, observations, now_s)
            )
        except UnitError as error:
            return self.unknown(f"distribution: {error}")
        if isinstance(counted, Missing):
            return self.unknown(counted.reason)
        scale = max(counted.values())
        if scale <= 0:
            return self.unknown("distribution: all categories are at 0, shares of nothing say nothing")
        total = sum(amount / scale for amount in counted.values())
        found = {category: amount / scale / total for category, amount in counted.items()}
        rows, kept = [], True
        for category in (*self.shares, *(other for other in found if other not in self.shares)):
            share, planned = found.get(category, 0.0), self._planned(category)
            allowed = self._tolerance(category)
            fits = abs(share - planned) <= allowed + _ROUNDING
            kept = kept and fits
            inside = "within" if fits else "not within"
            rows.append(f"{category} {show(share, 'ratio')} {inside} {planned * 100:.4g} ± {allowed * 100:.4g} pp")
        return self.finding(Verdict.PASS if kept else Verdict.FAIL, "; ".join(rows), numbers=found)

    def _planned(self, category: str) -> float:
        share = self.shares.get(category)
        return 0.0 if share is None else _share(share)

    def _tolerance(self, category: str) -> float:
        if isinstance(self.tolerance, Quantity):
            return _share(self.tolerance)
        chosen = self.tolerance.get(category)
        return 0.0 if chosen is None else _share(chosen)

    def _words(self, name: str, observations: Observations, now_s: float) -> dict[str, float] | Missing:
        selector = Selector(name, self.side)
        seen = look(observations, selector, now_s=now_s, window_s=self._window_s, stale_after_s=self._stale_s)
        if isinstance(seen, Missing):
            return seen
        if seen.labels is None:
            return Missing(f"{name}: its samples are numbers in {seen.unit!r}, not words")
        words = Counter(word for word in seen.labels if word)
        if words.total() < self.min_samples:
            return Missing(f"{name}: {words.total()} samples with a value < at least {self.min_samples}")
        return {word: float(count) for word, count in sorted(words.items())}

    def _amounts(self, observations: Observations, now_s: float) -> dict[str, float] | Missing:
        amounts: dict[str, float] = {}
        unit: str | None = None
        for category, metric in self.metrics.items():
            found = newest(observations, Selector(metric, self.side), now_s=now_s, stale_after_s=self._stale_s)
            if isinstance(found, Missing):
                return found
            value, series = found
            unit = series.unit if unit is None else unit
            if value < 0:
                return Missing(f"{metric}: {show(value, series.unit)} is below 0, no amount of a category")
            amounts[category] = Quantity(value, series.unit).to(unit)
        return amounts

    @property
    def _window_s(self) -> float:
        return 0.0 if self.over is None else self.over.total_seconds()

    @property
    def _stale_s(self) -> float | None:
        return None if self.stale_after is None else self.stale_after.total_seconds()
