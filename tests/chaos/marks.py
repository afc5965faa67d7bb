"""What makes a process say where it is: wrapped around the ledger's commits and the adapters' effects, from outside.

Nothing of the product knows of it and nothing behaves differently; at a mark that is wanted the process stands still until
the harness has killed what it wants to kill. Installed in the processes that the nursery forks, and nowhere else.
"""

import functools
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flows.phase
import flows.rollback
import flows.rollout
import tasks.answers
import tasks.approve
import tasks.waiting
from chrysalis.effects import command, migrations, smoke
from chrysalis.ledger.database import Database
from chrysalis.ledger.transaction import Transaction
from chrysalis.ledger.waits import Waits
from chrysalis.plan import PlannedStep
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.http_api import HttpApiSwitchboard
from tasks.workspace import Workspace
from tests.chaos.points import Mark

SILENT = {"lease_acquired", "lease_released", "flow_run_attached", "notice_ended"}
"""Entries of the audit that are no boundary of a rollout's journal."""
OF_A_THREAD = {"notice_escalated": "escalation"}
"""Entries that a thread of the watch makes beside whatever the watch is at."""


@dataclass
class Passing:
    """Where this process is, and where it is to stand still."""

    process: str = ""
    place: str = ""
    stays: bool = False
    """Whether entries under another step's name are made on behalf of this place."""
    wanted: set[str] = field(default_factory=set)
    door: Path | None = None
    trace: Path | None = None

    def reach(self, what: str, when: str, place: str = "") -> None:
        """Pass a mark: note it, and stand still when it is wanted, until the harness lets go."""
        place = place or self.place
        if not place or (self.process == "watch" and what == "measured"):
            return
        mark = str(Mark(self.process, place, what, when))
        if self.trace is not None:
            with self.trace.open("a") as trace:
                trace.write(mark + "\n")
        if mark not in self.wanted or self.door is None:
            return
        self.wanted.discard(mark)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.connect(str(self.door))
            door.sendall(json.dumps({"mark": mark}).encode() + b"\n")
            door.recv(1)


HERE = Passing()


def install() -> None:
    """Wrap everything, once per process."""
    _ledger()
    _around(EnvoyRouter, "_replace_file", "route_file")
    _around(HttpApiSwitchboard, "_send", "patch")
    _around(migrations, "_apply", "migration")
    _before(migrations, "_record_done", "migration", "inside")
    _around(command, "run_command", "command")
    _after(subprocess.Popen, "__init__", "command", "started")
    _around(smoke, "smoke_test", "requests")
    _around(Workspace, "measure", "measured")
    _around(Workspace, "observe", "measured")
    _stays(tasks.approve, "look_again")
    _before(tasks.waiting, "wait_of", "waiting", "while")
    for module, name, place in (
        (flows.rollout, "end", "rollout.end"),
        (flows.rollout, "wait", "rollout.wait"),
        (flows.rollback, "begin_rollback", "rollback"),
        (flows.rollback, "end_rollback", "rollback.end"),
        (tasks.answers, "respond", "response"),
    ):
        _at(module, name, lambda _arguments, place=place: place)
    for name in ("enter", "arm"):
        _at(flows.phase, name, lambda arguments: getattr(arguments[2], "name", arguments[2]))
    _at(flows.rollout, "take_over_again", lambda _arguments: "rollout")


def _ledger() -> None:
    seal, write = Transaction.seal, Database.write

    @functools.wraps(seal)
    def sealed(self: Transaction) -> None:
        seal(self)
        notes = [note for note in self._notes if note.action not in SILENT]
        if notes:
            note = notes[-1]
            step_id = str(note.detail.get("step_id") or "") if isinstance(note.detail, dict) else ""
            moves = HERE.process == "flow" and not HERE.stays
            if moves and step_id not in ("", "rollback") and HERE.place != "rollout.end":
                HERE.place = step_id
            place = OF_A_THREAD.get(note.action) or (step_id if HERE.process != "flow" else "")
            self.what = (note.action, place)  # type: ignore[attr-defined]
            HERE.reach(self.what[0], "uncommitted", self.what[1])  # type: ignore[attr-defined]

    @contextmanager
    def written(self: Database, now: Any) -> Iterator[Transaction]:
        with write(self, now) as transaction:
            yield transaction
        what = getattr(transaction, "what", None)
        if what is not None:
            HERE.reach(what[0], "committed", what[1])

    Transaction.seal = sealed  # type: ignore[method-assign]
    Database.write = written  # type: ignore[method-assign]
    tick_waits = Waits.tick_waits

    @functools.wraps(tick_waits)
    def ticked(self: Waits, ticks: Any, now: Any, *, lease: Any = None) -> None:
        kinds = {wait.id: wait for wait in self.open_waits()} if HERE.process == "watch" and ticks else {}
        soaks = [
            kinds[tick.wait_id].step_id for tick in ticks if tick.wait_id in kinds and kinds[tick.wait_id].kind == "soak"
        ]
        for step_id in soaks:
            HERE.reach("ticked", "uncommitted", step_id)
        tick_waits(self, ticks, now, lease=lease)
        for step_id in soaks:
            HERE.reach("ticked", "committed", step_id)

    Waits.tick_waits = ticked  # type: ignore[method-assign]


def _around(owner: Any, name: str, what: str) -> None:
    _before(owner, name, what, "before")
    _after(owner, name, what, "after")


def _before(owner: Any, name: str, what: str, when: str) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*arguments: Any, **named: Any) -> Any:
        HERE.reach(what, when)
        return inner(*arguments, **named)

    setattr(owner, name, outer)


def _after(owner: Any, name: str, what: str, when: str) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*arguments: Any, **named: Any) -> Any:
        result = inner(*arguments, **named)
        HERE.reach(what, when)
        return result

    setattr(owner, name, outer)


def _stays(owner: Any, name: str) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(workspace: Workspace, planned: PlannedStep, *arguments: Any, **named: Any) -> Any:
        HERE.place, HERE.stays = planned.id, True
        try:
            return inner(workspace, planned, *arguments, **named)
        finally:
            HERE.stays = False

    setattr(owner, name, outer)


def _at(owner: Any, name: str, place: Callable[[tuple[Any, ...]], str]) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*arguments: Any, **named: Any) -> Any:
        HERE.place = place(arguments)
        return inner(*arguments, **named)

    setattr(owner, name, outer)
