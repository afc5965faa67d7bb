"""Every place at which something is killed, made from the plan: each journaled boundary and each effect of each step.

A mark is a place that a process passes, `PLACE/WHAT/WHEN`: a step, a phase or a part of the way back; an entry of the audit
or an effect on a target; before or after it. Boundaries of the ledger are `uncommitted` (the transaction is written and not
committed) and `committed`. What a run really passes is recorded in a run without kills and compared with what stands here,
both ways, so that no boundary is left out and none is invented.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chrysalis.plan import Plan, PlannedStep
from chrysalis.plan.steps import SetFlag, SetRoute, SetWeight

COMMIT = ("uncommitted", "committed")
AROUND = ("before", "after")

EFFECTS: Mapping[str, tuple[tuple[str, Sequence[str]], ...]] = {
    "migrate": (("migration", ("before", "inside", "after")),),
    "set_flag": (("patch", AROUND),),
    "set_route": (("route_file", AROUND),),
    "set_weight": (("route_file", AROUND), ("position_set", COMMIT)),
    "smoke_test": (("requests", AROUND),),
    "notify": (("notice_told", COMMIT),),
    "soak": (("wait_opened", COMMIT), ("waiting", ("while",))),
    "run_command": (("command", ("before", "started", "after")),),
    "tag_version": (("command", ("before", "started", "after")),),
    "record_baseline": (("measured", AROUND), ("baseline_recorded", COMMIT)),
    "gate": (("measured", AROUND), ("findings_recorded", COMMIT)),
    "verify": (("measured", AROUND), ("findings_recorded", COMMIT)),
    "sign_off": (("wait_opened", COMMIT), ("wait_closed", COMMIT)),
}
UNDO_EFFECTS: Mapping[str, tuple[tuple[str, Sequence[str]], ...]] = {
    "migrate": EFFECTS["migrate"],
    "set_flag": EFFECTS["set_flag"],
    "set_route": EFFECTS["set_route"],
    "set_weight": (),
    "run_command": (),
    "tag_version": EFFECTS["tag_version"],
}
LOOKED_AGAIN = (("measured", AROUND),)
"""Before the last signature counts, what was shown in its phase is judged again."""
JOURNAL = (("step_begun", COMMIT), ("step_ended", COMMIT))


@dataclass(frozen=True, slots=True)
class Mark:
    """One place that a process passes. `process` is whose it is: `flow`, `watch` or `person`."""

    process: str
    place: str
    what: str
    when: str

    def __str__(self) -> str:
        return f"{self.process}:{self.place}/{self.what}/{self.when}"


@dataclass(frozen=True, slots=True)
class Point:
    """`victim` is killed when a process passes `mark`. `way` is `forward` or `back`."""

    way: str
    victim: str
    mark: Mark

    def __str__(self) -> str:
        return f"{self.way} kill {self.victim} at {self.mark}"


def forward_marks(plan: Plan) -> list[Mark]:
    """What the processes of a rollout pass until it is complete."""
    marks = [
        *_marks("person", "start", [("rollout_started", COMMIT)]),
        *_marks("flow", "rollout", [("token_taken", COMMIT)]),
    ]
    for phase in plan.phases:
        entered: list[tuple[str, Sequence[str]]] = [("position_set", COMMIT)]
        if phase is plan.phases[0] or any(step.kind == "sign_off" and step.phase == phase.name for step in plan.itinerary):
            entered.append(("state_set", COMMIT))  # it runs: from its start, and again after it waited for people
        exposes = any(isinstance(step, SetWeight | SetFlag | SetRoute) for step in phase.steps)
        marks += _marks("flow", phase.name, [*entered, *([("guard_armed", COMMIT)] if exposes else [])])
        shown = False
        for step in (one for one in plan.itinerary if one.phase == phase.name):
            marks += _step(step)
            shown = shown or _is_judged(step)
            if step.kind == "sign_off" and shown:
                marks += _marks("flow", step.id, LOOKED_AGAIN)
    return [
        *marks,
        *_marks("flow", "rollout.wait", [("state_set", COMMIT)]),
        *_marks("flow", "rollout.end", [("state_set", COMMIT)]),
    ]


def sometimes(plan: Plan) -> list[Mark]:
    """What is passed only where a gate has to wait, because its measurements are not there yet: tried when it happens."""
    marks: list[Mark] = []
    for step in plan.itinerary:
        if step.kind == "gate":
            marks += _marks("flow", step.id, [("wait_opened", COMMIT), ("waiting", ("while",))])
            marks += _marks("watch", step.id, [("wait_closed", COMMIT)])
        if step.kind == "sign_off":
            marks += _marks("flow", step.id, [("findings_recorded", COMMIT)])
    return marks


def by_chance(plan: Plan) -> list[Mark]:
    """What depends on when the watch looks at a sign-off: it may find that what was shown is no longer so."""
    marks: list[Mark] = []
    for step in plan.itinerary:
        if step.kind in ("gate", "verify"):
            marks += _marks("watch", step.id, [("findings_recorded", COMMIT)])
        if step.kind == "set_weight":  # it waits while no watch is alive
            marks += [
                *_marks("flow", step.id, [("wait_opened", COMMIT)]),
                *_marks("watch", step.id, [("wait_closed", COMMIT)]),
            ]
        if step.kind == "sign_off":
            void: list[tuple[str, Sequence[str]]] = [("sign_off_void", COMMIT), ("notice_told", COMMIT)]
            marks += [*_marks("flow", step.id, void), *_marks("watch", step.id, void)]
    return marks


def back_marks(plan: Plan, done: Iterable[PlannedStep]) -> list[Mark]:
    """What they pass on the way back from behind these steps, set off by hand: the watch acts, the flow follows."""
    asked: list[tuple[str, Sequence[str]]] = [("request_made", COMMIT)]
    marks = _marks("person", "set_off", asked)
    lower = [("token_taken", COMMIT), ("route_file", AROUND), ("acted", COMMIT), ("position_set", COMMIT)]
    marks += _marks(
        "watch", "response", [*lower, ("notice_told", COMMIT), ("request_made", COMMIT), ("request_settled", COMMIT)]
    )
    if plan.notifications.escalation:
        marks += _marks("watch", "escalation", [("notice_escalated", COMMIT)])
    marks += _marks("flow", "rollout", [("token_taken", COMMIT)])
    marks += _marks("flow", "rollback", [("state_set", COMMIT), ("step_begun", COMMIT), ("notice_told", COMMIT)])
    marks += _marks("flow", "rollback.weight", JOURNAL)
    for step in reversed(list(done)):
        if step.kind in UNDO_EFFECTS:
            marks += _marks("flow", f"undo.{step.id}", [JOURNAL[0], *UNDO_EFFECTS[step.kind], JOURNAL[1]])
    for step in plan.rollback_steps("full"):
        marks += _step(step)
    judged: list[tuple[str, Sequence[str]]] = [("measured", AROUND)] if plan.rollbacks["full"].verify else []
    marks += _marks("flow", "rollback.verify", [JOURNAL[0], *judged, JOURNAL[1]])
    marks += _marks("flow", "rollback.end", [("step_ended", COMMIT), ("notice_told", COMMIT)])
    ended = [("state_set", COMMIT), ("wait_closed", COMMIT), ("request_settled", COMMIT)]
    return [*marks, *_marks("flow", "rollout.end", ended)]


def journaled(marks: Sequence[Mark]) -> list[Mark]:
    """Where a step has begun and where it has ended, with no lock held."""
    return [mark for mark in marks if mark.what in ("step_begun", "step_ended") and mark.when == "committed"]


def bystanders(marks: Sequence[Mark]) -> list[Mark]:
    """For who has no part in a step's transactions: where each step is begun, inside it, and where it has ended."""
    chosen: list[Mark] = []
    for place in dict.fromkeys(mark.place for mark in marks if mark.process == "flow"):
        mine = [mark for mark in marks if mark.process == "flow" and mark.place == place]
        begun = [mark for mark in mine if (mark.what, mark.when) == ("step_begun", "committed")]
        ended = [mark for mark in mine if (mark.what, mark.when) == ("step_ended", "committed")]
        inside = [mark for mark in mine if mark.what not in ("step_begun", "step_ended")]
        chosen += [*begun, *inside[:1], *ended]
    return chosen


def _step(step: PlannedStep) -> list[Mark]:
    if step.kind not in EFFECTS:
        raise ValueError(f"{step.id}: the effects of {step.kind} have no marks yet; enter them in EFFECTS and marks.py")
    marks = _marks("flow", step.id, [JOURNAL[0], *EFFECTS[step.kind], JOURNAL[1]])
    if step.kind == "soak":
        checked = [("findings_recorded", COMMIT)] if _is_judged(step) else []
        marks += _marks("watch", step.id, [*checked, ("ticked", COMMIT), ("wait_closed", COMMIT)])
    if step.kind == "sign_off":
        marks += _marks("person", step.id, [("signed", COMMIT)])
    return marks


def _is_judged(step: PlannedStep) -> bool:
    return step.kind in ("gate", "verify") or bool(getattr(step.spec, "checkpoint", ()))


def _marks(process: str, place: str, parts: Iterable[tuple[str, Sequence[str]]]) -> list[Mark]:
    return [Mark(process, place, what, when) for what, whens in parts for when in whens]


def walks(marks: Sequence[Mark]) -> Iterator[tuple[Mark, ...]]:
    """The marks, dealt out so that each of these groups has at most one of every place and process.

    A group is one rollout: each of its steps crashes once, and goes on from one crash only.
    """
    places: dict[tuple[str, str], list[Mark]] = {}
    for mark in marks:
        places.setdefault((mark.process, mark.place), []).append(mark)
    for nth in range(max(map(len, places.values()), default=0)):
        yield tuple(those[nth] for those in places.values() if nth < len(those))
