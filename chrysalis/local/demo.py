"""The demo: one rollout that completes, and one with a fault at the middle of it that the watch sees and takes back.

Nothing in it is special: rollouts start as CI starts them, people sign through the same doors as people do (the form of
the UI, and the command line's function), the fault is the sandbox's, and every figure comes from the ledger and from the
load generator's own log.
"""

import json
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.errors import SettingsError
from chrysalis.ledger import Ledger, Rollout, Wait
from chrysalis.local.processes import descendants, memory_bytes
from chrysalis.local.stack import Say, Stack
from chrysalis.local.view import View
from chrysalis.people import codes
from chrysalis.plan import Plan
from chrysalis.plan.parts import ManualSource
from chrysalis.targets.base import Stamp
from gates.units import format_duration
from tasks import approve, measure, prefect_api
from tasks.lifecycle import register
from tasks.people import all_people, enrol
from tasks.proof import Code
from tasks.report import report
from tasks.workspace import TOKENS_PER_ROLLOUT, Workspace, open_ledger, people_of, plan_of

POLL_S = 0.1
ENROLLED_BY = "dmitri"
"""Who hands out the authenticators: somebody who may change people."""
FAULT_AT_PERCENT = 50
FAULT = {"error_rate": 0.3}
RUN_TIMEOUT_S = 240.0
SURVEY_EVERY_S = 2.0
"""Real seconds between two surveys; at the demo's speed that is about two days."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How one plan is shown. `speed` makes its weeks fit into a minute; `surveys` are what people would enter."""

    name: str
    speed: float
    surveys: dict[str, float] = field(default_factory=dict)


DEMO_PLANS = {
    "crystal": DemoPlan(
        "crystal",
        speed=80_000,
        surveys={
            "emergence_quality": 4.6,
            "emergence_appreciation": 0.86,
            "paradox_resolution": 0.7,
            "net_promoter_score": 41,
            "response_quality": 4.7,
            "conversation_depth": 34,
            "return_rate": 22,
        },
    )
}


class Demo:
    """Two rollouts of one plan on a running stack."""

    def __init__(self, stack: Stack, plan: DemoPlan, say: Say) -> None:
        if stack.sandbox is None:
            raise SettingsError("the demo needs a started stack")
        self.stack, self.plan, self.say = stack, plan, say
        self.sandbox = stack.sandbox
        self.ledger: Ledger = open_ledger()
        self.authenticators = Authenticators(ENROLLED_BY)

    def run(self) -> list[dict[str, Any]]:
        """Both rollouts; a report for each."""
        self.sandbox.set_plan_speed(self.plan.speed)
        self.say(f"\n── 1. {self.plan.name} 2.0.0: to 100 % ──")
        first = self._one("2.0.0", fault=False)
        self._retire_canary(open_ledger().get(first["id"]).serial)
        self.say(f"\n── 2. {self.plan.name} 2.1.0: with 30 % errors switched on at {FAULT_AT_PERCENT} % ──")
        second = self._one("2.1.0", fault=True)
        return [first, second]

    def _retire_canary(self, serial: int) -> None:
        """What follows a completed rollout: its version is the stable one now, and the canary's side is free again."""
        last = Stamp((serial + 1) * TOKENS_PER_ROLLOUT - 1, "demo", "retire")
        with self.sandbox.router() as router:
            router.write(0, last)

    def _one(self, version: str, *, fault: bool) -> dict[str, Any]:
        began = time.time()
        rollout, _ = register(
            self.plan.name, version, reason="demo", started_by="ci", speed=self.plan.speed, dry_run=False, again=False
        )
        parameters = {
            "plan": self.plan.name,
            "version": version,
            "reason": "demo",
            "started_by": "ci",
            "speed": self.plan.speed,
        }
        prefect_api.start_run(f"rollout/{self.plan.name}", parameters, rollout.id, [rollout.id])
        memory = Memory(self.ledger)
        people = People(self.ledger, rollout, self.plan.surveys, self.authenticators, self.say)
        faulty = False
        with View(self.ledger, rollout.id) as view:
            deadline = time.monotonic() + RUN_TIMEOUT_S
            while (row := view.show().rollout).active:
                people.act()
                memory.look()
                if fault and not faulty and self._soaks_at(row, FAULT_AT_PERCENT):
                    self.sandbox.fault("canary", **FAULT)
                    faulty = True
                    self.say(f"           !! fault switched on in the new version: {FAULT}")
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"{rollout.id} did not end within {RUN_TIMEOUT_S:g} s: {row.status_text}; see {self.stack.home}/logs"
                    )
                time.sleep(POLL_S)
        time.sleep(1.0)  # the load generator writes its log in batches; the last requests are wanted
        self.sandbox.clear_faults("canary")
        return {
            **self._report(rollout.id, began),
            "memory_mb": {"all": round(memory.all_of_it / 1e6), "watch": round(memory.watch / 1e6)},
        }

    def _soaks_at(self, row: Rollout, percent: int) -> bool:
        return row.weight_percent == percent and any(
            wait.kind == "soak" and wait.is_open and wait.watched_s for wait in self.ledger.waits(row.id)
        )

    def _report(self, rollout_id: str, began: float) -> dict[str, Any]:
        told = report(Workspace.open(rollout_id, 0))
        load = self.sandbox.load_summary(since_s=began)
        exposure = load.exposure_ms if told["outcome"] != "completed" else None
        return {
            "plan": self.plan.name,
            "id": rollout_id,
            "outcome": told["outcome"],
            "phases": [
                {
                    "name": phase["name"],
                    "weights": phase["weights"],
                    "findings": [
                        {"name": one["name"], "verdict": one["verdict"], "reason": one["reason"]}
                        for one in phase["findings"]
                    ],
                    "seconds": phase["seconds"],
                }
                for phase in told["phases"]
            ],
            "breach_to_safe_ms": None if exposure is None else round(exposure, 1),
            "requests": {"served": load.served, "lost": load.lost, "lost_by_side": load.lost_by_side},
            "seconds": round(time.time() - began, 1),
        }


class Memory:
    """The most memory that everything took, and that the watch took, in bytes; looked at once a second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked_at = 0.0
        self.all_of_it = 0
        self.watch = 0

    def look(self) -> None:
        """Measure, unless that was done within the last second."""
        if time.monotonic() - self._looked_at < 1.0:
            return
        self._looked_at = time.monotonic()
        lease = self._ledger.lease("watch")
        watch_pid = int(lease.holder.rpartition(":")[2]) if lease else os.getpid()
        self.all_of_it = max(self.all_of_it, memory_bytes({os.getpid(), *descendants(os.getpid())}))
        self.watch = max(self.watch, memory_bytes({watch_pid}))


class Authenticators:
    """What the people of the demo have on their telephones; enrolled as `chrysalis people enrol` does."""

    def __init__(self, enrolled_by: str) -> None:
        people = all_people()
        self._secrets = {name: codes.new_secret() for name in people.people}
        self._used: set[tuple[str, str]] = set()
        for name, secret in self._secrets.items():
            enrol(name, secret, by=enrolled_by)

    def code(self, person: str) -> str:
        """A code of theirs that was not used yet, waited for where there is none."""
        while (made := self.code_at_hand(person)) is None:
            time.sleep(POLL_S)
        return made

    def code_at_hand(self, person: str) -> str | None:
        """A code of this half minute or those beside it that was not used yet."""
        now, step = utc_now(), timedelta(seconds=codes.STEP_S)
        for at in (now, now - step, now + step):
            if (person, made := codes.code_at(self._secrets[person], at)) not in self._used:
                return made
        return None

    def used(self, person: str, code: str) -> None:
        """That code was entered."""
        self._used.add((person, code))


class People:
    """The people of the plan: they enter what surveys said, and sign; the last signature comes through the UI's form."""

    def __init__(
        self, ledger: Ledger, rollout: Rollout, surveys: dict[str, float], authenticators: Authenticators, say: Say
    ) -> None:
        self._ledger, self._id, self._say = ledger, rollout.id, say
        self._authenticators = authenticators
        self._plan: Plan = plan_of(rollout.id)
        self._surveys = surveys
        self._answered: set[tuple[int, int]] = set()
        self._measured_at = 0.0

    def act(self) -> None:
        """Do what somebody waits for."""
        if time.monotonic() - self._measured_at > SURVEY_EVERY_S:
            self._measured_at = time.monotonic()
            self._enter_surveys()
        for wait in self._ledger.waits(self._id):
            if wait.is_open and wait.kind == "sign_off" and wait.pauses and (wait.id, wait.pauses) not in self._answered:
                self._sign(wait)

    def _enter_surveys(self) -> None:
        for name, value in self._surveys.items():
            metric = self._plan.metrics.get(name)
            if metric is not None and isinstance(self._plan.sources[metric.source], ManualSource):
                measure.enter(self._id, name, value, by="ravi")

    def _sign(self, wait: Wait) -> None:
        workspace = Workspace.open(self._id, 0)
        planned, spec = approve.pending(workspace, wait.step_id)
        missing = list(approve.count(workspace, planned, spec).missing)
        signers = self._signers(self._plan.sign_offs[spec.rule].roles, missing)
        if not self._form_is_open():
            return
        for name in signers[:-1]:
            code = Code(self._authenticators.code(name))
            approve.sign(workspace, planned.id, name, decision="approve", comment="demo", door="cli", offered=code)
            self._authenticators.used(name, code.digits)
            self._say(f"           {name} signs {planned.title} on the command line, with a one-time code")
        signer = signers[-1]
        code_shown = self._authenticators.code(signer)
        answer = {"decision": "approve", "approver": signer, "comment": "demo, by the form", "code": code_shown}
        if not prefect_api.enter(str(workspace.rollout.flow_run_id), answer):
            return  # Prefect suspends a run a moment before its form is there; the next look presses again
        self._authenticators.used(signer, code_shown)
        self._answered.add((wait.id, wait.pauses))
        self._say(f"           {signer} signs {planned.title} in the form of the Prefect UI, with a one-time code")

    def _form_is_open(self) -> bool:
        run_id = self._ledger.get(self._id).flow_run_id
        return run_id is not None and prefect_api.flow_run_state(run_id) == ("PAUSED", "Suspended")

    def _signers(self, roles: tuple[str, ...], missing: list[str]) -> list[str]:
        """One for each role that must sign, or for a quorum the next one in turn: a code of theirs counts once."""
        wanted = [role for role in roles if role in missing] or [roles[len(self._answered) % len(roles)]]
        people = people_of(self._plan)
        return [people.holders(role)[0] for role in wanted]


def summary(runs: list[dict[str, Any]]) -> str:
    """The figures, for people."""
    lines = ["", "── summary ──"]
    for run in runs:
        lines.append(f"{run['id']}: {run['outcome']} in {run['seconds']} s")
        for phase in run["phases"]:
            weights = " → ".join(f"{weight} %" for weight in phase["weights"]) or "no weight"
            lines.append(f"    {phase['name']:<11} {weights:<38} {format_duration(round(phase['seconds'], 1)):>8}")
            lines += [f"        {one['verdict']:<12} {one['name']}: {one['reason']}" for one in phase["findings"]]
        if run["breach_to_safe_ms"] is not None:
            lines.append(f"    first error at the client → last request on the canary: {run['breach_to_safe_ms']:.0f} ms")
        memory = run["memory_mb"]
        lines.append(f"    memory at most: {memory['all']} MB in all, the watch {memory['watch']} MB")
        requests = run["requests"]
        lines.append(
            f"    requests: {requests['served']} served, {requests['lost']} lost {requests['lost_by_side'] or ''}".rstrip()
        )
    return "\n".join(lines)


def write_report(runs: list[dict[str, Any]], path: Path) -> None:
    """`demo-report.json`, for programs."""
    path.write_text(json.dumps({"runs": runs}, indent=2, ensure_ascii=False) + "\n")
