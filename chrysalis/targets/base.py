"""What a rollout changes. Small ports; every write is verified by reading back, and carries a stamp.

A write counts when the target reads back the same, not when the request returned. A target remembers the stamp of the last
write and refuses one whose token is older: a worker that was thought dead cannot undo what its successor did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """Who writes: the rollout's fencing token, the rollout, and the step. As text `crystal-7:12:hybrid.03`."""

    token: int
    rollout_id: str
    step_id: str

    def __str__(self) -> str:
        return f"{self.rollout_id}:{self.token}:{self.step_id}"

    @classmethod
    def parse(cls, text: str) -> "Stamp | None":
        """The stamp written as `text`, or None where the text is not one (a write by somebody else)."""
        parts = text.split(":", 2)
        if len(parts) != 3 or not parts[1].isdigit():
            return None
        return cls(int(parts[1]), parts[0], parts[2])


@dataclass(frozen=True, slots=True)
class Split:
    """What a router is doing: the canary's share of the traffic in percent (0-100), and who wrote it.

    `bypassed` is true while a route (a header's) reaches the canary whatever the share is.
    """

    canary_percent: int
    stamp: Stamp | None = None
    bypassed: bool = False

    @property
    def reaches_canary(self) -> bool:
        """Whether any request does."""
        return self.canary_percent > 0 or self.bypassed


@dataclass(frozen=True, slots=True)
class SideCounters:
    """A router's own running totals for one side since it started."""

    completed: int
    errors: int
    """Responses 5xx, connect failures included."""
    in_flight: int


class TrafficRouter(Protocol):
    """Something that splits traffic between stable and canary."""

    def read(self) -> Split:
        """What the router itself says it does now. Raises TargetUnavailable."""

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Set the share and read it back; safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """

    def counters(self) -> Mapping[str, SideCounters]:
        """The running totals by side, `canary` and `stable`. Raises TargetUnavailable."""


Value = str | float | bool | None


class Switchboard(Protocol):
    """Something with named values: a configuration API, feature flags, environment variables."""

    def read(self) -> Mapping[str, Value]:
        """All values now. Raises TargetUnavailable."""

    def write(self, changes: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        """Change the named values, read all back; safe to repeat. Raises as TrafficRouter.write."""
