"""Whether the times of a plan can be kept: nothing takes 0s that has to take some, nothing outlasts its own limit."""

from collections.abc import Iterator
from datetime import timedelta

from chrysalis.plan import steps as kinds
from chrysalis.plan.document import Location
from chrysalis.plan.finding import Found
from chrysalis.plan.model import Operation, Plan, PlannedStep, Rollback
from chrysalis.plan.step_base import Step
from gates.units import format_duration

_ABOVE_0 = "found 0s, expected a time above 0s"
_SPANS = ("timeout", "duration", "limit", "over", "each")


def limit_problems(plan: Plan) -> Iterator[Found]:
    """Times of 0s and limits that cannot be kept."""
    for name, source in plan.sources.items():
        for field in ("timeout", "scrape_interval"):
            if getattr(source, field, None) == timedelta(0):
                yield ("sources", name, field), _ABOVE_0
    for name, rollback in plan.rollbacks.items():
        yield from _limit(("rollbacks", name), rollback, plan.rollback_steps(name))
    for name, operation in plan.operations.items():
        yield from _limit(("operations", name), operation, plan.operation_steps(name))


def span_problems(at: Location, step: Step) -> Iterator[Found]:
    """What a step says of time that cannot be meant."""
    for field in _SPANS:
        if getattr(step, field, None) == timedelta(0):
            yield (*at, "for" if isinstance(step, kinds.Soak) else field), _ABOVE_0
    if isinstance(step, kinds.Soak) and step.every is not None and not timedelta(0) < step.every <= step.duration:
        yield (*at, "every"), "expected a time above 0s and no longer than the soak; or no checkpoint would ever come"


def _limit(at: Location, owner: Rollback | Operation, steps: tuple[PlannedStep, ...]) -> Iterator[Found]:
    if owner.limit is None:
        return
    waits = sum((step.spec.duration for step in steps if isinstance(step.spec, kinds.Soak)), timedelta(0))
    if owner.limit == timedelta(0):
        yield (*at, "limit"), _ABOVE_0
    elif waits > owner.limit:
        found, limit = format_duration(waits), format_duration(owner.limit)
        yield (*at, "limit"), f"found soaks of {found} > limit {limit}, expected a limit that can be kept"
