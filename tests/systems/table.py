"""The form of a system's table: cases, each a rollout with what is done to it, what must be seen of it, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.systems.running import Running

MINUTE_S = 60.0


@dataclass(frozen=True)
class Move:
    """One thing that is done, and what must be seen before the next one is. `until` returns what it saw, or nothing."""

    said: str
    do: "Callable[[Running], object]" = field(default=lambda _: None)
    until: "Callable[[Running], object]" = field(default=lambda _: True)
    within_s: float = 60.0
    """Real seconds."""


@dataclass(frozen=True)
class Case:
    """One rollout. Its record is a list of lines (`Running.record`), matched with `*` for anything."""

    name: str
    moves: tuple[Move, ...] = ()
    outcome: Literal["completed", "rolled_back", "rejected", "aborted"] = "rolled_back"
    order: tuple[str, ...] = ()
    """Lines that the record must have, one after another."""
    never: tuple[str, ...] = ()
    """Lines that it must not have."""
    back_within_s: float = 5 * MINUTE_S
    """The document's own limit for the way back, held in real time."""
    speed: float | None = None
    """Of the plan's clock; the system's when not given."""
    outage: bool = False
    """The document's own procedure stops the service, so that requests are lost meanwhile."""


@dataclass(frozen=True)
class System:
    """One plan and its cases, in the order in which one stack serves them."""

    plan: str
    speed: float
    cases: tuple[Case, ...]
    tables: tuple[str, ...] = ()
    """Tables of the service that no case may take a row from."""
    unchanged: tuple[str, ...] = ()
    """Those whose content is the same after each case, by its checksum."""
    database: str = "postgres"
    """Where they are."""
