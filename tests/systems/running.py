"""One case at work: a rollout on the system's stack, its people, what is done to it, and what the record says of it."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import psycopg

from chrysalis.cli_common import wake
from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Ledger, Rollout
from chrysalis.local.people import Authenticators, People
from chrysalis.local.stack import Say
from chrysalis.plan import Plan
from chrysalis.sandbox.profiles import Profile
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.base import Stamp
from tasks import approve, prefect_api
from tasks.lifecycle import register
from tasks.proof import Code
from tasks.rolling_back import ask
from tasks.workspace import TOKENS_PER_ROLLOUT, Workspace, open_ledger, plan_of
from tests.systems.table import Case, Move, System

POLL_S = 0.1
END_WITHIN_S = 240.0
LAST_LINES_S = 1.0
"""The load generator writes its log in batches."""


@dataclass
class Result:
    """What came of a case."""

    name: str
    troubles: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    seconds: float = 0.0
    fault_to_safe_s: float | None = None
    """From the last fault to the watch's first safe action; real seconds."""
    back_s: float | None = None
    """From the begin of the way back to its end."""
    requests: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.troubles

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


class Running:
    """A case while it runs; what the moves of a table are given."""

    def __init__(
        self,
        system: System,
        case: Case,
        profile: Profile,
        sandbox: Sandbox,
        people: Authenticators,
        say: Say,
        *,
        patience: float = 1.0,
    ) -> None:
        """`patience`: what is awaited may take so many times longer."""
        self.system, self.case, self.profile, self.sandbox, self.say = system, case, profile, sandbox, say
        self.speed = case.speed or system.speed
        self.version = f"case-{time.time_ns() // 1_000_000}"
        self.result = Result(f"{system.plan}/{case.name}")
        self.fault_at: float | None = None
        self._registered = False
        self.kept: dict[str, Any] = {}
        """What a move keeps for a later one."""
        self._authenticators, self._patience = people, patience
        self._rows_before = self._rows()
        self._content_before = self._content()

    @cached_property
    def ledger(self) -> Ledger:
        return open_ledger()

    @property
    def rollout(self) -> Rollout:
        return self.ledger.get(self.id)

    @property
    def plan(self) -> Plan:
        return plan_of(self.id)

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(self.id, 0)

    def play(self) -> Result:
        """All moves, then the end, then what the record and the requests say."""
        began = time.time()
        self.sandbox.set_plan_speed(self.speed)
        try:
            self._start()
            self._moves()
            self._end()
            self._look_back(began)
        except (CaseFailed, ChrysalisError) as failure:
            self.result.troubles.append(str(failure) if isinstance(failure, CaseFailed) else f"it broke: {failure}")
            self._give_up()
        finally:
            self._heal()
            if self.profile.settings.instances:
                self.sandbox.fleet_fault()
            if self._registered:
                self._free_the_canary()
        self.result.seconds = round(time.time() - began, 1)
        return self.result

    def fault(self, **faults: float | str) -> None:
        """Switch faults of the new version on."""
        self.sandbox.fault("canary", **faults)
        self.fault_at = time.time()

    def break_part(self, name: str) -> None:
        """End a part of the sandbox, and keep it down."""
        self.sandbox.stop_part(name)
        self.fault_at = time.time()

    def stable_fault(self, **faults: float) -> None:
        """Switch faults of the version before on."""
        self.sandbox.fault("stable", **faults)

    def sign(self, person: str) -> None:
        """Sign, with a one-time code, what waits for a signature now. Raises NotAllowed."""
        planned, _ = approve.pending(self.workspace)
        code = Code(self._authenticators.code(person))
        approve.sign(self.workspace, planned.id, person, decision="approve", comment="case", door="cli", offered=code)
        self._authenticators.used(person, code.digits)

    def fleet_fault(self, **faults: float | str) -> None:
        """Switch faults of the fleet on."""
        self.sandbox.fleet_fault(**faults)
        self.fault_at = self.fault_at or time.time()

    def reject(self, person: str, comment: str) -> str:
        """Refuse the sign-off that is waited for, as the command line does; returns its title."""
        planned, _ = approve.pending(self.workspace)
        offered = Code(self._authenticators.code(person))
        approve.sign(self.workspace, planned.id, person, decision="reject", comment=comment, door="cli", offered=offered)
        self._authenticators.used(person, offered.digits)
        wake(self.rollout, f"{person} signed")
        return planned.title

    def record(self) -> list[str]:
        """What happened, by time: `done canary.staff`, `watch: make_safe {…} → {…}`, `page: title`."""
        titles = {step.id: f"{step.phase}.{step.title}" for step in self.plan.all_steps}
        lines: list[tuple[Any, str]] = []
        for entry in self.ledger.journal(self.id):
            undone = entry.step_id.removeprefix("undo.")
            named = titles.get(undone, undone)
            lines.append((entry.at, f"{entry.event} {'undo ' if undone != entry.step_id else ''}{named}"))
        actions, notices = self.ledger.actions(self.id), self.ledger.notices(self.id)
        lines += [(one.at, f"{one.actor}: {one.action} {one.before} → {one.after}") for one in actions]
        lines += [(one.told_at, f"{one.severity}: {one.title}") for one in notices]
        return [line for _, line in sorted(lines, key=lambda one: one[0])]

    # ── the parts of a play ──

    def _start(self) -> None:
        given = {"reason": "systems", "started_by": "ci", "speed": self.speed}
        name = self.system.plan
        rollout, _ = register(name, self.version, dry_run=False, again=False, **given)  # type: ignore[arg-type]
        self.id, self._registered = rollout.id, True
        self._people = People(self.ledger, rollout, self.profile, self._authenticators, lambda _: None)
        prefect_api.start_run(f"rollout/{name}", {"plan": name, "version": self.version, **given}, self.id, [self.id])

    def _moves(self) -> None:
        for move in self.case.moves:
            began = time.monotonic()
            move.do(self)
            found = self._await(move, time.monotonic() + move.within_s * self._patience)
            seconds = time.monotonic() - began
            said = f"{move.said}: {found}" if isinstance(found, str) else move.said
            self.result.seen.append(f"{said} ({seconds:.1f} s)")
            self.say(f"    {seconds:6.1f} s  {said}")

    def _await(self, move: Move, deadline: float) -> object:
        while not (found := move.until(self)):
            if time.monotonic() > deadline:
                raise CaseFailed(f"not seen within {move.within_s:g} s: {move.said}; {self._where()}")
            if not self.rollout.active and not move.until(self):
                raise CaseFailed(f"it ended {self.rollout.outcome} before: {move.said}; {self._where()}")
            self._people.act()
            time.sleep(POLL_S)
        return found

    def _end(self) -> None:
        deadline = time.monotonic() + END_WITHIN_S * self._patience
        while self.rollout.active:
            if time.monotonic() > deadline:
                raise CaseFailed(f"it did not end within {END_WITHIN_S:g} s; {self._where()}")
            self._people.act()
            time.sleep(POLL_S)
        if self.rollout.outcome != self.case.outcome:
            raise CaseFailed(f"it ended {self.rollout.outcome}, expected {self.case.outcome}: {self.rollout.status_text}")

    def _look_back(self, began: float) -> None:
        record = self.record()
        wanted = iter(self.case.order)
        missing = next(wanted, None)
        for line in record:
            if missing is not None and fnmatchcase(line, missing):
                missing = next(wanted, None)
        troubles = self.result.troubles
        if missing is not None:
            troubles.append(f"the record has no {missing!r} in its place")
        troubles += [f"the record has {line!r}" for line in record for one in self.case.never if fnmatchcase(line, one)]
        if troubles:
            troubles.append("the record: " + " | ".join(record[-40:]))
        self._times()
        self._traffic(began)
        for table, (before, after) in self._lost_rows().items():
            troubles.append(f"table {table} had {before} rows, has {after}")
        for table, checksum in self._content().items():
            if checksum != self._content_before[table]:
                troubles.append(f"table {table} holds {checksum}, it held {self._content_before[table]}")

    def _times(self) -> None:
        safe = [one.at.timestamp() for one in self.ledger.actions(self.id) if one.action == "make_safe"]
        if safe and self.fault_at is not None:
            self.result.fault_to_safe_s = round(min(safe) - self.fault_at, 2)
        back = [entry for entry in self.ledger.journal(self.id) if entry.step_id == "rollback"]
        if back:
            self.result.back_s = round((back[-1].at - back[0].at).total_seconds(), 2)
            if self.result.back_s > self.case.back_within_s:
                self.result.troubles.append(f"the way back took {self.result.back_s} s > {self.case.back_within_s:g} s")

    def _traffic(self, began: float) -> None:
        time.sleep(LAST_LINES_S)
        load = self.sandbox.load_summary(since_s=began)
        lost = {side: count for side, count in load.lost_by_side.items() if side != "canary"}
        self.result.requests = {"served": load.served_by_side, "lost": load.lost_by_side}
        if lost and not self.case.outage:
            self.result.troubles.append(f"requests lost that were not the new version's: {lost}")

    def _rows(self) -> dict[str, int]:
        with psycopg.connect(self._database, autocommit=True) as connection:
            found = {}
            for table in self.system.tables:
                if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,):
                    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                    found[table] = int(row[0]) if row else 0
            return found

    @property
    def _database(self) -> str:
        return str(self.sandbox.state.postgres["uri"]).replace("/postgres?", f"/{self.system.database}?")

    def _content(self) -> dict[str, str]:
        """A checksum of all that each table holds, in no order."""
        with psycopg.connect(self._database, autocommit=True) as connection:
            found = {}
            for table in self.system.unchanged:
                asked = f"SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {table} t"
                row = connection.execute(asked.encode()).fetchone()
                found[table] = str(row[0]) if row else ""
            return found

    def _lost_rows(self) -> dict[str, tuple[int, int]]:
        after = self._rows()
        before = self._rows_before
        return {name: (before[name], after[name]) for name in before if name in after and after[name] < before[name]}

    def _give_up(self) -> None:
        """Have what hangs ended, so that the next case finds the service free."""
        with contextlib.suppress(Exception):
            self._heal()
            if self.rollout.active:
                ask(self.id, "abort", by="systems", reason="the case failed")
            deadline = time.monotonic() + END_WITHIN_S
            while self.rollout.active and time.monotonic() < deadline:
                time.sleep(POLL_S)

    def _free_the_canary(self) -> None:
        """As the next version finds it: no traffic, a process of its own."""
        last = Stamp((self.rollout.serial + 1) * TOKENS_PER_ROLLOUT - 1, "systems", "next")
        with self.sandbox.router() as router:
            router.write(0, last)
        self.profile.between(self.sandbox)

    def _heal(self) -> None:
        """All faults off, of both versions, and the load as it was."""
        self.sandbox.clear_faults("canary")
        self.sandbox.clear_faults("stable")
        settings = self.profile.settings
        self.sandbox.set_load(rate_rps=settings.rate_rps, header_share=settings.header_share)

    def _where(self) -> str:
        row = self.rollout
        return f"it is {row.state} in {row.phase} at {row.weight_percent} %: {row.status_text}; " + " | ".join(
            self.record()[-6:]
        )


class CaseFailed(Exception):
    """What was to be seen was not."""


def lines_of(path: str) -> Iterator[dict[str, Any]]:
    """The JSON lines of a channel's file."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
