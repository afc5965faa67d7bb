"""A plan's triggers as alerting rules for Prometheus, which fire at the evaluations at which the watch's triggers fire.

Prometheus's own `for` cannot do it: it takes a missing or NaN sample for false and resets, where a trigger neither resets
nor advances. So the trigger's clock is kept in recording rules, each evaluation going on from the one before:

| series | value |
| --- | --- |
| `chrysalis:sample` | the metric now; none where the query has no value, NaN, an infinity, or several series |
| `chrysalis:breach` | 1, 0, or -1 for no data: what the condition says (`promql.py`) |
| `chrysalis:held_seconds` | how long the breach has lasted, time without data left out; -1 when there is none |
| `chrysalis:recovered`, `:ceased_seconds`, `:recovering_seconds`, `:firing` | the same for `keep_firing_for` and `recover` |
| `chrysalis:evaluated_at`, `:gap_seconds` | when the group was evaluated, and how long before; over four intervals count 0 |

The limits. A rule sees what its query says at the evaluation, as the watch does: a raw gauge that ceased is there for
Prometheus's lookback of 5 minutes. A window holds the samples of the rule's own evaluations, so a group is evaluated at
its metrics' interval and is exact once it has run that long. After an outage of over an hour clocks start anew. Triggers
that cannot be said in PromQL are left out, each named in a comment with the reason; the watch judges those.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from chrysalis.errors import QueryError, SettingsError
from chrysalis.metrics.fetch import MIN_SCRAPES
from chrysalis.metrics.placeholders import fill
from chrysalis.plan import Plan, load_plan
from chrysalis.plan.parts import Metric, PrometheusSource
from chrysalis.promql import NotInPromQL, SampleNames, truth
from chrysalis.rule_clock import clock_rules, first_rules, last_rules
from chrysalis.settings import Settings, fill_in
from gates.observation import Selector
from gates.trigger import Trigger
from gates.units import format_duration, parse_duration

DEFAULT_INTERVAL_S = 15.0


@dataclass(frozen=True, slots=True)
class _Armed:
    """A trigger of the plan, with the phase that it belongs to (none: the whole plan) and where its rules go."""

    name: str
    phase: str
    trigger: Trigger

    @property
    def title(self) -> str:
        return f"{self.phase}.{self.name}" if self.phase else self.name


def rules_yaml(plan: Plan, *, variables: Mapping[str, str] | None = None, interval_s: float = DEFAULT_INTERVAL_S) -> str:
    """The file of rules. `variables` fill `${NAME}` and `{version}` in queries; `{service}` is the plan's own.

    `interval_s` is how often triggers on the newest sample are evaluated.
    """
    groups: dict[float, list[tuple[_Armed, str, str | None, SampleNames]]] = {}
    left_out: list[str] = []
    for armed in _triggers(plan):
        try:
            spaced_s = _interval_s(plan, armed.trigger, interval_s)
            names = _names(plan, spaced_s)
            breach, recovered = _truths(armed.trigger, names)
            for selector in _selectors(armed.trigger):
                _query(plan, selector, variables or {})
        except (NotInPromQL, QueryError, SettingsError) as reason:
            left_out.append(f"# not exported: {armed.title}: {reason}")
            continue
        groups.setdefault(spaced_s, []).append((armed, breach, recovered, names))
    document = {
        "groups": [
            {
                "name": f"chrysalis-{plan.name}-{format_duration(spaced_s)}",
                "interval": _duration(spaced_s),
                "rules": [*_group(plan, members, variables or {}, spaced_s)],
            }
            for spaced_s, members in sorted(groups.items())
        ]
    }
    text = StringIO()
    text.write(f"# Triggers of the plan {plan.name}, written by `chrysalis plan rules`; do not edit.\n")
    text.writelines(f"{line}\n" for line in left_out)
    writer = YAML()
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(document, text)
    return text.getvalue()


def rules(
    plan_file: Annotated[Path, typer.Argument(help="The plan.")],
    every: Annotated[str, typer.Option("--every", help="How often rules on the newest sample are evaluated.")] = "15s",
    variable: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE for ${NAME} and {version} in queries; may be repeated.")
    ] = None,
) -> None:
    """Write the plan's triggers as Prometheus alerting rules that fire at the same evaluations."""
    pairs = [written.partition("=") for written in variable or []]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        raise SettingsError(f"--set: found {wrong[0]!r}, expected NAME=VALUE")
    try:
        interval_s = parse_duration(every).total_seconds()
    except ValueError as error:
        raise SettingsError(f"--every: {error}") from error
    if interval_s < 0.001:
        raise SettingsError(f"--every: found {every!r}, expected at least 1ms")
    given = {**Settings.load().variables(), **{name: value for name, _, value in pairs}}
    typer.echo(rules_yaml(load_plan(plan_file).plan, variables=given, interval_s=interval_s), nl=False)


def _triggers(plan: Plan) -> Iterator[_Armed]:
    yield from (_Armed(name, "", trigger) for name, trigger in plan.lasting_triggers.items())
    for phase in plan.phases:
        both = {**phase.triggers, **phase.triggers_here}
        yield from (_Armed(name, phase.name, trigger) for name, trigger in both.items())


def _selectors(trigger: Trigger) -> list[Selector]:
    return [need.selector for need in trigger.needs()]


def _interval_s(plan: Plan, trigger: Trigger, interval_s: float) -> float:
    """The spacing of the metrics whose samples a window holds, or `interval_s` where only the newest ones count."""
    spacings = {plan.metrics[need.selector.metric].interval_s for need in trigger.needs() if need.window_s > 0}
    if len(spacings) > 1:
        shown = " and ".join(format_duration(one) for one in sorted(spacings))
        raise NotInPromQL(f"its windows hold metrics of different intervals ({shown})")
    return spacings.pop() if spacings else interval_s


def _names(plan: Plan, spaced_s: float) -> SampleNames:
    labels = f'plan="{plan.name}",interval="{format_duration(spaced_s)}"'
    units = {name: metric.unit for name, metric in plan.metrics.items()}
    return SampleNames(labels, spaced_s, units, frozenset(name for name, metric in plan.metrics.items() if metric.sided))


def _truths(trigger: Trigger, names: SampleNames) -> tuple[str, str | None]:
    if trigger.when is None:
        raise NotInPromQL("a person sets it off")
    recovered = None if trigger.recover is None else truth(trigger.recover.when, names)
    return truth(trigger.when, names), recovered


def _query(plan: Plan, selector: Selector, variables: Mapping[str, str]) -> str:
    """The metric's query as the watch asks it. Raises NotInPromQL, QueryError, SettingsError."""
    metric = plan.metrics[selector.metric]
    source = plan.sources[metric.source]
    if not isinstance(source, PrometheusSource):
        raise NotInPromQL(f"{selector.metric} does not come from Prometheus but from {metric.source}")
    side = selector.side if metric.sided else "all"
    text = metric.query if isinstance(metric.query, str) else metric.query.get(side, metric.query.get("all"))
    if text is None:
        raise NotInPromQL(f"{selector.metric} has no query for the side {side}")
    filled = {
        **{name: variables[name] for name in ("version", "stable_version") if name in variables},
        "service": plan.service,
        "window": _window(metric, source),
        "speed": "1",
    }
    if side != "all":
        filled["side"] = side
    if side == "stable":
        filled.pop("version", None)
        filled |= {"version": filled["stable_version"]} if "stable_version" in filled else {}
    where = f"{plan.name}: metric {selector.metric}"
    return fill(
        fill_in(text, variables, where=where), filled, escape=lambda value: json.dumps(value, ensure_ascii=False)[1:-1]
    ).strip()


def _window(metric: Metric, source: PrometheusSource) -> str:
    return _duration(max(metric.rate_window_s, MIN_SCRAPES * source.scrape_interval.total_seconds()))


def _duration(seconds: float) -> str:
    ms = max(1, round(seconds * 1000))
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def _group(
    plan: Plan,
    members: list[tuple[_Armed, str, str | None, SampleNames]],
    variables: Mapping[str, str],
    spaced_s: float,
) -> Iterator[dict[str, Any]]:
    common = {"plan": plan.name, "interval": format_duration(spaced_s)}
    asked = {
        (selector.metric, selector.side if plan.metrics[selector.metric].sided else "all"): selector
        for armed, *_ in members
        for selector in _selectors(armed.trigger)
    }
    yield from (_recording(name, expr, common) for name, expr in first_rules(common, spaced_s))
    for (metric, side), selector in asked.items():
        # scalar() is NaN unless there is exactly one series; the comparisons leave NaN and infinities out.
        expr = f"vector(scalar(\n{_query(plan, selector, variables)}\n)) > -Inf < +Inf"
        yield _recording("chrysalis:sample", expr, {**common, "metric": metric, "side": side})
    for armed, breach, recovered, _ in members:
        labels = {**common, "trigger": armed.name, **({"phase": armed.phase} if armed.phase else {"phase": "any"})}
        trigger = armed.trigger
        clock = clock_rules(
            labels,
            breach=breach,
            recovered=recovered,
            for_s=trigger.for_.total_seconds(),
            keep_s=trigger.keep_firing_for.total_seconds(),
            recover_s=trigger.recover.for_.total_seconds() if trigger.recover else 0.0,
        )
        yield from (_recording(name, expr, labels) for name, expr in clock.recorded)
        yield _alert(plan, armed, labels, clock.firing)
    yield from (_recording(name, expr, common) for name, expr in last_rules())


def _recording(name: str, expr: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"record": name, "expr": _block(expr), "labels": dict(labels)}


def _alert(plan: Plan, armed: _Armed, labels: Mapping[str, str], firing: str) -> dict[str, Any]:
    trigger = armed.trigger
    more = {"service": plan.service, "severity": trigger.severity}
    if trigger.priority is not None:
        more["priority"] = trigger.priority
    annotations = {
        "summary": f"{plan.title or plan.name}: {armed.title.replace('_', ' ')}",
        "description": trigger.describe(),
        "runbook": trigger.runbook,
        "for": format_duration(trigger.for_),
        "response": trigger.respond.kind,
        "notify": ", ".join(trigger.notify),
    }
    return {
        "alert": "".join(word.capitalize() for word in f"{plan.name}_{armed.name}".replace("-", "_").split("_")),
        "expr": _block(firing),
        "labels": {**labels, **more},
        # Braces in a text would be taken for a template.
        "annotations": {name: text.replace("{{", "{ {") for name, text in annotations.items() if text},
    }


def _block(expr: str) -> str:
    return LiteralScalarString(expr + "\n") if "\n" in expr else expr
