"""A breach condition as PromQL: an expression that is 1 (the breach is there), 0 (it is not), or has no element (no data).

It is written over samples that recording rules keep, one per evaluation (`SampleNames`), so that a window holds exactly
the samples which the judge sees. Every expression here has no labels and at most one element; so `and`, `or` and
arithmetic match, and "no element" travels through all of them as "not known".

What PromQL cannot say as our judges do is refused with the reason (NotInPromQL), never approximated: whether a window is
covered, a robust slope, ranks, words, the order of samples. Two roundings remain: sums and means of a window are not exactly
rounded there, and a comparison subtracts binary numbers, not the decimals as written. Both matter at the last digit only.
"""

from dataclasses import dataclass
from itertools import combinations
from math import fsum

from gates.bound import Bounded
from gates.burn_rate import BurnRate
from gates.combine import All, Any_, AtLeast
from gates.comparison import Comparison
from gates.condition import Condition
from gates.consensus import Consensus
from gates.count import Count, Exists
from gates.observation import Selector
from gates.product import Product
from gates.threshold import Threshold
from gates.units import Quantity
from gates.verdict import Mode
from gates.window import STALE_INTERVALS

SAMPLE = "chrysalis:sample"
_SIGN = {"above": ">", "below": "<", "at_least": ">=", "at_most": "<="}
_OVER_TIME = {"mean": "avg", "min": "min", "max": "max", "sum": "sum"}
_ROUNDING = 1e-9


class NotInPromQL(ValueError):
    """The condition cannot be written so that it is true at exactly the same evaluations; the message says why."""


@dataclass(frozen=True, slots=True)
class SampleNames:
    """How the recorded samples of one group of rules are called, and how they are spaced (seconds)."""

    labels: str
    interval_s: float
    units: dict[str, str]
    sided: frozenset[str]

    def series(self, selector: Selector) -> str:
        """The series that keeps the samples of a selector."""
        side = selector.side if selector.metric in self.sided else "all"
        return f'{SAMPLE}{{{self.labels},metric="{selector.metric}",side="{side}"}}'

    def now(self, selector: Selector) -> str:
        """The sample of this evaluation, or of as long ago as the selector says."""
        if selector.baseline is not None:
            raise NotInPromQL(f"the baseline {selector.baseline} is recorded in the ledger, not in Prometheus")
        series = self.series(selector)
        if selector.offset_s:
            return f"sum(last_over_time({series}[{span(self.interval_s)}] offset {_ms(selector.offset_s)}))"
        # A sample of before a restart of Prometheus has no staleness marker and would else be seen for five minutes.
        return f"sum({series} and timestamp({series}) == time())"

    def over(self, function: str, selector: Selector, window_s: float, *, quantile: float | None = None) -> str:
        """An `_over_time` function of the samples in the window up to now, its start excluded."""
        if selector.baseline is not None:
            raise NotInPromQL(f"the baseline {selector.baseline} is recorded in the ledger, not in Prometheus")
        offset = f" offset {_ms(selector.offset_s)}" if selector.offset_s else ""
        first = "" if quantile is None else f"{quantile!r}, "
        return f"sum({function}_over_time({first}{self.series(selector)}[{span(window_s)}]{offset}))"

    def enough(self, selector: Selector, window_s: float, min_samples: int, stale_s: float | None) -> str:
        """Has an element where the window has so many samples and the newest is fresh."""
        allowed_s = STALE_INTERVALS * self.interval_s if stale_s is None else stale_s
        counted = self.over("count", selector, window_s)
        fresh = self.over("count", selector, min(allowed_s + 0.002, window_s))
        return f"({counted} >= {max(1, min_samples)}) and ({fresh} > 0)"


def truth(condition: Condition, names: SampleNames) -> str:
    """The expression. Raises NotInPromQL."""
    match condition:
        case Threshold():
            return _bounded(condition, _measured(condition, names, condition.selector), names.units[condition.metric])
        case Comparison():
            return _comparison(condition, names)
        case BurnRate():
            return _burn_rate(condition, names)
        case Count() | Exists():
            return _events(condition, names)
        case Product():
            return _product(condition, names)
        case Consensus():
            return _consensus(condition, names)
        case All() | Any_() | AtLeast():
            return _combination(condition, names)
        case _:
            raise NotInPromQL(f"{type(condition).__name__.lower()} cannot be said in PromQL")


def span(window_s: float) -> str:
    """A range that holds the samples of a window without its start, whether Prometheus counts the start (2) or not (3)."""
    return f"{max(1, round(window_s * 1000) - 1)}ms"


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _measured(condition: Threshold | Comparison, names: SampleNames, selector: Selector) -> str:
    stale_s = None if condition.stale_after is None else condition.stale_after.total_seconds()
    if isinstance(condition, Threshold) and condition.held is not None:
        raise NotInPromQL("held: whether the window is covered by samples cannot be told in PromQL; write for: instead")
    if condition.over is None:
        if stale_s is not None:
            raise NotInPromQL("stale_after of the newest sample: an expression has a value now or none")
        return names.now(selector)
    if condition.statistic == "rate":
        raise NotInPromQL("statistic rate: Prometheus extrapolates; let the metric's query take the rate")
    over_s = condition.over.total_seconds()
    taken = _statistic(condition.statistic, names, selector, over_s)
    return f"({taken} and {names.enough(selector, over_s, condition.min_samples, stale_s)})"


def _statistic(statistic: str, names: SampleNames, selector: Selector, over_s: float) -> str:
    if function := _OVER_TIME.get(statistic):
        return names.over(function, selector, over_s)
    share = 0.5 if statistic == "median" else float(statistic.removeprefix("p")) / 100
    return names.over("quantile", selector, over_s, quantile=share)


def _bounded(bound: Bounded, value: str, unit: str) -> str:
    if bound.between is not None:
        low, high = (amount.to(unit) for amount in bound.between)
        return f"(({value} >= bool {low!r}) * ({value} <= bool {high!r}))"
    amount: Quantity = getattr(bound, bound.bound_kind)
    return f"({value} {_SIGN[bound.bound_kind]} bool {amount.to(unit)!r})"


def _comparison(condition: Comparison, names: SampleNames) -> str:
    unit = names.units[condition.metric]
    value = _measured(condition, names, Selector(condition.metric, condition.side))
    if condition.reference is None:
        target = condition.target or Quantity(0.0)
        reference = f"vector({target.to(unit)!r})"
    else:
        reference = _measured(condition, names, condition.reference)
    if condition.speed_up is not None:
        both = f"({value} >= 0) and ({reference} >= 0) unless (({value} == 0) and ({reference} == 0))"
        return f"(({reference} >= bool ({value} * {condition.speed_up.value!r})) and {both})"
    pairs = _amounts(condition)
    kept = " * ".join(_keeps(kind, amount, value=value, reference=reference, unit=unit) for kind, amount in pairs)
    if any(amount.unit == "x" and kind in ("above", "at_least") for kind, amount in pairs):
        return f"({kept} and ({reference} > 0))"
    return f"({kept})"


def _amounts(condition: Comparison) -> list[tuple[str, Quantity]]:
    if condition.within is not None:
        return [("at_least", Quantity(-condition.within.value, condition.within.unit)), ("at_most", condition.within)]
    if condition.between is not None:
        return [("at_least", condition.between[0]), ("at_most", condition.between[1])]
    return next([(kind, amount)] for kind in _SIGN if (amount := getattr(condition, kind)) is not None)


def _keeps(kind: str, amount: Quantity, *, value: str, reference: str, unit: str) -> str:
    match amount.unit:
        case "x":
            return f"({value} {_SIGN[kind]} bool ({reference} * {amount.value!r}))"
        case "%":
            limit = f"(abs({reference}) * {amount.value / 100!r})"
        case "pp":
            limit = repr(Quantity(amount.value, "%").to(unit))
        case _:
            limit = repr(amount.to(unit))
    return f"(({value} - {reference}) {_SIGN[kind]} bool {limit})"


def _burn_rate(condition: BurnRate, names: SampleNames) -> str:
    selector = Selector(condition.metric, condition.side)
    scale = 100.0 if names.units[condition.metric] == "%" else 1.0
    longest_s = max(window.over.total_seconds() for window in condition.windows)
    burning = []
    for window in condition.windows:
        limit = repr(condition.limit(window) * scale)
        above = [f"({names.over('avg', selector, span_s)} > bool {limit})" for span_s in window.spans_s]
        burning.append(f"(({' * '.join(above)}) or vector(0))")
    stale_s = None if condition.stale_after is None else condition.stale_after.total_seconds()
    enough = names.enough(selector, longest_s, condition.min_samples, stale_s)
    wanted = "> bool 0" if condition.is_ == "burning" else "== bool 0"
    if condition.is_ != "burning":
        raise NotInPromQL("within_budget: whether the windows are covered by samples cannot be told in PromQL")
    return f"((({' + '.join(burning)}) {wanted}) and {enough})"


def _events(condition: Count | Exists, names: SampleNames) -> str:
    selector = Selector(condition.metric, condition.side)
    if condition.over is None:
        if condition.stale_after is not None:
            raise NotInPromQL("stale_after of the newest sample: an expression has a value now or none")
        value = names.now(selector)
    elif condition.samples_are == "total" or isinstance(condition, Count):
        raise NotInPromQL("events in a window: whether samples cover it cannot be told in PromQL; let the query count them")
    else:
        over_s = condition.over.total_seconds()
        stale_s = None if condition.stale_after is None else condition.stale_after.total_seconds()
        value = f"({names.over('max', selector, over_s)} and {names.enough(selector, over_s, 1, stale_s)})"
    if isinstance(condition, Count):
        return _bounded(condition, value, names.units[condition.metric])
    return f"({value} > bool 0)"


def _newest_of_all(condition: Product | Consensus, names: SampleNames) -> list[str]:
    if condition.stale_after is not None:
        raise NotInPromQL("stale_after of the newest sample: an expression has a value now or none")
    return [names.now(Selector(metric, condition.side)) for metric in condition.metrics]


def _product(condition: Product, names: SampleNames) -> str:
    factors = [
        f"({value} / 100)" if names.units[metric] == "%" else value
        for metric, value in zip(condition.metrics, _newest_of_all(condition, names), strict=True)
    ]
    return _bounded(condition, f"({' * '.join(factors)})", "x")


def _consensus(condition: Consensus, names: SampleNames) -> str:
    values, unit = _newest_of_all(condition, names), names.units[condition.metrics[0]]
    if condition.measure == "laplacian":
        squares = [f"({one} - {other}) ^ 2" for one, other in combinations(values, 2)] or [f"{values[0]} * 0"]
        return _bounded(condition, f"({' + '.join(squares)})", "")
    mean = f"(({' + '.join(values)}) / {len(values)})"
    if condition.between is not None or condition.bound_kind in ("above", "at_least"):
        raise NotInPromQL("consensus: a deviation is written in PromQL with below or at_most only")
    return f"({' * '.join(_bounded(condition, f'abs({value} - {mean})', unit) for value in values)})"


def _combination(condition: All | Any_ | AtLeast, names: SampleNames) -> str:
    parts = [(spec, truth(spec, names)) for spec in condition.of if spec.mode is Mode.BLOCK]
    exprs = [expr for _, expr in parts]
    match condition:
        case All():
            return f"({' or '.join(f'({expr} == 0)' for expr in exprs)} or ({' * '.join(exprs)}))"
        case Any_():
            return f"({' or '.join(f'({expr} == 1)' for expr in exprs)} or ({' * '.join(exprs)}))"
    sizes = [1.0 if condition.count is not None else spec.weight for spec, _ in parts]
    whole = fsum(sizes)
    wanted = (
        float(condition.count) if condition.count is not None else (condition.share or Quantity(1.0)).to("ratio") * whole
    )
    least = wanted - _ROUNDING * whole
    passed = " + ".join(f"({expr} or vector(0)) * {size!r}" for expr, size in zip(exprs, sizes, strict=True))
    possible = " + ".join(f"({expr} or vector(1)) * {size!r}" for expr, size in zip(exprs, sizes, strict=True))
    critical = [expr for spec, expr in parts if spec.critical]
    refused = "".join(f"({expr} == 0) or " for expr in critical)
    agreed = "".join(f" and ({expr} == 1)" for expr in critical)
    return f"({refused}((({possible}) < {least!r}) * 0) or (((({passed}) >= {least!r}) * 0 + 1){agreed}))"
