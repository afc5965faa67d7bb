"""A measurement against another one: the stable side now, the same some time ago, a recorded baseline, or a target.

With c the measured number and r the reference, the unit of the amount says what is compared, and nothing is guessed:

| written                  | means                                                                              |
| ---                      | ---                                                                                |
| `50ms`, a bare number    | the difference c - r, in the metric's own unit                                     |
| `0.1pp`                  | the difference c - r in points; only for a metric that is a ratio                  |
| `5%`                     | the difference c - r as a share of abs(r); for a metric that is itself a ratio      |
|                          | it is ambiguous and an error, unless `relative: true` says that it is meant        |
| `1.5x`                   | the quotient c / r                                                                 |
| `speed_up: 5x`           | the quotient r / c of times: at least so many times faster                         |

The bound is one of above, below, at_least, at_most, between; `within: 10%` is the same as between -10% and +10%;
`speed_up` is a bound by itself. Of a recorded baseline the statistic is taken over all that was recorded, and its median
when the newest sample is compared.

Relative bounds are computed as c - r against share * |r|, without dividing: at r = 0 `at_most: 5%` allows exactly 0.
Numbers are compared as the decimals they are written as, without rounding. A quotient needs a reference above 0 to pass
from below.
"""

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from gates.amount import exact, limit_of, misfit, rounded
from gates.bound import keeps, sign_of
from gates.condition import Condition, MetricFacts, Truths
from gates.observation import FloatArray, Need, Observations, Selector, Side
from gates.statistic import Statistic, of_values
from gates.threshold import number_problems, unknown_metric, window_problems
from gates.units import Duration, Quantity, UnitError, format_duration, parse_duration, show, show_pair
from gates.verdict import Finding, Verdict
from gates.window import Missing, name_of, newest, newest_at, with_values

_SURE = 1e-9
"""Binary numbers and decimals as written differ by less than this share of them."""
_KINDS = ("above", "below", "at_least", "at_most")


class Against(NamedTuple):
    """What is compared with: `stable`, `baseline:NAME`, or a time ago (`24h ago`)."""

    stable: bool = False
    baseline: str | None = None
    ago_s: float = 0.0

    def __str__(self) -> str:
        if self.baseline is not None:
            return f"baseline:{self.baseline}"
        return "stable" if self.stable else f"{format_duration(self.ago_s)} ago"


def _against(written: Any) -> Any:
    if isinstance(written, Against):
        return written
    text = str(written).strip()
    if text == "stable":
        return Against(stable=True)
    kind, _, name = text.partition(":")
    if kind == "baseline" and name.strip():
        return Against(baseline=name.strip())
    if text.endswith(" ago"):
        ago_s = parse_duration(text.removesuffix(" ago")).total_seconds()
        if ago_s > 0:
            return Against(ago_s=ago_s)
    raise ValueError(f"{text!r} is nothing to compare with: write stable, baseline:NAME, or a time ago such as 24h ago")


Reference = Annotated[
    Against,
    BeforeValidator(_against),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(stable|baseline:.+|.+ ago)$", "examples": ["stable", "24h ago"]}),
]


class Comparison(Condition):
    """`comparison: {metric: error_rate, against: stable, at_most: +0.1pp, statistic: mean, over: 1h}`."""

    metric: str
    against: Reference | None = None
    target: Quantity | None = Field(default=None, description="a fixed number instead of `against`")
    above: Quantity | None = None
    below: Quantity | None = None
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    between: tuple[Quantity, Quantity] | None = None
    within: Quantity | None = Field(default=None, description="the tolerance to both sides")
    speed_up: Quantity | None = Field(default=None, description="at least so many times faster, such as 5x")
    relative: bool = Field(default=False, description="% of a metric that is itself a ratio is meant relative")
    statistic: Statistic = "last"
    over: Duration | None = None
    side: Side = "canary"
    min_samples: int = Field(default=1, ge=1)
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.against is None) == (self.target is None):
            raise ValueError("exactly one of against (stable, baseline:NAME, 24h ago) and target (a number) is needed")
        names = (*_KINDS, "between", "within", "speed_up")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(names)} is needed, found {' and '.join(given) or 'none'}")
        if self.within is not None and not self.within.value >= 0:
            raise ValueError(f"within: {self.within} must not be below 0")
        if self.speed_up is not None and (self.speed_up.unit not in ("", "x") or not self.speed_up.value > 0):
            raise ValueError(f"speed_up: {self.speed_up} must be a multiple above 0, such as 5x")
        if self.between is not None and self.between[0].unit != self.between[1].unit:
            raise ValueError(f"between: {self.between[0]} and {self.between[1]} must have the same unit")
        if self.between is not None and self.between[0].value > self.between[1].value:
            raise ValueError(f"between: [{self.between[0]}, {self.between[1]}] allows nothing")
        if self.statistic == "rate":
            raise ValueError("statistic rate is not compared; let the metric's query take the rate")
        if (self.statistic == "last") != (self.over is None):
            raise ValueError("over and a statistic (mean, p95, ...) go together")
        if self.over is not None and self.over <= timedelta(0):
            raise ValueError("over must be longer than 0")
        if self.against is not None and self.against.stable and self.side == "stable":
            raise ValueError("side stable against stable compares a series with itself")
        return self

    @property
    def selector(self) -> Selector:
        """The measured series."""
        return Selector(self.metric, self.side)

    @property
    def reference(self) -> Selector | None:
        """The series compared with; None for a target."""
        if self.against is None:
            return None
        if self.against.baseline is not None:
            return Selector(self.metric, "all", 0.0, self.against.baseline)
        return (
            Selector(self.metric, "stable") if self.against.stable else Selector(self.metric, self.side, self.against.ago_s)
        )

    def needs(self) -> tuple[Need, ...]:
        window_s = 0.0 if self.over is None else self.over.total_seconds()
        asked = [self.selector] if self.reference is None else [self.selector, self.reference]
        return tuple(Need(selector, window_s) for selector in asked)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        facts = metrics.get(self.metric)
        if facts is None:
            return [unknown_metric(self.metric, metrics)]
        found = number_problems(self.metric, facts, self.side)
        if self.against is not None and self.against.stable and not facts.sided:
            found.append(f"{self.metric}: compared with stable, but the metric has no sides")
        if self.over is not None:
            found += window_problems(self.metric, self.over.total_seconds(), facts, self.min_samples)
        for amount in self._amounts():
            if problem := misfit(amount, facts.unit, relative=self.relative):
                found.append(f"{self.metric}: {problem}")
        if self.target is not None:
            try:
                self.target.to(facts.unit)
            except UnitError as error:
                found.append(f"{self.metric}: target {error}")
        if self.speed_up is not None and facts.direction != "lower_is_better":
            better = facts.direction.replace("_", " ")
            found.append(f"{self.metric}: speed_up needs a metric where lower is better, it is {better}; write at_least: 5x")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        measured = self._number(observations, self.selector, now_s)
        if isinstance(measured, Missing):
            return self.unknown(measured.reason)
        value, unit = measured
        try:
            if self.reference is None:
                return self._compare(value, self._target().to(unit), unit, "target")
            known = self._number(observations, self.reference, now_s)
            if isinstance(known, Missing):
                return self.unknown(known.reason)
            return self._compare(value, Quantity(*known).to(unit), unit, name_of(self.reference))
        except UnitError as error:
            return self.unknown(f"{self.metric}: {error}")

    def at_moments(self, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths] | None:
        """Only for the newest sample and a difference. Where binary numbers cannot tell, it is judged."""
        pairs = self._pairs()
        plain = self.over is None and self.speed_up is None and all(amount.unit != "x" for _, amount in pairs)
        if not plain or (self.reference is not None and self.reference.baseline is not None):
            return None
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        measured = newest_at(observations, Selector(self.metric, self.side), moments, stale_after_s=stale_s)
        if measured is None:
            return None
        value, unit = measured
        reference = np.full(value.shape, self._target().to(unit))
        if self.reference is not None:
            against = newest_at(observations, self.reference, moments, stale_after_s=stale_s)
            if against is None or against[1] != unit:
                return None
            reference = against[0]
        known, passed, sure = np.isfinite(value) & np.isfinite(reference), True, True
        with np.errstate(all="ignore"):
            for kind, amount in pairs:
                relative = np.abs(reference) * amount.value / 100
                limit = relative if amount.unit == "%" else rounded(limit_of(amount, 0.0, unit))
                above = value - reference - limit
                sure = sure & (np.abs(above) > _SURE * (np.abs(value) + np.abs(reference) + np.abs(limit)))
                passed = passed & (above > 0 if kind in ("above", "at_least") else above < 0)
        passed = known & passed
        for index in np.flatnonzero(known & ~sure):
            passed[index] = self.judge(observations, float(moments[index])).passed
        return known, passed

    def _target(self) -> Quantity:
        return self.target if self.target is not None else Quantity(0.0)

    def _amounts(self) -> list[Quantity]:
        amounts = [getattr(self, kind) for kind in (*_KINDS, "within")]
        return [amount for amount in (*amounts, *(self.between or ())) if amount is not None]

    def _number(self, observations: Observations, selector: Selector, now_s: float) -> tuple[float, str] | Missing:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        if self.over is None and selector.baseline is None:
            found = newest(observations, selector, now_s=now_s, stale_after_s=stale_s)
            return found if isinstance(found, Missing) else (found[0], found[1].unit)
        seen = with_values(
            observations,
            selector,
            now_s=now_s,
            window_s=0.0 if self.over is None else self.over.total_seconds(),
            stale_after_s=stale_s,
            min_samples=self.min_samples,
        )
        statistic = "median" if self.over is None else self.statistic
        return seen if isinstance(seen, Missing) else (of_values(statistic, seen.values), seen.unit)

    def _compare(self, value: float, reference: float, unit: str, named: str) -> Finding:
        numbers = {"value": value, "reference": reference}
        left, right = show_pair(value, reference, unit)
        what = f"{self.metric} {left} against {named} {right}"
        if self.speed_up is not None:
            return self._faster(value, reference, self.speed_up.value, what)
        limits = self._limits(reference, unit)
        if isinstance(limits, Missing):
            return self.unknown(f"{what}: {limits.reason}", numbers=numbers)
        quotient = self._amounts()[0].unit == "x"
        if quotient and reference <= 0 and any(kind in ("above", "at_least") for kind, _, _ in limits):
            return self.unknown(f"{what}: a multiple of a reference that is not above 0 says nothing", numbers=numbers)
        difference = exact(value) if quotient else exact(value) - exact(reference)
        broken = [(kind, amount, limit) for kind, amount, limit in limits if not keeps(kind, difference, limit)]
        kind, amount, exact_limit = (broken or limits)[0]
        change, limit = rounded(difference), rounded(exact_limit)
        shown = f"{show(change, unit)} {sign_of(kind, kept=not broken)} {amount}"
        if quotient or amount.unit == "%":
            shown += f" ({show(limit, unit)})"
        verdict = Verdict.FAIL if broken else Verdict.PASS
        return self.finding(
            verdict, f"{what}: {'' if quotient else 'difference '}{shown}", numbers={**numbers, "limit": limit}
        )

    def _limits(self, reference: float, unit: str) -> list[tuple[str, Quantity, Fraction]] | Missing:
        """Each bound as (kind, the amount as written, the limit of the difference or, for a multiple, of the value)."""
        limits = []
        for kind, amount in self._pairs():
            if problem := misfit(amount, unit, relative=self.relative):
                return Missing(problem)
            limits.append((kind, amount, limit_of(amount, reference, unit)))
        return limits

    def _pairs(self) -> list[tuple[str, Quantity]]:
        """The bound as one-sided ones; none for a speed-up."""
        if self.within is not None:
            return [("at_least", Quantity(-self.within.value, self.within.unit)), ("at_most", self.within)]
        if self.between is not None:
            return [("at_least", self.between[0]), ("at_most", self.between[1])]
        return [(kind, amount) for kind in _KINDS if (amount := getattr(self, kind)) is not None]

    def _faster(self, value: float, reference: float, times: float, what: str) -> Finding:
        numbers = {"value": value, "reference": reference, "limit": times}
        if value < 0 or reference < 0 or (value == 0 and reference == 0):
            return self.unknown(f"{what}: no speed-up can be told from these", numbers=numbers)
        passed = exact(reference) >= exact(times) * exact(value)
        shown = f"{reference / value:.4g}x" if value else "more than any multiple"
        verdict = Verdict.PASS if passed else Verdict.FAIL
        return self.finding(verdict, f"{what}: speed-up {shown} {'>=' if passed else '<'} {times:g}x", numbers=numbers)
