"""Whether the parts of a plan fit each other: every name that is used is defined, every unit fits, every way back exists."""

from collections.abc import Iterable, Iterator, Mapping

from chrysalis.plan.model import Phase, Plan
from chrysalis.plan.steps import (
    Activate,
    Checklist,
    Deactivate,
    Gate,
    MakeReport,
    Migrate,
    Notify,
    RecordBaseline,
    Repeat,
    SetWeight,
    SignOff,
    Soak,
    Step,
    Verify,
    Waves,
)
from gates.condition import Condition, MetricFacts

Location = tuple[int | str, ...]
Found = tuple[Location, str]


def problems_in(plan: Plan) -> list[Found]:
    """Everything that does not fit, with the place in the document."""
    return [
        *_sources(plan),
        *_triggers(plan),
        *_phases(plan),
        *_owned_steps(plan),
        *_people(plan),
        *_schedules(plan),
        *_order(plan),
    ]


def _unknown(noun: str, name: str, known: Iterable[str]) -> str:
    return f"found {name!r}, expected a defined {noun}: {', '.join(sorted(known)) or 'none is defined'}"


def metric_facts(plan: Plan) -> Mapping[str, MetricFacts]:
    """What conditions have to fit."""
    return {
        name: MetricFacts(metric.unit, metric.interval_s, metric.sided, metric.direction)
        for name, metric in plan.metrics.items()
    }


def _sources(plan: Plan) -> Iterator[Found]:
    for name, metric in plan.metrics.items():
        if metric.source not in plan.sources:
            yield ("metrics", name, "source"), _unknown("source", metric.source, plan.sources)
    for name, quota in plan.quotas.items():
        if quota.metric not in plan.metrics:
            yield ("quotas", name, "metric"), _unknown("metric", quota.metric, plan.metrics)
    for severity, channels in plan.notifications.routes.items():
        for index, channel in enumerate(channels):
            if channel not in plan.channels:
                yield ("notifications", "routes", severity, index), _unknown("channel", channel, plan.channels)


def _condition(plan: Plan, at: Location, condition: Condition) -> Iterator[Found]:
    for message in condition.problems(metric_facts(plan)):
        yield at, message


def _triggers(plan: Plan) -> Iterator[Found]:
    owners: list[tuple[Location, Mapping[str, object]]] = [(("triggers",), plan.triggers)]
    owners += [(("phases", index, "triggers"), phase.triggers) for index, phase in enumerate(plan.phases)]
    for at, triggers in owners:
        for name, trigger in triggers.items():
            for message in trigger.problems(metric_facts(plan)):  # type: ignore[attr-defined]
                yield (*at, name), message
    known = {name for phase in plan.phases for name in phase.triggers} | set(plan.triggers)
    for index, name in enumerate(plan.decision_tree):
        if name not in known:
            yield ("decision_tree", index), _unknown("trigger", name, known)
    for name, operation in plan.operations.items():
        if operation.when and operation.when not in known:
            yield ("operations", name, "when"), _unknown("trigger", operation.when, known)


def _phases(plan: Plan) -> Iterator[Found]:
    seen: set[str] = set()
    for index, phase in enumerate(plan.phases):
        if phase.name in seen:
            yield ("phases", index, "name"), f"found {phase.name!r} twice, expected every phase to have a name of its own"
        seen.add(phase.name)
        if phase.rollback not in plan.rollbacks:
            yield ("phases", index, "rollback"), _unknown("rollback", phase.rollback, plan.rollbacks)
        if phase.skip_when is not None:
            yield from _condition(plan, ("phases", index, "skip_when"), phase.skip_when)
        yield from _steps(plan, ("phases", index, "steps"), phase.steps)


def _owned_steps(plan: Plan) -> Iterator[Found]:
    for name, rollback in plan.rollbacks.items():
        yield from _steps(plan, ("rollbacks", name, "steps"), rollback.steps)
        for index, condition in enumerate(rollback.verify):
            yield from _condition(plan, ("rollbacks", name, "verify", index), condition)
    for name, operation in plan.operations.items():
        if operation.rollback is not None and operation.rollback not in plan.rollbacks:
            yield ("operations", name, "rollback"), _unknown("rollback", operation.rollback, plan.rollbacks)
        yield from _steps(plan, ("operations", name, "steps"), operation.steps)


def _steps(plan: Plan, at: Location, steps: tuple[Step, ...]) -> Iterator[Found]:
    for index, step in enumerate(steps):
        yield from _step(plan, (*at, index), step)


def _step(plan: Plan, at: Location, step: Step) -> Iterator[Found]:
    target = getattr(step, "target", None)
    if target is not None and target not in plan.targets:
        yield at, _unknown("target", target, plan.targets)
        return
    match step:
        case Gate() | Verify():
            for position, condition in enumerate(step.conditions):
                yield from _condition(
                    plan, (*at, "gate" if isinstance(step, Gate) else "verify", "all", position), condition
                )
            if all(condition.mode != "block" for condition in step.conditions):
                yield at, "no condition counts: all are warn or dry_run; a gate that cannot fail decides nothing"
        case Soak():
            for position, condition in enumerate(step.checkpoint):
                yield from _condition(plan, (*at, "soak", "checkpoint", position), condition)
        case SignOff() if step.rule not in plan.sign_offs:
            yield at, _unknown("sign-off rule", step.rule, plan.sign_offs)
        case Checklist() if step.list not in plan.checklists:
            yield at, _unknown("checklist", step.list, plan.checklists)
        case MakeReport() if step.report not in plan.reports:
            yield at, _unknown("report", step.report, plan.reports)
        case Repeat() if step.operation not in plan.operations:
            yield at, _unknown("operation", step.operation, plan.operations)
        case RecordBaseline():
            for metric in step.metrics:
                if metric not in plan.metrics:
                    yield at, _unknown("metric", metric, plan.metrics)
        case Notify():
            for channel in step.channels:
                if channel not in plan.channels:
                    yield at, _unknown("channel", channel, plan.channels)
        case Migrate() if plan.targets[step.target].migrations is None:
            yield at, f"found target {step.target!r} without migrations, expected its folder of migration files"
        case Activate() | Deactivate() | Waves():
            yield from _layers(plan, at, step)
        case _:
            return


def _layers(plan: Plan, at: Location, step: Activate | Deactivate | Waves) -> Iterator[Found]:
    target = plan.targets[step.target]
    for noun, named, known in (
        ("layer", step.layers, getattr(target, "layers", ())),
        ("instance", step.instances, getattr(target, "instances", ())),
    ):
        for name in named:
            if name not in known:
                yield at, _unknown(f"{noun} of target {step.target!r}", name, known)


def _people(plan: Plan) -> Iterator[Found]:
    held = {role for person in plan.people.values() for role in person.roles}
    for name, rule in plan.sign_offs.items():
        for index, role in enumerate(rule.roles):
            if role not in held:
                yield ("sign_offs", name, "roles", index), _unknown("role (held by one of people)", role, held)


def _schedules(plan: Plan) -> Iterator[Found]:
    known = set(plan.operations) | set(plan.reports)
    for name, schedule in plan.schedules.items():
        if schedule.run not in known:
            yield ("schedules", name, "run"), _unknown("operation or report", schedule.run, known)


def _order(plan: Plan) -> Iterator[Found]:
    """A weight that goes down on the way forward is a mistake; a rollout ends at its highest weight."""
    highest = 0
    for index, phase in enumerate(plan.phases):
        for position, weight in _weights(phase):
            if weight < highest:
                yield (
                    ("phases", index, "steps", position),
                    f"found weight {weight} % after {highest} %, expected weights to rise on the way forward",
                )
            highest = max(highest, weight)


def _weights(phase: Phase) -> Iterator[tuple[int, int]]:
    if phase.environment != "production":
        return
    for position, step in enumerate(phase.steps):
        if isinstance(step, SetWeight):
            yield position, step.to
