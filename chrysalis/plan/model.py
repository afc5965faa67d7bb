"""The plan: what a release goes through, what lets it go on, who signs, and what takes it back. Frozen once read.

A plan says everything by name, so that every reference can be checked before anything runs; `problems.py` does that.
`itinerary()` flattens it into the ordered steps that the journal and the decisions speak of.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from chrysalis.plan.parts import (
    Channel,
    Freeze,
    Metric,
    Name,
    Notifications,
    Percent,
    Person,
    Quota,
    Report,
    Schedule,
    SignOffRule,
    Source,
    Target,
    Window,
)
from chrysalis.plan.steps import (
    KIND_OF,
    Activate,
    AnyStep,
    Ramp,
    Repeat,
    SetFlag,
    SetWeight,
    SkipWhen,
    Soak,
    Step,
    WaitUntil,
    Waves,
)
from gates.condition import Spec
from gates.conditions import AnyCondition
from gates.ladder import Ladder
from gates.trigger import Trigger
from gates.units import Duration, format_duration


class Phase(Spec):
    """A part of the rollout with a risk of its own, a flow run of its own, and steps in order."""

    name: Name
    title: str = ""
    risk: Literal["low", "medium", "high", "managed"] = "medium"
    description: str = ""
    environment: str = "production"
    skip_when: AnyCondition | None = None
    triggers: dict[Name, Trigger] = Field(default_factory=dict, description="watched from this phase on")
    triggers_here: dict[Name, Trigger] = Field(
        default_factory=dict, description="watched in this phase only: limits that a later phase loosens or replaces"
    )
    rollback: str = Field(default="full", description="the rollback of the plan that takes this phase back")
    steps: tuple[AnyStep, ...] = Field(min_length=1)


class Rollback(Spec):
    """A way back. `undo` runs each done step's own compensation, newest first, before `steps`.

    It has happened only when every condition of `verify` holds; `limit` is the time it may take.
    """

    title: str = ""
    weight: Percent = 0
    undo: bool = True
    steps: tuple[AnyStep, ...] = ()
    verify: tuple[AnyCondition, ...] = ()
    limit: Duration | None = None
    when: str = ""


class Operation(Spec):
    """Something people or an alert may run by name while a rollout is on: an emergency command, a playbook, a drill."""

    title: str
    when: str = Field(default="", description="name of the trigger that suggests or starts it")
    automatic: bool = False
    rollback: str | None = Field(default=None, description="the rollback of the plan that this is, instead of steps")
    steps: tuple[AnyStep, ...] = ()
    limit: Duration | None = None

    @model_validator(mode="after")
    def _something_to_do(self) -> "Operation":
        if (self.rollback is None) == (not self.steps):
            raise ValueError("an operation has either steps or the name of a rollback")
        return self


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step at its place. `id` is stable as long as the plan's text is: `hybrid.03.set_weight`."""

    id: str
    phase: str
    index: int
    kind: str
    title: str
    spec: Step


class Plan(Spec):
    """A plan as written; see `docs/plan.md` for every field with an example."""

    chrysalis: Literal[1]
    name: Name
    title: str = ""
    service: str
    description: str = ""
    owner: str = ""
    document: str = ""
    targets: dict[Name, Target] = Field(default_factory=dict)
    sources: dict[Name, Source] = Field(default_factory=dict)
    metrics: dict[Name, Metric] = Field(default_factory=dict)
    ladders: dict[Name, Ladder] = Field(default_factory=dict)
    triggers: dict[Name, Trigger] = Field(default_factory=dict)
    decision_tree: tuple[str, ...] = Field(
        default=(), description="triggers in order: the first that fires decides, the others are ignored"
    )
    people: dict[Name, Person] = Field(default_factory=dict)
    sign_offs: dict[Name, SignOffRule] = Field(default_factory=dict)
    checklists: dict[Name, str] = Field(default_factory=dict, description="file beside the plan")
    channels: dict[Name, Channel] = Field(default_factory=dict)
    notifications: Notifications = Field(default_factory=Notifications)
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    quotas: dict[Name, Quota] = Field(default_factory=dict)
    phases: tuple[Phase, ...] = Field(min_length=1)
    rollbacks: dict[Name, Rollback] = Field(default_factory=lambda: {"full": Rollback()})
    operations: dict[Name, Operation] = Field(default_factory=dict)
    reports: dict[Name, Report] = Field(default_factory=dict)
    schedules: dict[Name, Schedule] = Field(default_factory=dict)
    retention: dict[str, str] = Field(default_factory=dict)

    @cached_property
    def itinerary(self) -> tuple[PlannedStep, ...]:
        """Every step in order; ramps, waves and repeats written out, and what a phase is skipped for before its steps."""
        return tuple(step for phase in self.phases for step in self._steps_of(phase))

    def _steps_of(self, phase: Phase) -> Iterator[PlannedStep]:
        if phase.skip_when is not None:
            spec = SkipWhen(condition=phase.skip_when)
            yield PlannedStep(f"{phase.name}.00.skip_when", phase.name, 0, "skip_when", "skip when", spec)
        yield from self._number(phase.name, phase.steps)

    def _number(self, owner: str, steps: tuple[Step, ...]) -> Iterator[PlannedStep]:
        for index, spec in enumerate((one for step in steps for one in self._write_out(step)), start=1):
            kind = KIND_OF[type(spec)]
            title = spec.name or _title(kind, spec)
            yield PlannedStep(f"{owner}.{index:02d}.{kind}", owner, index, kind, title, spec)

    def _write_out(self, step: Step) -> Iterator[Step]:
        match step:
            case Ramp():
                for weight in step.through:
                    yield SetWeight(to=weight, target=step.target, note=step.note, environment=step.environment)
                    yield Soak.model_validate({"for": step.each, "note": step.note, "environment": step.environment})
            case Waves():
                for instance in step.instances:
                    yield Activate(target=step.target, layers=step.layers, instances=(instance,), note=step.note)
                    yield Soak.model_validate({"for": step.each, "note": step.note})
            case Repeat() if step.operation in self.operations:
                yield from self._turns(step)
            case _:
                yield step

    def _turns(self, step: Repeat) -> Iterator[Step]:
        for turn in range(1, step.times + 1):
            name = f"{step.name or step.operation}_{turn}_of_{step.times}"
            yield WaitUntil(cron=step.cron, name=name, note=step.note)
            for one in self.operations[step.operation].steps:
                yield one.model_copy(update={"name": f"{name}_{one.name or KIND_OF[type(one)]}"})

    def rollback_steps(self, name: str) -> tuple[PlannedStep, ...]:
        """The steps of a rollback, numbered `rollback.NAME.01.kind`. Raises KeyError."""
        return tuple(self._number(f"rollback.{name}", self.rollbacks[name].steps))

    def operation_steps(self, name: str) -> tuple[PlannedStep, ...]:
        """The steps of an operation, numbered `operation.NAME.01.kind`. Raises KeyError."""
        return tuple(self._number(f"operation.{name}", self.operations[name].steps))

    @cached_property
    def all_steps(self) -> tuple[PlannedStep, ...]:
        """The itinerary, and the steps of every rollback and operation."""
        back = (step for name in self.rollbacks for step in self.rollback_steps(name))
        aside = (step for name in self.operations for step in self.operation_steps(name))
        return (*self.itinerary, *back, *aside)

    def values_of(self, target: str) -> frozenset[str]:
        """The named values that some step of the plan sets on a target: what its triggers may set or switch off."""
        flags = (step.spec for step in self.all_steps if isinstance(step.spec, SetFlag))
        return frozenset(name for spec in flags if spec.target == target for name in spec.values)

    def step(self, step_id: str) -> PlannedStep:
        """The step of that id. Raises KeyError."""
        return self._by_id[step_id]

    @property
    def step_ids(self) -> Collection[str]:
        """The ids of all steps."""
        return self._by_id.keys()

    @cached_property
    def _by_id(self) -> Mapping[str, PlannedStep]:
        return {step.id: step for step in self.all_steps}

    def phase(self, name: str) -> Phase:
        """The phase of that name. Raises ValueError."""
        return self.phases[self.phase_names.index(name)]

    @cached_property
    def phase_names(self) -> tuple[str, ...]:
        return tuple(phase.name for phase in self.phases)

    @cached_property
    def lasting_triggers(self) -> Mapping[str, Trigger]:
        """What is watched in every phase: the plan's triggers, and those of its quotas."""
        return dict(self.triggers) | {
            name: trigger for quota, spec in self.quotas.items() for name, trigger in spec.triggers(quota).items()
        }

    def triggers_at(self, phase: str) -> dict[str, Trigger]:
        """What is watched while `phase` is the current one: those of every phase, and those of the phases so far."""
        watched = dict(self.lasting_triggers)
        for name in self.phase_names[: self.phase_names.index(phase) + 1]:
            watched |= self.phase(name).triggers
        return watched | self.phase(phase).triggers_here


def _title(kind: str, spec: Step) -> str:
    match spec:
        case SetWeight():
            return f"set weight {spec.to} %"
        case Soak():
            return f"soak {format_duration(spec.duration)}"
        case _:
            return kind.replace("_", " ")
