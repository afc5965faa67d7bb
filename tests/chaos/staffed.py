"""Walks on a whole stack, in which Prefect's worker is killed: server, worker, watch, and the flow as the worker starts it.

One stack serves all walks. People use the command line. Nothing is started by the harness but the worker in the place of the
one that it killed.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings

from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Rollout
from chrysalis.local.stack import POOL, Stack, StackSettings
from chrysalis.plan.steps import SignOff
from chrysalis.sandbox.settings import SandboxSettings
from tasks.workspace import plan_of, settings
from tests.chaos.door import Arrival, Door
from tests.chaos.marked import ORDERS
from tests.chaos.points import Mark
from tests.chaos.record import Offsets, read_record
from tests.chaos.walk import Walked, signers_for, tidy
from tests.chaos.world import WATCH_TICK_MS, await_true, have_targets_log, kill
from tests.desk import COPIED, Desk, flow_processes
from tests.stack import SPEED, RunningStack

LIMIT_S = 600.0
"""Real seconds within which something must happen; a process that died with its worker is missed after 20 s."""
RATE_RPS = 20.0
ENDS = {"completed": "Completed", "rolled_back": "RolledBack"}
"""The state of Prefect's run by the outcome in the ledger."""
WITH_FLOW = "worker_flow"


@dataclass
class Staff:
    """The stack, and a desk to work at."""

    home: Path
    stack: Stack
    desk: Desk
    door: Door
    orders: Path

    def order(self, wanted: set[str], trace: Path) -> None:
        """What the processes of the flow that start from now on are to say."""
        given = {"wanted": sorted(wanted), "door": str(self.door.path), "trace": str(trace)}
        written = self.orders.with_suffix(".new")
        written.write_text(json.dumps(given))
        written.rename(self.orders)

    def kill_worker(self, others: set[int]) -> None:
        """SIGKILL to the worker and these, and a new worker at once. What the worker had started goes on without it."""
        pid = self.stack.processes.pid("worker")
        for one in (pid, *others):
            kill(one)
        for one in (pid, *others):
            with suppress(ChildProcessError):  # a process below another that was killed may be its to collect
                os.waitpid(one, 0)
        self.stack.start_worker()

    def await_worker(self, since: datetime) -> None:
        """Until a worker that was started after this has asked for runs."""
        await_true(lambda: self._beat() > since, "the worker to ask for runs", LIMIT_S)

    def _beat(self) -> datetime:
        try:
            found = self.desk.stack.call("POST", f"/work_pools/{POOL}/workers/filter", {})
        except httpx.HTTPError:
            found = []
        beats = [datetime.fromisoformat(one["last_heartbeat_time"]) for one in found if one["last_heartbeat_time"]]
        return max(beats, default=datetime.min.replace(tzinfo=UTC))


@contextmanager
def staffed(home: Path, plan: Path) -> Iterator[Staff]:
    """A whole stack below `home` that rolls this plan out, stopped at the end. Sets this process's environment."""
    before = dict(os.environ)
    door, orders = Door(home), home / "orders.json"
    own = {"CHRYSALIS_PLANS": str(plan.parent.parent), ORDERS: str(orders)}
    os.environ.update(own)
    sandbox = SandboxSettings(rate_rps=RATE_RPS, plan_speed=SPEED)
    try:
        with Stack(home / "stack", StackSettings(watch_interval_s=WATCH_TICK_MS / 1000, sandbox=sandbox)) as stack:
            stack.start()
            assert stack.sandbox is not None
            have_targets_log(stack.sandbox)
            running = RunningStack(stack.home, stack.api_url, stack.ui_url)
            os.environ.update({**running.environment(), **own})
            settings.cache_clear()
            _deploy(running, plan.parent.name)
            with temporary_settings({PREFECT_API_URL: stack.api_url}):
                yield Staff(home, stack, Desk(running), door, orders)
    finally:
        door.close()
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def _deploy(stack: RunningStack, plan: str) -> None:
    model = stack.call("GET", "/deployments/name/rollout/crystal")
    own = {"name": plan, "parameters": {"plan": plan}, "entrypoint": "tests.chaos.marked:rollout"}
    stack.call("POST", "/deployments/", {**{name: model[name] for name in COPIED}, **own})


class StaffedWalk:
    """One rollout by a worker that is killed at every one of `marks`: alone, or (`worker_flow`) with the flow's process."""

    def __init__(self, staff: Staff, plan: str, version: str, *, victim: str, marks: tuple[Mark, ...]) -> None:
        self.staff, self.plan, self.version, self.victim = staff, plan, version, victim
        self.desk = staff.desk
        self.left = {str(mark) for mark in marks}
        self.reached: list[str] = []
        self.failures: list[str] = []
        self.back_from: str | None = None
        self.trigger = ""
        self.rollout_id = ""
        self._set_off = self._asked = False
        self._refused = ""
        self._started = datetime.now(UTC)
        self._traces = staff.home / "traces"
        self._traces.mkdir(exist_ok=True)

    def back(self, step_id: str, trigger: str) -> "StaffedWalk":
        """Go back from this step, by this trigger; the marks are those of the way back."""
        self.back_from, self.trigger = step_id, trigger
        return self

    def go(self) -> Walked:
        """From the start to the end. Never raises for what the rollout does; that is among the failures."""
        began, record = time.monotonic(), None
        sandbox, sent = self.desk.stack.sandbox, self.staff.stack.home / "notices.jsonl"
        since = Offsets.now(sandbox, sent)
        try:
            self._order()
            self._start()
            self._until_ended()
            self._await_final_state()
            record = read_record(sandbox, self.desk.stack.ledger, self.rollout_id, since, sent)
        except (ChrysalisError, TimeoutError, AssertionError, OSError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self._tidy()
        return Walked(self.rollout_id, record, self.reached, self.failures, self._passed(), time.monotonic() - began)

    @property
    def _on_its_way(self) -> bool:
        return self.back_from is None or self._set_off

    @property
    def _trace(self) -> Path:
        return self._traces / f"{self.version}{'' if self._on_its_way else '-before'}.txt"

    def _passed(self) -> set[str]:
        return set(self._trace.read_text().splitlines()) if self._trace.exists() else set()

    def _order(self) -> None:
        self.staff.order(self.left if self._on_its_way else set(), self._trace)

    def _start(self) -> None:
        given = ("--version", self.version, "--as", "ci", "--speed", str(SPEED))
        await_true(lambda: self._say("start", self.plan, *given), "the rollout to be started", LIMIT_S)
        self.rollout_id = next(one.id for one in self.desk.stack.ledger.history(5) if one.version == self.version)

    def _until_ended(self) -> None:
        deadline, before = time.monotonic() + LIMIT_S, None
        while (row := self.desk.rollout(self.rollout_id)).active:
            now = (len(self.desk.stack.ledger.journal(row.id)), len(self.reached), row.state)
            if now != before:
                before, deadline = now, time.monotonic() + LIMIT_S
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing happens after {now}; {row.status_text}; {self._state(row)}; {self._refused}")
            if (arrival := self.staff.door.arrival(0.1)) is not None:
                self._strike(arrival)
            elif row.state == "waiting":
                self._act(row)

    def _strike(self, arrival: Arrival) -> None:
        if arrival.mark not in self.left:
            arrival.let_go()
            return
        self.left.discard(arrival.mark)
        self.reached.append(arrival.mark)
        self._order()
        self.staff.await_worker(self._started)  # one that still starts is no worker to be killed
        run_id = self.desk.rollout(self.rollout_id).flow_run_id or ""
        others = flow_processes(self.desk.stack, run_id) if self.victim == WITH_FLOW else set()
        assert others or self.victim != WITH_FLOW, f"{arrival.mark}: no process works for {run_id}"
        self._started = datetime.now(UTC)
        self.staff.kill_worker(others)
        arrival.let_go()

    def _act(self, row: Rollout) -> None:
        """What people do once the process was given back: sign, or set the way back off."""
        waits = [wait for wait in self.desk.stack.ledger.waits(row.id) if wait.is_open and wait.kind == "sign_off"]
        if not waits or self._state(row) != "Suspended":
            return
        if waits[0].step_id == self.back_from:
            if not self._asked:
                self._set_off = True
                self._order()
                self._asked = self._say("trigger", row.id, self.trigger, "--reason", "chaos", "--as", "sanjay")
            return
        spec = plan_of(row.id).step(waits[0].step_id).spec
        assert isinstance(spec, SignOff)
        signed = {one.role for one in self.desk.stack.ledger.sign_offs(row.id, waits[0].step_id) if one.void is None}
        for name in signers_for(plan_of(row.id), spec.rule, signed):
            self._say("approve", row.id, "--as", name, "--comment", "chaos")

    def _say(self, *arguments: str) -> bool:
        """What a person types; what is refused, because Prefect's server is too busy to answer, is typed again later."""
        said = self.desk.say(*arguments)
        self._refused = "" if said.code == 0 else f"{arguments}: {said.err}"
        return said.code == 0

    def _state(self, row: Rollout) -> str:
        try:
            return self.desk.stack.state(row.flow_run_id)[1] if row.flow_run_id else "not there"
        except httpx.HTTPError as error:
            return f"not known ({type(error).__name__})"

    def _await_final_state(self) -> None:
        row = self.desk.rollout(self.rollout_id)
        expected = ENDS.get(row.outcome or "", "")
        deadline = time.monotonic() + LIMIT_S
        while (found := self._state(row)) != expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"rollout.end: it ended {row.outcome}, and Prefect's run is {found}, not {expected}")
            if (arrival := self.staff.door.arrival(0.1)) is not None:
                self._strike(arrival)

    def _tidy(self) -> None:
        if not self.rollout_id:
            return
        run_id = self.desk.rollout(self.rollout_id).flow_run_id or ""
        for pid in flow_processes(self.desk.stack, run_id) if run_id else ():
            kill(pid)
        tidy(self.desk.stack.sandbox, self.desk.stack.ledger, self.rollout_id)
