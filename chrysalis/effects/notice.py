"""What people are told, what became of it, and the port through which it goes out."""

from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["info", "warning", "page"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "page")


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told. Two with the same `dedupe_key` are the same: a receiver may drop the second."""

    severity: Severity
    title: str
    body: str
    rollout_id: str
    dedupe_key: str
    markdown: bool = False
    """Whether the body is Markdown; where that cannot be shown it reads well as it is."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a notice on one channel; `reason` is empty where it was delivered."""

    channel: str
    delivered: bool
    reason: str = ""
    tries: int = 1


class Undelivered(Exception):
    """A sender could not deliver. `final` means that trying again is of no use."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Sender(Protocol):
    """Something that delivers. May be called again with the same notice after an Undelivered."""

    def send(self, notice: Notice, *, timeout_s: float) -> None:
        """Deliver, or raise Undelivered."""
