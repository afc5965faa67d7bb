"""The form of a profile: all that a system's sandbox has besides the parts that every sandbox has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chrysalis.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from chrysalis.sandbox.layout import Layout
    from chrysalis.sandbox.parts import Part
    from chrysalis.sandbox.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Incident:
    """What goes wrong in the second rollout of the demo, so that it is taken back."""

    during: str
    """The phase and the name of the soak in which it begins, such as `hybrid.at_50`."""
    said: str
    """In a line, for who looks on."""
    begin: Callable[["Sandbox"], object]
    end: Callable[["Sandbox"], object]


def canary_fault(during: str, said: str, **faults: float | str | bool) -> Incident:
    """Faults of the new version."""
    return Incident(
        during,
        said,
        lambda sandbox: sandbox.fault("canary", **faults),
        lambda sandbox: sandbox.clear_faults("canary"),
    )


def _no_variables(_: "Sandbox") -> Mapping[str, str]:
    return {}


def _no_parts(_: "Layout") -> "list[Part]":
    return []


def _no_command(_: "Sandbox", __: Sequence[str]) -> int:
    return 64


def _nothing(_: "Sandbox") -> None:
    return None


@dataclass(frozen=True, slots=True)
class Profile:
    """One system. `name` is that of its plan; `speed` is of the plan's clock, so that its weeks fit into a minute."""

    name: str
    speed: float
    settings: SandboxSettings = field(default_factory=SandboxSettings)
    """Of the sandbox at its start: the service's name, load, headers, instances."""
    service: str = ""
    """`module:Class` of what its service has besides (`chrysalis.sandbox.service.extension`); empty for nothing."""
    parts: Callable[["Layout"], "list[Part]"] = _no_parts
    """Further processes; called once, in the process that keeps them."""
    prepare: Callable[["Sandbox"], Mapping[str, str]] = _no_variables
    """Files, tables and whatever else a rollout finds there; returns the variables that the plan needs besides."""
    command: Callable[["Sandbox", Sequence[str]], int] = _no_command
    """What `${SERVICE_COMMAND}` does with its arguments; returns the exit code."""
    between: Callable[["Sandbox"], object] = _nothing
    """What follows a completed rollout before the next version can come."""
    surveys: Mapping[str, float] = field(default_factory=dict)
    """What people enter: metric of a manual source to its value, in the metric's unit."""
    evidence: str = "seen in the sandbox"
    """What people give as evidence when they attest an item of a checklist."""
    incident: Incident | None = None
    timeout_s: float = 400.0
    """Real seconds that one rollout of the demo may take, on a machine that is busy with other things."""

    @property
    def sandbox_settings(self) -> SandboxSettings:
        """The settings, with the name of the profile, so that every part of the sandbox finds it."""
        return replace(self.settings, profile=self.name, plan_speed=self.speed)
