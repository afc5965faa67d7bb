"""What each step needs: a target that can do it, names that exist, layers in order, a baseline before it is used."""

from collections.abc import Iterator

from chrysalis.plan import parts
from chrysalis.plan import steps as kinds
from chrysalis.plan.document import Location
from chrysalis.plan.finding import (
    Found,
    condition_problems,
    cron_problem,
    each_known,
    innermost,
    placed_triggers,
    unknown,
)
from chrysalis.plan.model import Plan
from chrysalis.plan.problems_limits import span_problems
from gates.condition import Condition
from gates.verdict import Mode

ABLE: dict[type[kinds.Step], tuple[type, ...]] = {
    kinds.Migrate: (parts.Database,),
    kinds.BackUp: (parts.Database,),
    kinds.Restore: (parts.Database,),
    kinds.ExportData: (parts.Database,),
    kinds.ImportData: (parts.Database,),
    kinds.Deploy: (parts.Versions, parts.Kubernetes),
    kinds.Activate: (parts.Layers,),
    kinds.Deactivate: (parts.Layers,),
    kinds.Waves: (parts.Layers,),
    kinds.SetFlag: parts.SWITCHBOARDS,
    kinds.SetWeight: parts.ROUTERS,
    kinds.Ramp: parts.ROUTERS,
    kinds.SetRoute: parts.ROUTERS,
    kinds.Operate: (*(parts.Layers, parts.Versions, parts.Database, parts.Regions, parts.Kubernetes, parts.HttpApi),),
}
"""Which targets a kind of step can be done on."""


def step_problems(plan: Plan) -> Iterator[Found]:
    """What does not fit in the steps of phases, rollbacks and operations."""
    for at, steps in _owners(plan):
        yield from _twice(at, steps)
        for index, step in enumerate(steps):
            kind = kinds.KIND_OF[type(step)]
            yield from _step(plan, (*at, index, kind), step)
    for index, phase in enumerate(plan.phases):
        if phase.skip_when is not None:
            yield from condition_problems(plan, ("phases", index, "skip_when"), phase.skip_when)
    for name, rollback in plan.rollbacks.items():
        for index, condition in enumerate(rollback.verify):
            yield from condition_problems(plan, ("rollbacks", name, "verify", index), condition)
    yield from _layer_order(plan)
    yield from _baselines(plan)


def conditions_of(step: kinds.Step) -> tuple[tuple[str, Condition], ...]:
    """The conditions that a step judges, each with the field it stands in."""
    match step:
        case kinds.Gate() | kinds.Verify():
            return tuple(("all", condition) for condition in step.conditions)
        case kinds.Soak():
            return tuple(("checkpoint", condition) for condition in step.checkpoint)
        case _:
            return ()


def _owners(plan: Plan) -> Iterator[tuple[Location, tuple[kinds.Step, ...]]]:
    for index, phase in enumerate(plan.phases):
        yield ("phases", index, "steps"), phase.steps
    for name, rollback in plan.rollbacks.items():
        yield ("rollbacks", name, "steps"), rollback.steps
    for name, operation in plan.operations.items():
        yield ("operations", name, "steps"), operation.steps


def _twice(at: Location, steps: tuple[kinds.Step, ...]) -> Iterator[Found]:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in seen:
            said = f"found step {step.name!r} twice, expected every step to have a name of its own here"
            yield (*at, index, kinds.KIND_OF[type(step)], "name"), said
        if step.name is not None:
            seen.add(step.name)


def _step(plan: Plan, at: Location, step: kinds.Step) -> Iterator[Found]:
    yield from span_problems(at, step)
    target = getattr(step, "target", None)
    if target is not None and target not in plan.targets:
        yield (*at, "target"), unknown("target", target, plan.targets)
        return
    if target is not None and (able := ABLE.get(type(step))) and not isinstance(plan.targets[target], able):
        wanted = " or ".join(kind.__name__ for kind in able)
        found = type(plan.targets[target]).__name__
        yield (*at, "target"), f"found target {target!r}, a {found}, expected a {wanted}, which can do this"
        return
    for index, (field, condition) in enumerate(conditions_of(step)):
        yield from condition_problems(plan, (*at, field, index), condition)
    yield from _names(plan, at, step)


def _names(plan: Plan, at: Location, step: kinds.Step) -> Iterator[Found]:
    match step:
        case kinds.Gate() | kinds.Verify() if all(condition.mode is not Mode.BLOCK for condition in step.conditions):
            yield (*at, "all"), "no condition counts: all are warn or dry_run; a gate that cannot fail decides nothing"
        case kinds.Waves():
            yield from _layers(plan, at, step)
        case kinds.SignOff() if step.rule not in plan.sign_offs:
            yield (*at, "rule"), unknown("sign-off rule", step.rule, plan.sign_offs)
        case kinds.Checklist() if step.list not in plan.checklists:
            yield (*at, "list"), unknown("checklist", step.list, plan.checklists)
        case kinds.MakeReport() if step.report not in plan.reports:
            yield (*at, "report"), unknown("report", step.report, plan.reports)
        case kinds.Repeat() | kinds.WaitUntil():
            yield from _by_the_clock(plan, at, step)
        case kinds.SetMode() if step.ladder not in plan.ladders:
            yield (*at, "ladder"), unknown("ladder", step.ladder, plan.ladders)
        case kinds.SetMode() if step.to not in (modes := plan.ladders[step.ladder].modes):
            yield (*at, "to"), unknown(f"mode of ladder {step.ladder}", step.to, modes)
        case kinds.RecordBaseline():
            yield from each_known((*at, "metrics"), "metric", step.metrics, plan.metrics)
        case kinds.Notify():
            yield from each_known((*at, "channels"), "channel", step.channels, plan.channels)
        case kinds.Migrate() if getattr(plan.targets[step.target], "migrations", None) is None:
            yield (*at, "target"), f"found target {step.target!r} without migrations, expected its folder of migration files"
        case _:
            return


def _by_the_clock(plan: Plan, at: Location, step: kinds.Repeat | kinds.WaitUntil) -> Iterator[Found]:
    if at[0] != "phases":
        said = "found a wait for the clock in what is to be done now, expected it in a phase; operations have schedules"
        yield at, said
    if wrong := cron_problem(step.cron):
        yield (*at, "cron"), wrong
    if isinstance(step, kinds.WaitUntil):
        return
    if step.operation not in plan.operations:
        yield (*at, "operation"), unknown("operation", step.operation, plan.operations)
    elif not plan.operations[step.operation].steps:
        said = f"found operation {step.operation!r}, which is a rollback, expected one with steps to repeat"
        yield (*at, "operation"), said


def _layers(plan: Plan, at: Location, step: kinds.Activate | kinds.Deactivate | kinds.Waves) -> Iterator[Found]:
    target = plan.targets[step.target]
    yield from each_known((*at, "layers"), f"layer of target {step.target!r}", step.layers, target.layers)
    yield from each_known((*at, "instances"), f"instance of target {step.target!r}", step.instances, target.instances)


def _layer_order(plan: Plan) -> Iterator[Found]:
    """A layer stands on the one below it: that must be active on the same instance, or be activated with it."""
    active: set[tuple[str, str, str]] = set()
    for index, phase in enumerate(plan.phases):
        for position, step in enumerate(phase.steps):
            if not isinstance(step, kinds.Activate | kinds.Waves | kinds.Deactivate):
                continue
            at: Location = ("phases", index, "steps", position, kinds.KIND_OF[type(step)])
            target = plan.targets.get(step.target)
            if not isinstance(target, parts.Layers):
                continue
            if not isinstance(step, kinds.Waves):
                yield from _layers(plan, at, step)
            for instance in step.instances:
                named = {(step.target, layer, instance) for layer in step.layers}
                active = active - named if isinstance(step, kinds.Deactivate) else active | named
                for layer in step.layers:
                    below = _below(target, layer)
                    if not isinstance(step, kinds.Deactivate) and below and (step.target, below, instance) not in active:
                        said = f"found {layer} on {instance} before {below}, expected {below} to be active there first"
                        yield (*at, "layers"), said


def _below(target: parts.Layers, layer: str) -> str | None:
    place = target.layers.index(layer) if layer in target.layers else 0
    return target.layers[place - 1] if place else None


def _baselines(plan: Plan) -> Iterator[Found]:
    """A baseline that is compared with must be recorded, in the steps before where those are in order."""
    recorded: set[tuple[str, str]] = set()
    for index, phase in enumerate(plan.phases):
        for position, step in enumerate(phase.steps):
            at: Location = ("phases", index, "steps", position, kinds.KIND_OF[type(step)])
            for place, (field, condition) in enumerate(conditions_of(step)):
                yield from _compared(recorded, (*at, field, place), condition)
            if isinstance(step, kinds.RecordBaseline):
                recorded |= {(step.baseline, metric) for metric in step.metrics}
    for name, rollback in plan.rollbacks.items():
        for place, condition in enumerate(rollback.verify):
            yield from _compared(recorded, ("rollbacks", name, "verify", place), condition)
    for at, _, trigger in placed_triggers(plan):
        if trigger.when is not None:
            yield from _compared(recorded, (*at, "when"), trigger.when)


def _compared(recorded: set[tuple[str, str]], at: Location, condition: Condition) -> Iterator[Found]:
    for where, part in innermost(at, condition):
        for selector in sorted({need.selector for need in part.needs()}, key=str):
            if selector.baseline is not None and (selector.baseline, selector.metric) not in recorded:
                known = sorted(f"{baseline} of {metric}" for baseline, metric in recorded) or ["nothing"]
                wanted = f"a record_baseline step before it; recorded so far: {', '.join(known)}"
                yield where, f"found baseline {selector.baseline!r} of {selector.metric}, expected {wanted}"
