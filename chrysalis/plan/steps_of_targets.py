"""Kinds of steps that are done on one kind of target: versions, layers on instances, databases, and operations by name."""

from typing import Literal

from pydantic import Field

from chrysalis.plan.parts import Scalar
from chrysalis.plan.step_base import Step
from gates.units import Duration


class BackUp(Step):
    """Make a backup and prove that it can be read."""

    target: str
    method: Literal["dump", "base"] = "dump"


class Deploy(Step):
    """Bring a version up beside the one that serves; no traffic yet."""

    target: str
    version: str = "{version}"


class Activate(Step):
    """Switch layers on, on the named instances; dependencies first."""

    target: str
    layers: tuple[str, ...] = Field(min_length=1)
    instances: tuple[str, ...] = Field(min_length=1)


class Deactivate(Step):
    """Switch layers off, dependents first."""

    target: str
    layers: tuple[str, ...] = Field(min_length=1)
    instances: tuple[str, ...] = Field(min_length=1)


class Waves(Step):
    """Layers onto one instance after another, each wave with its own soak."""

    target: str
    layers: tuple[str, ...] = Field(min_length=1)
    instances: tuple[str, ...] = Field(min_length=1)
    each: Duration


class Restore(Step):
    """Put the database back to the newest good backup or to a point in time, and prove its integrity."""

    target: str
    to: Literal["latest_backup", "phase_start", "rollout_start"] = "phase_start"
    limit: Duration | None = None


class ExportData(Step):
    """Write out what is new since a moment, so that it survives the way back."""

    target: str
    since: Literal["phase_start", "rollout_start"] = "rollout_start"


class ImportData(Step):
    """Bring back what was exported and fits the version that serves."""

    target: str
    compatible_with: str = "previous"


class Operate(Step):
    """An operation that a target offers by name: restart an instance, purge a cache, sync, read-only mode, scale.

    `undo` is the operation that takes it back, `nothing` for one that changes nothing.
    """

    target: str
    action: str
    arguments: dict[str, Scalar | tuple[str, ...]] = Field(default_factory=dict)
    undo: str | None = None


class Repeat(Step):
    """Run an operation of the plan by the clock, for a time: `{operation: r6, cron: "0 9 * * 1", times: 4}`.

    Written out, each turn is a `wait_until` and the operation's steps: every turn has entries of its own in the journal.
    """

    operation: str
    cron: str
    times: int = Field(ge=1, le=100)
