"""Whether the rollout as a whole is safe: it rises, somebody watches, and there is a way back."""

from collections.abc import Iterator

from chrysalis.plan import steps as kinds
from chrysalis.plan.document import Location
from chrysalis.plan.finding import Found, unknown
from chrysalis.plan.model import Phase, Plan, Rollback
from chrysalis.plan.parts import ROUTERS


def safety_problems(plan: Plan) -> Iterator[Found]:
    """What would let a plan run that nobody could stop or take back."""
    yield from _phases(plan)
    yield from _weights_rise(plan)
    yield from _watched(plan)
    yield from _irreversible(plan)
    for index, window in enumerate(plan.windows):
        if window.end <= window.start or not window.days:
            yield ("windows", index), "found a window in which no moment lies, expected days, and an end after its start"


def _phases(plan: Plan) -> Iterator[Found]:
    seen: set[str] = set()
    for index, phase in enumerate(plan.phases):
        if phase.name in seen:
            yield ("phases", index, "name"), f"found {phase.name!r} twice, expected every phase to have a name of its own"
        seen.add(phase.name)
        if phase.rollback not in plan.rollbacks:
            yield ("phases", index, "rollback"), unknown("rollback", phase.rollback, plan.rollbacks)
        elif (back := plan.rollbacks[phase.rollback].weight) > 0:
            said = f"found {phase.rollback!r}, which stops at {back} %; expected one that goes back to 0 %"
            yield ("phases", index, "rollback"), said
        elif not _does_something(plan, plan.rollbacks[phase.rollback]) and _change_of_production(phase) is not None:
            said = f"found {phase.rollback!r}, which takes nothing back; expected undo: true, steps, or traffic to move"
            yield ("phases", index, "rollback"), said
    for field, named in (("rollbacks", plan.rollbacks), ("operations", plan.operations)):
        for name in named:
            if name in plan.phase_names:
                yield (field, name), f"found {name!r}, the name of a phase too; expected another, steps are named after both"


def _does_something(plan: Plan, rollback: Rollback) -> bool:
    routed = any(isinstance(target, ROUTERS) for target in plan.targets.values())
    return rollback.undo or bool(rollback.steps) or routed


def _weights_rise(plan: Plan) -> Iterator[Found]:
    """A weight that does not go up on the way forward is a mistake, and a ramp that does not is never walked."""
    highest: dict[str, int] = {}
    for index, phase in enumerate(plan.phases):
        if phase.environment != "production":
            continue
        for position, step in enumerate(phase.steps):
            if step.environment not in (None, "production"):
                continue
            at: Location = ("phases", index, "steps", position, kinds.KIND_OF[type(step)])
            weights: tuple[int, ...]
            match step:
                case kinds.SetWeight():
                    weights, at = (step.to,), (*at, "to")
                case kinds.Ramp():
                    weights, at = step.through, (*at, "through")
                case _:
                    continue
            for place, weight in enumerate(weights):
                reached = highest.get(step.target, -1)
                where = (*at, place) if isinstance(step, kinds.Ramp) else at
                if weight < reached or (place and weight == weights[place - 1]):
                    said = f"found weight {weight} % after {reached} %, expected weights to rise on the way forward"
                    yield where, said
                highest[step.target] = max(reached, weight)


def _watched(plan: Plan) -> Iterator[Found]:
    """Where production is changed, at least one trigger must look on that takes something back by itself."""
    for index, phase in enumerate(plan.phases):
        changes = _change_of_production(phase)
        if changes is None:
            continue
        watching = [
            trigger for trigger in plan.triggers_at(phase.name).values() if not trigger.manual and not trigger.respond.notice
        ]
        if not watching:
            said = "found a change of production that nobody watches, expected a trigger with a response that takes it back"
            yield ("phases", index, "steps", changes), said


def _change_of_production(phase: Phase) -> int | None:
    """The position of the first step that lets users reach what is new."""
    if phase.environment != "production":
        return None
    for position, step in enumerate(phase.steps):
        match step:
            case _ if step.environment not in (None, "production"):
                continue
            case kinds.SetWeight(to=weight) if weight > 0:
                return position
            case kinds.Ramp() | kinds.Activate() | kinds.Waves():
                return position
            case kinds.SetRoute(enabled=True):
                return position
            case _:
                continue
    return None


def _irreversible(plan: Plan) -> Iterator[Found]:
    """What nothing takes back comes after a signed point of no return, and only on the way forward."""
    for field, owners in (("rollbacks", plan.rollbacks), ("operations", plan.operations)):
        for name, owner in owners.items():
            for position, step in enumerate(owner.steps):
                if isinstance(step, kinds.SignOff) and step.point_of_no_return:
                    at = (field, name, "steps", position, "sign_off", "point_of_no_return")
                    yield at, "found a point of no return aside from the way forward, expected it in a phase"
    signed = False
    for index, phase in enumerate(plan.phases):
        for position, step in enumerate(phase.steps):
            signed = signed or (isinstance(step, kinds.SignOff) and step.point_of_no_return)
            if step.irreversible and not signed:
                where = ("phases", index, "steps", position, kinds.KIND_OF[type(step)], "irreversible")
                yield where, "found no sign-off before it, expected a sign_off step with point_of_no_return: true"
