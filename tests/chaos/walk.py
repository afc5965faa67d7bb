"""One rollout walked from its start to its end, with a kill at each of the given marks, and what came of it.

The harness stands in for what starts processes: where a worker starts a flow's process again, it forks the next one at once,
so that hundreds of kills take minutes. How long it takes until a worker does so is tried on a whole stack (`takeup.py`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from chrysalis.clock import utc_now
from chrysalis.effects import migrations
from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Ledger, Rollout
from chrysalis.plan import Plan
from chrysalis.plan.steps import SignOff
from chrysalis.sandbox.profiles import Profile
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.service.configuration import INITIAL
from chrysalis.targets.base import Stamp
from chrysalis.targets.http_api import flatten
from tasks import approve
from tasks.lifecycle import take_over
from tasks.safety import make_safe
from tasks.spool import SPOOL, Spool
from tasks.workspace import TOKENS_PER_ROLLOUT, Workspace, people_of, plan_of
from tests.chaos.door import Arrival
from tests.chaos.nursery import WAITS
from tests.chaos.points import Mark
from tests.chaos.record import Offsets, Record, read_record
from tests.chaos.world import World, await_true, kill

STEP_TIMEOUT_S = 150.0
"""Real seconds within which something must happen: a mark, an end, an entry of the journal."""
SERVER_TIMEOUT_S = 900.0
"""Real seconds within which Prefect's server, killed and started again, must answer; a busy machine takes minutes. What else
is awaited is awaited from then on."""
CLOCK_S = 0.15
"""How far two clocks may be apart, in real seconds. The watch counts by a steady clock, and closes by the wall clock, read a
moment before: on a busy machine by a turn of the scheduler. It does not add up over ticks."""
SERVER_LOOK_S = 1.0
TRIES = 12
RETIRED = "retired"


@dataclass
class Watched:
    """When a watch was alive, in the seconds of the wall clock."""

    spans: list[list[float]] = field(default_factory=list)

    def within(self, begin: float, finish: float) -> float:
        """Seconds between the two in which one was."""
        return sum(max(0.0, min(finish, span[1]) - max(begin, span[0])) for span in self.spans)


@dataclass
class Walked:
    """What a walk found. `reached` are the marks at which something was killed."""

    rollout_id: str
    record: Record | None
    reached: list[str]
    failures: list[str]
    trace: set[str]
    seconds: float


@dataclass
class Walk:
    """A rollout of `plan` in which `victim` is killed at every one of `marks`. `back_from`: the step to go back from."""

    world: World
    plan: Profile
    version: str
    victim: str = "flow"
    marks: tuple[Mark, ...] = ()
    back_from: str | None = None
    trigger: str = ""
    resumed: str | None = None
    """The rollout of a snapshot, which goes on from there."""
    rest_at: str | None = None
    at_rest: Callable[[], object] | None = None
    """Called once, when all waits for the last sign-off: for a snapshot."""

    def __post_init__(self) -> None:
        self.left = {str(mark) for mark in self.marks}
        self.reached: list[str] = []
        self.failures: list[str] = []
        self.watched = Watched()
        self.trace = self.world.home / "traces" / f"{self.version}.txt"
        self.trace.parent.mkdir(exist_ok=True)
        self.rollout_id = ""
        self._watch = self._flow = self._person = 0
        self._looked_at_server = 0.0
        self._server_since: float | None = None
        self._began_at = time.time()

    def go(self) -> Walked:
        """From the start to the end. Never raises for what the rollout does; that is among the failures."""
        began, record = time.monotonic(), None
        sent = self.world.home / "notices.jsonl"
        since = Offsets.now(self.world.sandbox, sent)
        try:
            if self.resumed is None:
                self._start_watch()
                self._begin()
            else:
                self.rollout_id = self.resumed
                self._start_watch()
            self._until_ended()
            await_true(self._written_down, "the watch to write down what was done while the ledger was away", STEP_TIMEOUT_S)
            record = read_record(self.world.sandbox, self.world.ledger, self.rollout_id, since, sent)
            self._check_soaks()
        except (ChrysalisError, TimeoutError, AssertionError, OSError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            for pid in (self._flow, self._person, self._watch):
                if pid:
                    kill(pid)
            self._end_watch_span()
            self._tidy()
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        seconds = time.monotonic() - began
        return Walked(self.rollout_id, record, self.reached, self.failures, set(lines), seconds)

    def _begin(self) -> None:
        given = {"plan": self.plan.name, "version": self.version, "speed": self.plan.speed}
        for _ in range(TRIES):
            self._run("start", **given)
            mine = [one for one in self._ledger().history(5) if one.version == self.version]
            if mine:
                assert len(mine) == 1, f"{len(mine)} rollouts of {self.version}: {[one.id for one in mine]}"
                self.rollout_id = mine[0].id
                return
        raise AssertionError(f"{self.version} was not started in {TRIES} tries")

    def _until_ended(self) -> None:
        tries, deadline = 0, time.monotonic() + STEP_TIMEOUT_S
        before: object = None
        while (row := self._row()).active:
            now = self._progress(row)
            if now != before or self._server_starts():
                before, deadline, tries = now, time.monotonic() + STEP_TIMEOUT_S, 0
            if time.monotonic() > deadline or tries > TRIES:
                raise TimeoutError(f"nothing happens after {now}; {row.status_text}; {tries} tries")
            if self._flow == 0 and not self._asleep():
                self._flow = self._fork(self._job)
            self._attend(0.05)
            code = self.world.nursery.ended.get(self._flow)
            if code is not None:
                tries += code not in (0, WAITS)
                self._flow = 0
            self._act()
        self._drain()

    def _server_starts(self) -> bool:
        """Whether Prefect's server was killed and does not answer yet. Raises TimeoutError when it takes too long."""
        if time.monotonic() < self._looked_at_server + SERVER_LOOK_S:
            return self._server_since is not None
        self._looked_at_server = time.monotonic()
        if not self.world.server_starts():
            self._server_since = None
            return False
        self._server_since = self._server_since or self._looked_at_server
        if self._looked_at_server > self._server_since + SERVER_TIMEOUT_S:
            raise TimeoutError(f"Prefect's server does not answer after {SERVER_TIMEOUT_S:g} s")
        return True

    def _progress(self, row: Rollout) -> object:
        entries = self._ledger().journal(row.id)
        soaked = sum(wait.watched_s for wait in self._ledger().waits(row.id))
        return (len(entries), len(self.reached), round(soaked), entries[-1].step_id if entries else "start")

    def _asleep(self) -> bool:
        """Whether it waits for something that has not come; then no process is started, as nothing would wake one."""
        row = self._row()
        waits = [wait for wait in self._ledger().waits(row.id) if wait.is_open]
        if row.state != "waiting" or not waits or self._going_back():
            return False
        return not all(wait.kind == "sign_off" and self._signed(wait.step_id) for wait in waits)

    def _signed(self, step_id: str) -> bool:
        workspace = Workspace.open(self.rollout_id, 0)
        planned = workspace.plan.step(step_id)
        return isinstance(planned.spec, SignOff) and not approve.count(workspace, planned, planned.spec).missing

    def _going_back(self) -> bool:
        return any(one.kind in ("roll_back", "abort") for one in self._ledger().open_requests(self.rollout_id))

    def _act(self) -> None:
        """What people do: sign what waits for them, or set the way back off."""
        if self._person:
            if self.world.nursery.ended.get(self._person) is None:
                return
            self._person = 0
        if self._flow or self._row().state != "waiting":
            return  # signed between a crash and what follows it, a sign-off would not be waited for at all
        for wait in self._ledger().waits(self.rollout_id):
            if not wait.is_open or wait.kind != "sign_off":
                continue
            if self.at_rest is not None and wait.step_id == self.rest_at:
                at_rest, self.at_rest = self.at_rest, None
                at_rest()
            if wait.step_id == self.back_from:
                if not self._going_back():
                    self._person = self._fork("set_off", rollout=self.rollout_id, trigger=self.trigger)
                return
            if self._signed(wait.step_id):
                return
            spec = plan_of(self.rollout_id).step(wait.step_id).spec
            assert isinstance(spec, SignOff)
            standing = [one for one in self._ledger().sign_offs(self.rollout_id, wait.step_id) if one.void is None]
            signers = signers_for(plan_of(self.rollout_id), spec.rule, {one.role for one in standing})
            proofs = {signer: self.world.proof(signer) for signer in signers}
            self._person = self._fork("sign", step=wait.step_id, proofs=proofs)
            return

    def _attend(self, timeout_s: float) -> None:
        """Kill what is to be killed when somebody stands at a mark."""
        arrival = self.world.nursery.door.arrival(timeout_s)
        if arrival is not None:
            self._strike(arrival)

    def _strike(self, arrival: Arrival) -> None:
        if arrival.mark not in self.left:
            arrival.let_go()
            return
        self.left.discard(arrival.mark)
        self.reached.append(arrival.mark)
        if self.victim == "twice":
            self._take_up_twice(arrival)
            return
        if self.victim == "self":
            self._kill_process(arrival.mark.partition(":")[0])
        elif self.victim == "watch":
            self._restart_watch()
            self._await_escalation()
        elif self.victim == "server":
            self.world.kill_server()
        else:
            self.world.kill_database()
        arrival.let_go()

    def _await_escalation(self) -> None:
        """Have the watch that was just started go on to the next people, where a page waits for somebody on the way back.

        Killed every few tenths of a second, no watch has the lease of the one before, and the way back takes seconds here.
        So the flow is held at its mark until the page was escalated, once in a walk.
        """
        steps = plan_of(self.rollout_id).notifications.escalation
        if self._row().state != "rolling_back" or not steps:
            return
        at_once = sum(not step.after for step in steps)
        await_true(
            lambda: all(page.level > at_once for page in self._ledger().open_pages(self.rollout_id)),
            "the next watch to escalate the page",
        )

    @property
    def _job(self) -> str:
        return "rollout_alive" if self.victim == "twice" else "rollout"

    def _take_up_twice(self, arrival: Arrival) -> None:
        """Freeze the one that stands there until another has taken its place and journaled; woken, it changes nothing."""
        first, token = self._flow, self._row().token
        os.kill(first, signal.SIGSTOP)
        before = self._entered_by(token)
        self._flow = self._fork(self._job)
        deadline, second = time.monotonic() + STEP_TIMEOUT_S, None
        while second is None and self._flow not in self.world.nursery.ended and not self._entered_after(token):
            second = self.world.nursery.door.arrival(0.1)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arrival.mark}: nobody took the place of the process that was frozen")
        os.kill(first, signal.SIGCONT)
        arrival.let_go()
        try:
            await_true(
                lambda: first in self.world.nursery.ended, f"{arrival.mark}: the one in whose place another works to stop"
            )
        except TimeoutError as error:
            self.failures.append(str(error))
            kill(first)
        if self._entered_by(token) != before:
            self.failures.append(f"{arrival.mark}: woken, it went on with the journal under the stale token {token}")
        if second is not None:
            self._strike(second)

    def _entered_by(self, token: int) -> int:
        return sum(entry.token == token for entry in self._ledger().journal(self.rollout_id))

    def _entered_after(self, token: int) -> bool:
        return any(entry.token > token for entry in self._ledger().journal(self.rollout_id))

    def _kill_process(self, process: str) -> None:
        if process == "watch":
            self._restart_watch()
            return
        kill(self._flow if process == "flow" else self._person)
        pid = self._flow if process == "flow" else self._person
        await_true(lambda: pid in self.world.nursery.ended, f"process {pid} to be gone")
        if process == "flow":
            self._flow = 0
        else:
            self._person = 0

    def _run(self, job: str, **order: object) -> None:
        """A person's process, to its end or its death."""
        self._person = self._fork(job, **order)
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while self._person and self._person not in self.world.nursery.ended:
            self._attend(0.02)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{job} did not end")
        self._person = 0

    def _fork(self, job: str, **order: object) -> int:
        given = {"rollout": self.rollout_id, **order}
        return self.world.nursery.fork(job, self.left, self.trace, **given)

    def _start_watch(self) -> None:
        self._watch = self._fork("watch")
        self.watched.spans.append([time.time(), float("inf")])

    def _restart_watch(self) -> None:
        kill(self._watch)
        self._end_watch_span()
        self._start_watch()

    def _end_watch_span(self) -> None:
        if self.watched.spans and self.watched.spans[-1][1] == float("inf"):
            self.watched.spans[-1][1] = time.time()

    def _drain(self) -> None:
        """What the last process still does after the rollout has ended: marks behind the last entry."""
        deadline = time.monotonic() + 10.0
        while self._flow and self._flow not in self.world.nursery.ended and time.monotonic() < deadline:
            self._attend(0.05)

    def _written_down(self) -> bool:
        """Whether nothing is left in the spool. Somebody may still stand at a mark meanwhile."""
        self._attend(0.05)
        return not Spool(self.world.home / SPOOL).entries()

    def _check_soaks(self) -> None:
        for wait in self._ledger().waits(self.rollout_id):
            if wait.kind != "soak" or wait.closed_at is None or wait.opened_at.timestamp() < self._began_at:
                continue
            possible_s = self.watched.within(wait.opened_at.timestamp(), wait.closed_at.timestamp()) * self.plan.speed
            if wait.watched_s > possible_s + self.plan.speed * CLOCK_S:
                self.failures.append(
                    f"{wait.step_id}: {wait.watched_s:.0f} s are counted, a watch was there for {possible_s:.0f} s"
                )
            if wait.outcome == "finished" and wait.watched_s < (wait.needed_s or 0.0):
                self.failures.append(f"{wait.step_id}: finished after {wait.watched_s:.0f} s < {wait.needed_s:.0f} s")

    def _row(self) -> Rollout:
        return self._ledger().get(self.rollout_id)

    def _ledger(self) -> Ledger:
        return self.world.ledger

    def _tidy(self) -> None:
        if self.rollout_id:
            tidy(self.world.sandbox, self._ledger(), self.rollout_id)


def tidy(sandbox: Sandbox, ledger: Ledger, rollout_id: str) -> None:
    """End a rollout if it goes on, and put the targets back to where they were for the next one."""
    row = ledger.get(rollout_id)
    if row.active:
        token = take_over(row.id)
        make_safe(Workspace.open(row.id, token), 0, actor="tidy", cause="the walk is over")
        ledger.set_state(row.id, token, state="ended", outcome="aborted", now=utc_now())
    last = Stamp((row.serial + 1) * TOKENS_PER_ROLLOUT - 1, RETIRED, "tidy")
    workspace = Workspace.open(row.id, 0)
    with sandbox.router() as router:
        router.write(0, last)
    plan = workspace.plan
    initial = {name: value for name, value in flatten(INITIAL).items() if name != "stamp"}
    workspace.switchboard("config").write(initial, last)
    if "database" in plan.targets:
        folder = workspace.settings.plans / plan.name / "migrations"
        migrations.migrate_down(workspace.database_url("database"), folder, to=0)
    _clear_references(sandbox.folder / "repository")


def _clear_references(repository: Path) -> None:
    for command in (("tag", "--delete", "legacy-final"), ("branch", "-D", "archive/legacy")):
        subprocess.run(("git", *command), cwd=repository, capture_output=True, timeout=10, check=False)


def signers_for(plan: Plan, rule: str, signed: Collection[str]) -> list[str]:
    """One person for each role that has not signed yet; of those who could, the one with the fewest other roles."""
    found: list[str] = []
    people = people_of(plan)
    for role in plan.sign_offs[rule].roles:
        if role not in signed:
            able = [name for name in people.holders(role) if name not in found]
            found.append(min(able, key=lambda name: len(people.roles_of(name))))
    return found
