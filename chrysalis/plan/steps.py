"""The kinds of steps a phase is made of. One Spec per kind.

A step is written as one key that names its kind: `- set_weight: 30%`. Each has an optional `name`, unique in its phase,
and says itself how it is undone where its kind cannot know.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from chrysalis.plan.parts import Percent, Scalar, Severity
from chrysalis.plan.step_base import Step
from chrysalis.plan.steps_of_targets import (
    Activate,
    BackUp,
    Deactivate,
    Deploy,
    ExportData,
    ImportData,
    Operate,
    Repeat,
    Restore,
    Waves,
)
from chrysalis.plan.steps_of_tests import Check, LoadTest, SmokeTest
from gates.conditions import AnyCondition
from gates.keyed import keyed_union
from gates.units import Duration

__all__ = [
    "KIND_OF",
    "STEP_KINDS",
    "Activate",
    "AnyStep",
    "BackUp",
    "Check",
    "Checklist",
    "Deactivate",
    "Deploy",
    "ExportData",
    "Gate",
    "ImportData",
    "LoadTest",
    "MakeReport",
    "Migrate",
    "Notify",
    "Operate",
    "Ramp",
    "RecordBaseline",
    "Repeat",
    "Restore",
    "RunCommand",
    "SetFlag",
    "SetMode",
    "SetRoute",
    "SetWeight",
    "SignOff",
    "SkipWhen",
    "SmokeTest",
    "Soak",
    "Step",
    "TagVersion",
    "Verify",
    "WaitUntil",
    "Waves",
]


class Migrate(Step):
    """Bring the database's schema forward, one file after another, each with its way back."""

    target: str
    to: int | None = Field(default=None, description="version number; the newest when not given")


class SetFlag(Step):
    """Change named values of a switchboard: configuration, feature switches, environment."""

    target: str
    values: dict[str, Scalar] = Field(min_length=1)


class SetMode(Step):
    """Move a ladder of the plan to one of its modes, from any rung, also one that it does not leave by itself."""

    ladder: str
    to: str


class SetWeight(Step):
    """Set the canary's share of the traffic, and read it back. `- set_weight: 30%` is the short form."""

    to: Percent
    target: str = "traffic"
    audience: str | None = Field(default=None, description="cohort that the share is taken from")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, int | float | str) else value


class Ramp(Step):
    """Several weights one after another, each with its own soak: `{through: [75%, 80%, 85%], each: 1d}`."""

    through: tuple[Percent, ...] = Field(min_length=1)
    each: Duration
    target: str = "traffic"


class SetRoute(Step):
    """Who reaches the canary besides the weighted share: a header, a cookie, a cohort; or nobody."""

    target: str = "traffic"
    header: str | None = None
    cohort: str | None = None
    enabled: bool = True


class Soak(Step):
    """Wait while the watch looks on. Only time in which it really looked counts."""

    duration: Duration = Field(alias="for")
    every: Duration | None = Field(default=None, description="how often the checkpoint is judged and recorded")
    checkpoint: tuple[AnyCondition, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"for": value} if isinstance(value, str) else value


class WaitUntil(Step):
    """Wait for the next moment of a cron line (UTC). `- wait_until: "0 9 * * 1"` is the short form."""

    cron: str

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"cron": value} if isinstance(value, str) else value


class SkipWhen(Step):
    """What a phase with `skip_when` begins with; not written as a step of its own."""

    condition: AnyCondition


class Gate(Step):
    """Conditions that must hold before the next step. FAIL does `on_fail`; not known holds, at most `within`, then pages."""

    conditions: tuple[AnyCondition, ...] = Field(alias="all", min_length=1)
    within: Duration | None = None
    on_fail: Literal["roll_back", "hold"] = "roll_back"


class Checklist(Step):
    """Items of a checklist that must be checked or attested. It holds until all are; an item found wrong does `on_fail`."""

    list: str
    sections: tuple[str, ...] = Field(default=(), description="all when empty")
    on_fail: Literal["roll_back", "hold"] = "hold"
    fresh: bool = Field(default=False, description="what was attested before this phase began does not count")
    again: Duration = Field(default="5m", validate_default=True, description="how often it is checked anew while it holds")
    within: Duration | None = None


class SignOff(Step):
    """People sign, with what they saw. `rule` names one of the plan's sign-off rules."""

    rule: str
    question: str = ""
    point_of_no_return: bool = False


class Notify(Step):
    """Tell people. A notice that is lost never stops a rollout."""

    message: str
    severity: Severity = "info"
    channels: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"message": value} if isinstance(value, str) else value


class RunCommand(Step):
    """Run a program: an argument list, never a shell. `undo` is the list that takes it back, `nothing` for a check."""

    run: tuple[str, ...] = Field(min_length=1)
    undo: tuple[str, ...] | Literal["nothing"] | None = None
    timeout: Duration = Field(default="10m", validate_default=True)
    environment_variables: tuple[str, ...] = Field(default=(), description="names passed through; values are redacted")


class TagVersion(Step):
    """Mark the version in the repository: a tag, and a branch to archive it."""

    tag: str
    branch: str | None = None
    repository: str = "${SERVICE_REPOSITORY}"


class RecordBaseline(Step):
    """Keep what a metric was over a window, to compare with later."""

    baseline: str
    metrics: tuple[str, ...] = Field(min_length=1)
    over: Duration


class Verify(Step):
    """Conditions that must hold at once, as proof that something is done; a failure pages."""

    conditions: tuple[AnyCondition, ...] = Field(alias="all", min_length=1)
    within: Duration = Field(default="5m", validate_default=True)


class MakeReport(Step):
    """Write one of the plan's reports from what was recorded."""

    report: str


STEP_KINDS: dict[str, type[Step]] = {
    "migrate": Migrate,
    "back_up": BackUp,
    "deploy": Deploy,
    "activate": Activate,
    "deactivate": Deactivate,
    "set_flag": SetFlag,
    "set_mode": SetMode,
    "smoke_test": SmokeTest,
    "load_test": LoadTest,
    "set_weight": SetWeight,
    "ramp": Ramp,
    "waves": Waves,
    "set_route": SetRoute,
    "soak": Soak,
    "wait_until": WaitUntil,
    "gate": Gate,
    "checklist": Checklist,
    "sign_off": SignOff,
    "notify": Notify,
    "run_command": RunCommand,
    "tag_version": TagVersion,
    "record_baseline": RecordBaseline,
    "restore": Restore,
    "export_data": ExportData,
    "import_data": ImportData,
    "operate": Operate,
    "repeat": Repeat,
    "verify": Verify,
    "report": MakeReport,
}
AnyStep = keyed_union("step", dict(STEP_KINDS))
KIND_OF: dict[type[Step], str] = {SkipWhen: "skip_when", **{spec: kind for kind, spec in STEP_KINDS.items()}}
