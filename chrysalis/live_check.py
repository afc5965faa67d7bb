"""`plan check --live`: asks the real sources whether what the plan measures is there, and measured as its gates need it.

An error is a gate that could never fail or never pass: a metric that does not exist, a name in a query that Prometheus
does not know (a query with `or vector(0)` would answer 0 for ever), a value that its unit cannot have, a window that its
samples can never fill, a rate over less than two of them. A warning is what may be right before a rollout: no data of the
canary, a limit a thousand times away from what is measured. Nothing is written anywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from chrysalis.clock import PlanClock, utc_now
from chrysalis.live_prometheus import Sampling, missing_names, sampling
from chrysalis.live_uses import Use, fewest_samples, limits, outcome, pointless, range_of, selectors, uses
from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.fetch import fetch
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.plan import Plan
from chrysalis.plan.parts import ManualSource, Metric
from gates.count import Count
from gates.observation import Need, Observations, Selector, Series, Side, Unavailable
from gates.threshold import Threshold
from gates.units import UnitError, dimension, format_duration, show

FAR_APART = 500.0
"""A limit so many times larger or smaller than what is measured looks like another unit (ms and s are 1000 apart)."""
SPARSE = 1.5
"""Samples so many times further apart than `interval` says are counted more than once."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class LiveProblem:
    """One thing that does not fit between the plan and what its sources answer now."""

    severity: Literal["error", "warning"]
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.message}"


def live_problems(
    plan: Plan, sources: Mapping[str, MetricSource], variables: Mapping[str, str], *, now: datetime | None = None
) -> list[LiveProblem]:
    """Everything that does not fit, errors first. `variables` may give `version` and `stable_version` for queries."""
    asked_at = now or utc_now()
    facts = {
        "service": plan.service,
        **{name: variables[name] for name in ("version", "stable_version") if name in variables},
    }
    found = list(uses(plan))
    needs = _needs(plan, found)
    clock = PlanClock(asked_at.timestamp(), 1.0)
    observations = fetch(needs, plan.metrics, sources, clock, asked_at, variables=facts)
    known: dict[str, Sampling] = {}
    problems: list[LiveProblem] = []
    for name, metric in plan.metrics.items():
        if isinstance(plan.sources[metric.source], ManualSource):
            continue
        where = f"metrics.{name}"
        asked = {need.selector: observations[need.selector] for need in needs if need.selector.metric == name}
        reached = [one for one in asked.values() if isinstance(one, Series)]
        source = sources.get(metric.source)
        missing = list(missing_names(source, metric, asked_at)) if isinstance(source, PrometheusSource) and reached else []
        # A name that Prometheus does not know says all: that there is no data follows from it.
        problems += [LiveProblem("error", where, said) for said in missing]
        if not missing:
            problems += [LiveProblem(severity, where, said) for severity, said in _data(name, asked, plan)]
        problems += [LiveProblem("error", where, said) for said in dict.fromkeys(_magnitude(name, metric, reached))]
        if isinstance(source, PrometheusSource) and reached:
            known[name] = sampling(source, metric, asked_at)
            problems += [LiveProblem(severity, where, said) for severity, said in _rate(metric, source, known[name])]
    for use in found:
        problems += [LiveProblem(severity, use.where, said) for severity, said in _used(use, plan, observations, known)]
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.severity)


def _needs(plan: Plan, found: list[Use]) -> list[Need]:
    longest: dict[Selector, float] = {}
    for use in found:
        for selector, window_s in selectors(use.condition):
            if selector.metric in plan.metrics:
                longest[selector] = max(window_s, longest.get(selector, 0.0))
    for name, metric in plan.metrics.items():
        sides: tuple[Side, ...] = ("canary", "stable") if metric.sided else ("canary",)
        for side in sides:
            longest.setdefault(Selector(name, side), 0.0)
    return [Need(selector, window_s) for selector, window_s in longest.items()]


_Said = tuple[Literal["error", "warning"], str]


def _data(name: str, asked: Mapping[Selector, Series | Unavailable], plan: Plan) -> Iterator[_Said]:
    there = {selector.side for selector, answer in asked.items() if isinstance(answer, Series) and _has_value(answer)}
    said: set[str] = set()
    for selector, answer in asked.items():
        if isinstance(answer, Unavailable):
            if answer.reason not in said:
                yield "error", answer.reason
            said.add(answer.reason)
            continue
        if _has_value(answer):
            continue
        side = f" of {selector.side}" if plan.metrics[name].sided else ""
        if selector.offset_s:
            yield "warning", f"no data{side} {format_duration(selector.offset_s)} ago, with which it is compared"
        elif selector.side == "canary" and there - {"canary"}:
            yield "warning", "no data of canary now; right only while no traffic reaches it"
        elif len(answer):
            samples = "only sample is" if len(answer) == 1 else f"{len(answer)} samples are all"
            yield "error", f"no value{side} now: its {samples} NaN; the query divides by 0, or has no input"
        else:
            yield "error", f"no data{side} now: the query answers with nothing"


def _has_value(series: Series) -> bool:
    return any(series.labels) if series.labels is not None else bool(np.isfinite(series.values).any())


def _magnitude(name: str, metric: Metric, answers: list[Series]) -> Iterator[str]:
    lowest, highest = range_of(metric.unit)
    for series in answers:
        values = series.values[np.isfinite(series.values)]
        for value in (float(np.min(values)), float(np.max(values))) if values.size else ():
            if value < lowest - _ROUNDING:
                yield f"{name} is {value:g}, below {lowest:g}, which is no {metric.unit or 'number'}"
            if value > highest + _ROUNDING:
                yield f"{name} is {value:g}, above {highest:g}, which is no {metric.unit}; is it in %?"


def _rate(metric: Metric, source: PrometheusSource, seen: Sampling) -> Iterator[_Said]:
    spacing_s = seen.spacing_s
    if spacing_s is None:
        return
    if "{window}" in seen.text:
        window_s = max(metric.rate_window_s, 4 * source.scrape_interval_s)
        held = window_s / spacing_s
        shown = f"{{window}} is {format_duration(window_s)} and {seen.name} is sampled each {_about(spacing_s)}"
        if held < 2:
            yield "error", f"{shown}: a rate needs two samples, so there would never be a value; make rate_over longer"
        elif held < 4:
            yield (
                "warning",
                f"{shown}: one lost sample in four leaves no rate; make rate_over at least {_about(4 * spacing_s)}",
            )


def _used(use: Use, plan: Plan, observations: Observations, known: Mapping[str, Sampling]) -> Iterator[_Said]:
    if said := pointless(use, plan.metrics):
        yield "error", said
    for selector, window_s in selectors(use.condition):
        metric = plan.metrics.get(selector.metric)
        answer = observations.get(selector)
        if metric is None or not isinstance(answer, Series) or not _has_value(answer):
            continue
        yield from _window(use, metric, selector, answer, window_s=window_s, seen=known.get(selector.metric))
        yield from _far_apart(use, metric, answer)


def _window(
    use: Use, metric: Metric, selector: Selector, answer: Series, *, window_s: float, seen: Sampling | None
) -> Iterator[_Said]:
    if window_s <= metric.interval_s:
        return
    fewest = fewest_samples(use.condition, window_s, metric.interval_s)
    span = format_duration(window_s)
    if len(answer) == 1 and seen is None and fewest > 1:
        never = outcome(use, passes=False)
        yield (
            "error",
            f"{selector.metric} answers one value, as of now, and {span} need at least {fewest:.0f} samples: this {never};"
            " let the query give rows of (time, value)",
        )
        return
    spacing_s = _spacing_s(answer) if seen is None else None
    if spacing_s is not None and window_s / spacing_s + _ROUNDING < fewest:
        yield (
            "error",
            f"{selector.metric} is sampled each {_about(spacing_s)}: {span} hold {window_s / spacing_s:.0f} samples"
            f" < at least {fewest:.0f}: this {outcome(use, passes=False)}; its interval says"
            f" {format_duration(metric.interval_s)}",
        )
    real_s = seen.spacing_s if seen is not None else None
    if real_s is not None and real_s > SPARSE * metric.interval_s:
        yield (
            "warning",
            f"{selector.metric} is sampled each {_about(real_s)}, its interval says {format_duration(metric.interval_s)}:"
            f" in {span} the same sample counts {real_s / metric.interval_s:.0f} times",
        )


def _spacing_s(answer: Series) -> float | None:
    return float(np.median(np.diff(answer.times_s))) if len(answer) > 1 else None


def _far_apart(use: Use, metric: Metric, answer: Series) -> Iterator[_Said]:
    condition = use.condition
    if not isinstance(condition, Threshold | Count) or dimension(metric.unit) not in ("time", "size"):
        return
    if isinstance(condition, Threshold) and condition.statistic == "rate":
        return
    typical = float(np.median(np.abs(answer.values[np.isfinite(answer.values)])))
    try:
        bounds = [abs(limit) for limit in limits(condition, metric.unit) if np.isfinite(limit) and limit != 0]
    except UnitError:
        return
    for limit in bounds:
        if typical > 0 and not 1 / FAR_APART < limit / typical < FAR_APART:
            yield (
                "warning",
                f"{condition.metric} is about {show(typical, metric.unit)} and its limit {show(limit, metric.unit)}:"
                f" far apart; is it measured in {metric.unit!r}?",
            )


def _about(seconds: float) -> str:
    return format_duration(round(seconds, 1 if seconds < 60 else 0))
