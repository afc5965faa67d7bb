"""Random plans of triggers and random series for them, and when each trigger fires by our own judge.

A series is a list of marks, one an evaluation: a number, NaN, an infinity, `missing` (no scrape: Prometheus goes on with
the sample before, for up to five minutes), `stale` (the series is gone) or `two` (two series answer the query).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from chrysalis.plan import Plan
from gates.observation import Observations, Selector, Series
from gates.trigger import TriggerState, step, truth_of

EVERY_S = 15.0
MAX_GAP_S = 60.0
Marks = list[float | str]
BOUNDS = ("above", "below", "at_least", "at_most")


@dataclass(frozen=True)
class Made:
    """One trigger as written, and its metrics as written."""

    trigger: dict[str, Any]
    metrics: dict[str, dict[str, Any]]


def marks(rng: Random, evaluations: int) -> Marks:
    """Values around 5 that stay for a while on one side, with all that can go wrong in between."""
    found: Marks = []
    high, silent = rng.random() < 0.5, 0
    steady, trouble = rng.choice([0.6, 0.8, 0.95]), rng.choice([0.0, 0.1, 0.3])
    for _ in range(evaluations):
        high = high if rng.random() < steady else not high
        odd = rng.choice(["missing", "stale", "two", math.nan, math.inf, -math.inf]) if rng.random() < trouble else None
        if odd == "missing" and silent >= 15:
            odd = None
        silent = silent + 1 if odd == "missing" else 0
        found.append(round(rng.uniform(5, 9) if high else rng.uniform(1, 5), 6) if odd is None else odd)
    return found


def seen(written: Marks) -> list[float | None]:
    """What the query answers at each evaluation; None where that is no number."""
    found: list[float | None] = []
    answer: float | None = None
    for mark in written:
        if mark != "missing":
            answer = mark if isinstance(mark, float) and math.isfinite(mark) else None
        found.append(answer)
    return found


def random_condition(rng: Random, make: Any, depth: int = 0) -> dict[str, Any]:
    """A condition of a kind that PromQL can say; `make(sided=..., unit=...)` gives it a metric of its own."""
    kinds = [
        "last",
        "last",
        "between",
        "window",
        "target",
        "stable",
        "ago",
        "exists",
        "count",
        "product",
        "consensus",
        "burn",
    ]
    kind = rng.choice(kinds if depth else [*kinds, "all", "any", "at_least"])
    bound = {rng.choice(BOUNDS): round(rng.uniform(4, 6), 4)}
    window = {"statistic": rng.choice(["mean", "min", "max", "median", "sum", "p90"]), "over": rng.choice(["1m", "90s"])}
    window["min_samples"] = rng.choice([1, 2, 4])
    match kind:
        case "last":
            return {"threshold": {"metric": make(), **bound}}
        case "between":
            return {"threshold": {"metric": make(), "between": [3, 6]}}
        case "window":
            scaled = {name: limit * 4 if window["statistic"] == "sum" else limit for name, limit in bound.items()}
            return {"threshold": {"metric": make(), **scaled, **window}}
        case "target":
            return {"comparison": {"metric": make(), "target": 5, "within": rng.choice(["1", "20%"])}}
        case "stable":
            how = rng.choice([{"above": "10%"}, {"at_least": "1.3x"}, {"speed_up": "1.3x"}, {"between": ["-1", "1"]}])
            windowed = window if rng.random() < 0.5 and window["statistic"] != "sum" else {}
            return {"comparison": {"metric": make(sided=True), "against": "stable", **how, **windowed}}
        case "ago":
            return {"comparison": {"metric": make(), "against": "1m ago", "above": rng.choice(["5%", "0.5"])}}
        case "exists":
            windowed = {"over": "1m"} if rng.random() < 0.5 else {}
            return {"exists": {"metric": make(shift=-6.0), **windowed}}
        case "count":
            return {"count": {"metric": make(unit="count"), **bound}}
        case "product":
            return {"product": {"metrics": [make(), make()], rng.choice(BOUNDS): round(rng.uniform(15, 35), 4)}}
        case "consensus":
            measure = rng.choice([{"below": 9, "measure": "laplacian"}, {"at_most": 1.5, "measure": "deviation"}])
            return {"consensus": {"metrics": [make(), make(), make()], **measure}}
        case "burn":
            windows = [
                {"budget": "50%", "over": "1m", "short": rng.choice(["15s", "30s", "0s"])},
                {"budget": "90%", "over": "2m"},
            ]
            burn = {"objective": "10%", "is": "burning", "windows": windows, "period": "2m", "side": "canary"}
            return {"burn_rate": {"metric": make(unit="ratio", scale=0.1), **burn}}
        case _:
            parts = [random_condition(rng, make, depth + 1) for _ in range(rng.choice([2, 3]))]
            for part in parts:
                (body,) = part.values()
                body |= {"weight": rng.choice([1, 2]), "critical": kind == "at_least" and rng.random() < 0.3}
                body["mode"] = "block"
            next(iter(parts[-1].values()))["mode"] = rng.choice(["block", "block", "warn"])
            if kind != "at_least":
                return {kind: parts}
            return {kind: {"of": parts, **rng.choice([{"count": 1}, {"share": "50%"}, {"share": "100%"}])}}


def random_plan(rng: Random, triggers: int) -> tuple[Plan, Mapping[str, Any]]:
    """A plan with so many triggers, and for each metric how to scale and shift its values."""
    metrics: dict[str, dict[str, Any]] = {}
    values: dict[str, tuple[float, float]] = {}

    def make(*, sided: bool = False, unit: str = "", scale: float = 1.0, shift: float = 0.0) -> str:
        name = f"m{len(metrics)}"
        query: Any = {"canary": f"c_{name}", "stable": f"s_{name}"} if sided else f"c_{name}"
        metrics[name] = {"source": "prometheus", "unit": unit, "interval": "15s", "query": query}
        values[name] = (scale, shift)
        return name

    written: dict[str, Any] = {}
    for index in range(triggers):
        trigger: dict[str, Any] = {"when": random_condition(rng, make), "for": rng.choice(["0s", "15s", "30s", "40s", "1m"])}
        if rng.random() < 0.3:
            trigger["keep_firing_for"] = rng.choice(["15s", "30s", "40s"])
        if rng.random() < 0.3:
            trigger["recover"] = {"when": random_condition(rng, make), "for": rng.choice(["0s", "15s", "30s"])}
        written[f"t{index}"] = {**trigger, "severity": rng.choice(["info", "warning", "page"])}
    plan = Plan.model_validate(
        {
            "chrysalis": 1,
            "name": "random",
            "service": "maia",
            "sources": {"prometheus": {"prometheus": {"url": "http://127.0.0.1:9"}}},
            "metrics": metrics,
            "triggers": written,
            "phases": [{"name": "only", "steps": [{"soak": "1m"}]}],
        }
    )
    return plan, values


def random_series(rng: Random, plan: Plan, values: Mapping[str, Any], evaluations: int) -> dict[str, Marks]:
    """The marks of every series that the plan's queries name."""
    found: dict[str, Marks] = {}
    for name, metric in plan.metrics.items():
        scale, shift = values[name]
        for series in metric.query.values() if isinstance(metric.query, dict) else [metric.query]:
            found[series] = [mark if isinstance(mark, str) else mark * scale + shift for mark in marks(rng, evaluations)]
    return found


def firing_by_our_judge(plan: Plan, series: Mapping[str, Marks], evaluations: int) -> dict[int, set[str]]:
    """The triggers that fire at each evaluation, judged on what their queries answered at each evaluation."""
    answers = {name: seen(written) for name, written in series.items()}
    found: dict[int, set[str]] = {index: set() for index in range(evaluations)}
    for name, trigger in plan.triggers.items():
        state = TriggerState()
        for index in range(evaluations):
            now_s = index * EVERY_S
            observations: Observations = {
                need.selector: _observed(plan, answers, need.selector, newest_alone=need.window_s == 0, index=index)
                for need in trigger.needs()
            }
            truth, recovered = truth_of(trigger.judge(observations, now_s)), trigger.recovered(observations, now_s)
            state = step(trigger, state, truth, now_s, MAX_GAP_S, recovered=recovered)
            if state.firing:
                found[index].add(name)
    return found


def _observed(
    plan: Plan, answers: Mapping[str, list[float | None]], selector: Selector, *, newest_alone: bool, index: int
) -> Series:
    query = plan.metrics[selector.metric].query
    values = answers[query if isinstance(query, str) else query["stable" if selector.side == "stable" else "canary"]]
    last = index - round(selector.offset_s / EVERY_S)
    first = last if newest_alone else max(0, last - 40)
    rows = [(at * EVERY_S + selector.offset_s, values[at]) for at in range(first, last + 1) if at >= 0]
    present = [row for row in rows if row[1] is not None]
    return Series.of(present, unit=plan.metrics[selector.metric].unit, interval_s=EVERY_S)
