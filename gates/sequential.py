"""Canary against stable, watched all the time: the judge that may be asked at every look without crying wolf.

The sides are paired in time, which cancels whatever hits both, and handed to `sequential_arrays`, which decides. They are
looked at since the weight was last changed, as a difference at another weight is another one; where requests are counted,
the stable side's samples from before that are its history.

What it does not promise: that a fault which starts late in a long window is seen soon, as it is averaged with the healthy
time before; keep `over` to the time in which it should be seen, or use a trigger for it. When `over` is shorter than the
soak, the promise holds for each stretch of that length. It assumes differences that are stationary and roughly AR(1).
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts
from gates.confidence_sequence import FEWEST_POINTS
from gates.observation import Need, Observations, Series
from gates.rate_sequence import FEWEST_INTERVALS
from gates.sequential_arrays import (
    SequentialOptions,
    SequentialResult,
    Worse,
    judge_means,
    judge_rates,
    sequential_test,
)
from gates.two_sides import LONGEST, needs_of, paired_in_time, take_sides
from gates.units import Duration, Quantity, UnitError, dimension, format_duration
from gates.verdict import Finding

__all__ = ["Sequential", "SequentialOptions", "SequentialResult", "sequential_test"]

FEWEST_PAIRED = 0.5
"""The share of moments since the canary's first sample at which both sides must have one."""


class Sequential(Condition):
    """`sequential`: at every look since the last change of the weight (at most `over`), canary and stable differ by no
    more than the smallest effect that matters."""

    metric: str
    over: Duration = LONGEST
    worse: Worse = "higher"
    requests: str | None = None
    """The metric that counts the requests (per interval, or a rate), where `metric` is the share of them that failed."""
    minimum_effect: Quantity | None = None
    minimum_relative_effect: Quantity | None = None
    alpha: float = Field(default=0.01, gt=0, le=0.2)

    @model_validator(mode="after")
    def _effects_make_sense(self) -> Self:
        relative = self.minimum_relative_effect
        if relative is not None and relative.unit not in ("", "%", "ratio"):
            raise ValueError(f"minimum_relative_effect {relative} is a share of the stable side: write 10% or 0.1")
        for name, effect in (("minimum_effect", self.minimum_effect), ("minimum_relative_effect", relative)):
            if effect is not None and not effect.value > 0:
                raise ValueError(f"{name} {effect} must be above 0: without an effect that matters nothing could pass")
        return self

    def needs(self) -> tuple[Need, ...]:
        over_s = self.over.total_seconds()
        if self.requests is None:
            return needs_of(self.metric, over_s)
        return needs_of(self.metric, over_s, history=True) + needs_of(self.requests, over_s, history=True)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        found = []
        for name in filter(None, (self.metric, self.requests)):
            facts = metrics.get(name)
            if facts is None:
                found.append(f"metric {name!r} is not defined in the plan")
                continue
            if not facts.sided:
                found.append(f"metric {name!r} has no sides; sequential compares canary with stable")
            fewest = FEWEST_POINTS if self.requests is None else FEWEST_INTERVALS
            if facts.interval_s > 0 and self.over.total_seconds() / facts.interval_s < fewest:
                found.append(
                    f"{name!r}: {format_duration(self.over)} holds fewer than {fewest} samples, one each"
                    f" {format_duration(facts.interval_s)}; the judge could never pass: make `over` longer"
                )
        facts = metrics.get(self.metric)
        return found if facts is None else found + self._misfits(facts)

    def judge(self, observations: Observations, now_s: float) -> Finding:
        window_s = self.over.total_seconds()
        history = self.requests is not None
        sides = take_sides(observations, self.metric, window_s=window_s, now_s=now_s, history=history)
        if isinstance(sides, str):
            return self.unknown(sides)
        unit = sides.stable.unit
        try:
            options = self._options(unit)
        except UnitError as mismatch:
            return self.unknown(str(mismatch))
        if self.requests is None:
            pairs = paired_in_time(sides.stable, sides.canary)
            if too_few := _too_few_paired(pairs.rows.shape[1], pairs.missing):
                return self.unknown(f"{self.metric}: {too_few}")
            with np.errstate(all="ignore"):
                return self._found(judge_means(pairs.rows[0], pairs.rows[1], options, unit))
        counted = take_sides(observations, self.requests, window_s=window_s, now_s=now_s, history=True)
        if isinstance(counted, str):
            return self.unknown(counted)
        try:
            scale = Quantity(1.0, unit).to("ratio")
            per_sample = [np.array([[scale], [_requests_per_value(one)]]) for one in (counted.stable, counted.canary)]
        except UnitError as mismatch:
            return self.unknown(str(mismatch))
        pairs = paired_in_time(sides.stable, counted.stable, sides.canary, counted.canary)
        if too_few := _too_few_paired(pairs.rows.shape[1], pairs.missing):
            return self.unknown(f"{self.metric}: {too_few}")
        past = paired_in_time(sides.stable, counted.stable, interval_s=pairs.interval_s)
        with np.errstate(all="ignore"):
            before = past.rows.compress(past.slots < pairs.slots[0], axis=1) * per_sample[0]
            stable = pairs.rows[:2] * per_sample[0]
            canary = pairs.rows[2:] * per_sample[1]
            return self._found(judge_rates(stable, canary, before, options))

    def _options(self, unit: str) -> SequentialOptions:
        relative = self.minimum_relative_effect
        return SequentialOptions(
            worse=self.worse,
            alpha=self.alpha,
            minimum_effect=None if self.minimum_effect is None else self._effect_in(unit),
            minimum_relative_effect=None if relative is None else relative.to("ratio"),
        )

    def _effect_in(self, unit: str) -> float:
        """In the metric's unit, or as a ratio where requests are counted; points (pp) are a difference of ratios."""
        effect = self.minimum_effect or Quantity(0.0)
        if effect.unit == "pp" and dimension(unit) == "ratio":
            effect = Quantity(effect.value, "%")
        if effect.unit == "":
            effect = Quantity(effect.value, unit)
        return effect.to(unit if self.requests is None else "ratio")

    def _misfits(self, facts: MetricFacts) -> list[str]:
        found = []
        bad = {"higher_is_better": "lower", "lower_is_better": "higher"}.get(facts.direction)
        if bad is not None and self.worse not in (bad, "either"):
            found.append(f"{self.metric!r} is {facts.direction}, but the condition says worse: {self.worse}")
        if self.requests is not None and dimension(facts.unit) != "ratio":
            found.append(f"{self.metric!r} is in {facts.unit!r}; with `requests` it must be a share of them (ratio or %)")
        elif self.minimum_effect is not None:
            try:
                self._effect_in(facts.unit)
            except UnitError as mismatch:
                found.append(f"minimum_effect: {mismatch}")
        return found

    def _found(self, result: SequentialResult) -> Finding:
        return self.finding(result.verdict, f"{self.metric}: {result.reason}", numbers=result.numbers())


def _requests_per_value(requests: Series) -> float:
    """1 for a count per interval; for a rate the length of the interval in the rate's own time. Raises UnitError."""
    if dimension(requests.unit) == "rate":
        return Quantity(1.0, requests.unit).to("/s") * requests.interval_s
    if requests.unit in ("", "count"):
        return 1.0
    raise UnitError(f"requests in {requests.unit!r} cannot be counted: give a count per interval or a rate (/s)")


def _too_few_paired(paired: int, missing: int) -> str | None:
    if paired and paired >= FEWEST_PAIRED * (paired + missing):
        return None
    return f"{paired} of {paired + missing} moments have a value on every side < at least {FEWEST_PAIRED:.0%}"
