"""Whether the parts of a plan fit each other: every name that is used is defined, every unit fits, every clock can tick.

What a step needs is in `problems_steps.py`, whether the rollout as a whole is safe in `problems_safety.py`, whether its ways
back can work in `problems_way_back.py`, whether people can sign in `problems_people.py`, and whether times can be kept in
`problems_limits.py`. Each finding is a location in the document, and a message of what was found and what was expected.
"""

from collections.abc import Iterator

from chrysalis.plan.document import Location
from chrysalis.plan.finding import (
    Found,
    condition_problems,
    cron_problem,
    each_known,
    metric_facts,
    placed_triggers,
    unknown,
)
from chrysalis.plan.model import Plan
from chrysalis.plan.parts import ROUTERS, SWITCHBOARDS
from chrysalis.plan.problems_limits import limit_problems
from chrysalis.plan.problems_people import people_problems
from chrysalis.plan.problems_safety import safety_problems
from chrysalis.plan.problems_steps import step_problems
from chrysalis.plan.problems_way_back import way_back_problems
from gates.ladder import Ladder
from gates.response import ReduceWeight, RollBack, SetValue, StepDown, SwitchOff, Throttle
from gates.trigger import Trigger


def problems_in(plan: Plan) -> list[Found]:
    """Everything that does not fit, with the place in the document."""
    return [
        *_measurements(plan),
        *_messages(plan),
        *_triggers(plan),
        *_clocks(plan),
        *step_problems(plan),
        *safety_problems(plan),
        *way_back_problems(plan),
        *people_problems(plan),
        *limit_problems(plan),
    ]


def _measurements(plan: Plan) -> Iterator[Found]:
    for name, metric in plan.metrics.items():
        if metric.source not in plan.sources:
            yield ("metrics", name, "source"), unknown("source", metric.source, plan.sources)
        if metric.interval_s <= 0:
            yield ("metrics", name, "interval"), "found 0s, expected the spacing of the samples, above 0s"
        if isinstance(metric.query, dict) and not metric.query:
            yield ("metrics", name, "query"), "found no query, expected one for canary, stable or all"
        if metric.rate_window_s <= 0:
            yield ("metrics", name, "rate_over"), "found 0s, expected the window that fills {window}, above 0s"
    for name, ladder in plan.ladders.items():
        yield from _ladder(plan, ("ladders", name), ladder)
    yield from _quotas(plan)


def _ladder(plan: Plan, at: Location, ladder: Ladder) -> Iterator[Found]:
    sets_values = any(rung.values for rung in ladder.rungs)
    if (ladder.target or sets_values) and ladder.target not in plan.targets:
        yield (*at, "target"), unknown("target", ladder.target, plan.targets)
    elif sets_values and not isinstance(plan.targets[ladder.target], SWITCHBOARDS):
        yield (*at, "target"), _no_values(plan, ladder.target)
    for index, rung in enumerate(ladder.rungs):
        for field, crossing in (("enter", rung.enter), ("recover", rung.recover)):
            if crossing is not None:
                yield from condition_problems(plan, (*at, "rungs", index, field, "when"), crossing.when)


def _quotas(plan: Plan) -> Iterator[Found]:
    for name, quota in plan.quotas.items():
        at: Location = ("quotas", name)
        metric = plan.metrics.get(quota.metric)
        if metric is None:
            yield (*at, "metric"), unknown("metric", quota.metric, plan.metrics)
            continue
        try:
            quota.limit.to(metric.unit)
        except ValueError as error:
            yield (*at, "limit"), f"{quota.metric}: {error}"
        if quota.warn > quota.stop:
            yield (*at, "warn"), f"found warn at {quota.warn} % after stop at {quota.stop} %, expected the warning first"


def _messages(plan: Plan) -> Iterator[Found]:
    for severity, channels in plan.notifications.routes.items():
        yield from each_known(("notifications", "routes", severity), "channel", channels, plan.channels)
    before_s = -1.0
    for index, step in enumerate(plan.notifications.escalation):
        at: Location = ("notifications", "escalation", index)
        yield from each_known((*at, "to"), "channel", step.to, plan.channels)
        if step.after.total_seconds() <= before_s:
            yield (*at, "after"), "expected each step of the escalation later than the one before it"
        before_s = step.after.total_seconds()
    for name, report in plan.reports.items():
        yield from each_known(("reports", name, "audience"), "channel", report.audience, plan.channels)


def _triggers(plan: Plan) -> Iterator[Found]:
    first: dict[str, Location] = {}
    for at, name, trigger in placed_triggers(plan):
        if name in first:
            yield at, f"found trigger {name!r} twice, expected every trigger to have a name of its own in the plan"
        first.setdefault(name, at)
        if at[0] != "quotas":  # its metric and limit are looked at where they are written
            yield from _judged(plan, at, trigger)
        yield from each_known((*at, "notify"), "channel", trigger.notify, plan.channels)
        yield from ((at + inner, message) for inner, message in _response(plan, trigger))
    for index, name in enumerate(plan.decision_tree):
        if name not in first:
            yield ("decision_tree", index), unknown("trigger", name, first)
        if name in plan.decision_tree[:index]:
            yield ("decision_tree", index), f"found {name!r} twice, expected each trigger once"
    for name, operation in plan.operations.items():
        if operation.when and operation.when not in first:
            yield ("operations", name, "when"), unknown("trigger", operation.when, first)
        if operation.automatic and not operation.when:
            yield ("operations", name, "automatic"), "found no `when`, expected the trigger that starts it by itself"


def _judged(plan: Plan, at: Location, trigger: Trigger) -> Iterator[Found]:
    placed: list[Found] = []
    if trigger.when is not None:
        placed += condition_problems(plan, (*at, "when"), trigger.when)
    if trigger.recover is not None:
        placed += condition_problems(plan, (*at, "recover", "when"), trigger.recover.when)
    yield from placed
    said = {message for _, message in placed}
    yield from (((*at, "when"), message) for message in trigger.problems(metric_facts(plan)) if message not in said)


def _no_values(plan: Plan, target: str) -> str:
    return f"found target {target!r}, a {type(plan.targets[target]).__name__}, expected one that has values to set"


def _response(plan: Plan, trigger: Trigger) -> Iterator[Found]:
    respond = trigger.respond
    at: Location = ("respond", respond.kind)
    match respond:
        case ReduceWeight() if not any(isinstance(target, ROUTERS) for target in plan.targets.values()):
            yield at, "found no target that splits traffic, expected one whose weight can be reduced"
        case RollBack() if respond.use is not None and respond.use not in plan.rollbacks:
            yield (*at, "use"), unknown("rollback", respond.use, plan.rollbacks)
        case StepDown() if respond.ladder not in plan.ladders:
            yield (*at, "ladder"), unknown("ladder", respond.ladder, plan.ladders)
        case StepDown() if respond.to is not None and respond.to not in plan.ladders[respond.ladder].modes:
            modes = plan.ladders[respond.ladder].modes
            yield (*at, "to"), unknown(f"mode of ladder {respond.ladder}", respond.to, modes)
        case Throttle() | SetValue() | SwitchOff() if respond.target not in plan.targets:
            yield (*at, "target"), unknown("target", respond.target, plan.targets)
        case Throttle() | SetValue() | SwitchOff() if not isinstance(plan.targets[respond.target], SWITCHBOARDS):
            yield (*at, "target"), _no_values(plan, respond.target)
        case SwitchOff() if respond.feature not in plan.values_of(respond.target):
            known = plan.values_of(respond.target)
            yield (*at, "feature"), unknown(f"value that the plan sets on {respond.target}", respond.feature, known)
        case _:
            return


def _clocks(plan: Plan) -> Iterator[Found]:
    known = set(plan.operations) | set(plan.reports)
    for name, schedule in plan.schedules.items():
        if schedule.run not in known:
            yield ("schedules", name, "run"), unknown("operation or report", schedule.run, known)
        if schedule.only_when is not None:
            yield from condition_problems(plan, ("schedules", name, "only_when"), schedule.only_when)
        if schedule.cron is not None and (wrong := cron_problem(schedule.cron)):
            yield ("schedules", name, "cron"), wrong
        if schedule.every is not None and schedule.every.total_seconds() <= 0:
            yield ("schedules", name, "every"), "found 0s, expected a time above 0s"
