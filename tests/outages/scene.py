"""A rollout under way on real parts, in this process: the ledger, the watch's own loop, and what people were told."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chrysalis.cli import main
from chrysalis.clock import utc_now
from chrysalis.effects.database.own_server import server_user
from chrysalis.errors import LedgerUnavailable, StaleToken
from chrysalis.ledger import Action, Ledger, NewRollout, Rollout, Wait
from chrysalis.plan import parse_plan
from chrysalis.sandbox import postgres
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.parts import Part
from chrysalis.sandbox.process import Process, end_all
from chrysalis.sandbox.sandbox import Sandbox
from tasks import set_weight
from tasks.lifecycle import arm, enter
from tasks.prefect_api import Nudge
from tasks.sentry import Sentry
from tasks.step import Done, Waiting, perform
from tasks.workspace import Workspace, open_ledger

PLAN = (Path(__file__).parent / "plan.yaml").read_text()
CONSTANT = PLAN.replace("metric: error_rate, above", "metric: constant, above").replace(
    "triggers:\n", "  constant: {source: database, unit: ratio, direction: lower_is_better, query: SELECT 0.01}\ntriggers:\n"
)
"""The same with a trigger that sees one healthy value as of now, whatever the traffic and the clock do."""
WEIGHT_STEP = "some.01.set_weight"
SOAK_STEP = "some.02.soak"
NEXT_WEIGHT_STEP = "some.03.set_weight"
TICK_S = 0.1
WAIT_S = 60.0


@dataclass
class Watch:
    """A watch in a thread of this process: ticks, and its standby. It wakes nobody."""

    sentry: Sentry
    nudges: list[Nudge] = field(default_factory=list)

    @classmethod
    def of(cls, ledger: Ledger, name: str = "watch-1", **settings: Any) -> "Watch":
        nudges: list[Nudge] = []

        def wake(_: str, nudge: Nudge) -> bool:
            nudges.append(nudge)
            return True

        return cls(Sentry(ledger, wake, name, TICK_S, **settings), nudges)

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        """Tick as the flow `watch` does, until the end of the block."""
        over = threading.Event()

        def loop() -> None:
            last = time.monotonic()
            with self.sentry.standby.on_duty():
                while not over.wait(TICK_S):
                    started = time.monotonic()
                    try:
                        self.sentry.tick(utc_now(), started - last)
                        last = started
                    except LedgerUnavailable as error:
                        self.sentry.standby.begin(str(error))
                    except StaleToken:
                        pass

        thread = threading.Thread(target=loop, name="watch")
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()
            with suppress(LedgerUnavailable):
                self.sentry.close()


@dataclass
class Scene:
    """One rollout at 30 % in its soak, and what can be seen of it."""

    sandbox: Sandbox
    home: Path
    rollout_id: str
    token: int

    @property
    def ledger(self) -> Ledger:
        return open_ledger()

    @property
    def row(self) -> Rollout:
        return self.ledger.get(self.rollout_id)

    @property
    def weight(self) -> int:
        """What Envoy itself says."""
        with self.sandbox.router() as router:
            return router.read().canary_percent

    @property
    def soak(self) -> Wait:
        return next(wait for wait in self.ledger.waits(self.rollout_id) if wait.step_id == SOAK_STEP)

    @property
    def asked(self) -> list[str]:
        """The kinds of the open requests."""
        return [request.kind for request in self.ledger.open_requests(self.rollout_id)]

    @property
    def actions(self) -> tuple[Action, ...]:
        return self.ledger.actions(self.rollout_id)

    def workspace(self) -> Workspace:
        return Workspace.open(self.rollout_id, self.token)

    def told(self, severity: str = "page") -> list[str]:
        """The titles of the notices of that severity that were carried to the channel so far."""
        path = self.home / "notices.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [row["title"] for row in rows if row["severity"] == severity]

    def raise_weight(self) -> Done | Waiting:
        """What the rollout's own process does next after the soak: the step to 60 %."""
        kind = set_weight.set_weight
        return perform(
            kind.name, kind.body, kind.before, rollout_id=self.rollout_id, step_id=NEXT_WEIGHT_STEP, token=self.token,
            always=kind.always,
        )  # fmt: skip


def begin(sandbox: Sandbox, home: Path, *, text: str = PLAN, speed: float = 1.0, service: str = "maia") -> Scene:
    """A new rollout of the plan: weight 30 % set by its step, guard armed, soak open."""
    ledger = open_ledger()
    text = text.replace("${SERVICE_NAME}", service)
    loaded = parse_plan(text, "outages")
    new = NewRollout(
        plan_name="outages",
        service=service,
        version="2",
        plan_text=text,
        plan_hash=loaded.sha256,
        idempotency_key="outages:2",
        started_by="ci",
        reason="test",
        speed=speed,
    )
    row, _ = ledger.start_rollout(new, utc_now())
    token = ledger.take_token(row.id, "process", now=utc_now())
    ledger.attach_flow_run(row.id, "run-1", now=utc_now())
    enter(row.id, token, "some")
    arm(row.id, token, loaded.plan.phase("some"))
    workspace = Workspace.open(row.id, token)
    step = loaded.plan.step(WEIGHT_STEP)
    ledger.begin_step(row.id, token, step_id=step.id, kind="set_weight", detail={"before": {"percent": 0}}, now=utc_now())
    ledger.beat("watch", detail={}, now=utc_now())
    outcome = set_weight.run(workspace, step, step.spec, {"percent": 0})
    assert isinstance(outcome, Done), outcome
    ledger.end_step(row.id, token, step_id=step.id, outcome="done", detail={}, now=utc_now())
    ledger.begin_step(row.id, token, step_id=SOAK_STEP, kind="soak", detail={}, now=utc_now())
    ledger.open_wait(row.id, token, step_id=SOAK_STEP, kind="soak", needed_s=3e9, detail={}, now=utc_now())
    ledger.set_state(row.id, token, state="waiting", now=utc_now())
    return Scene(sandbox, home, row.id, token)


def until(reached: Any, what: str, timeout_s: float = WAIT_S) -> Any:
    """Wait until `reached` returns something true; returns it."""
    deadline = time.monotonic() + timeout_s
    while not (found := reached()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
    return found


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """SIGSTOP these processes and all below them; SIGCONT at the end."""
    family = [one for pid in pids for one in _stop(pid)]
    try:
        yield
    finally:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _stop(pid: int) -> list[int]:
    """Stop it first, then what it had started until then: a child that is born in between would go on."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: "State:\tT" in Path(f"/proc/{pid}/status").read_text(), f"{pid} to stop")
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in map(int, listed) for one in _stop(child))]


class LedgerServer:
    """A PostgreSQL for the ledger alone, which can be stopped, killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return postgres.uri(self.layout)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def make(self) -> None:
        postgres.make_data_folder(self.layout)

    def start(self) -> None:
        part = Part(
            "ledger",
            tuple(postgres.command(self.layout, max_connections=40)),
            lambda: postgres.answers(self.layout),
            user=server_user(),
            end_signal=signal.SIGQUIT,
        )
        self._process = Process(part, folder=self.layout.folder, log=self.layout.folder / "ledger.log")
        until(part.ready, "the ledger's PostgreSQL")

    def stop(self) -> None:
        """At once, as a crash."""
        if self._process is not None:
            end_all([self._process], grace_s=5.0)
            self._process = None


@contextmanager
def full(folder: Path, *, leave_bytes: int = 0) -> Iterator[None]:
    """Fill the file system of the folder, but for that many bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(4096))
        if leave_bytes:
            file.truncate(max(0, file.tell() - leave_bytes))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[Path]:
    """A file system of that size, gone at the end. Needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, timeout=10)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def told_to(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command line, in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["chrysalis", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
