"""Readiness: four phases behind checklists and six people; each trigger, alert and operation; what is not ready stops."""

import time
from pathlib import Path
from typing import Any

from tasks import checklist, operations
from tasks.workspace import people_of, settings
from tests.systems.moves import (
    ON_CALL,
    at,
    done,
    fault,
    going_back,
    healed,
    operation,
    set_off,
    taken_back,
    told,
    value,
    weight,
)
from tests.systems.running import CaseFailed, Running
from tests.systems.table import Case, Move, System

ONCALL, DEPLOYMENT, EMERGENCY, USERS = (
    "CRYSTAL_ONCALL_URL",
    "CRYSTAL_DEPLOYMENT_URL",
    "CRYSTAL_EMERGENCY_URL",
    "CRYSTAL_USERS_URL",
)
DMITRI, SANJAY, CLARA = "dmitri", "sanjay", "clara"
"""DevOps lead, security, CTO."""
LIST_S = 400.0
"""A whole checklist is 109 items, npm, npx and restores among them: longest wait for one, and for the phase before it."""


# ── what is not ready ──


def source(running: Running) -> Path:
    return running.sandbox.folder / "repository" / "lib" / "fieldProtocol" / "coherence.ts"


def left_in_the_code(line: str) -> Move:
    def write(running: Running) -> None:
        running.kept["source"] = source(running).read_text()
        source(running).write_text(running.kept["source"] + line)

    return Move(f"!! in the code: {line.strip()}", do=write)


def taken_out_of_the_code() -> Move:
    """And the list is looked at again, as `chrysalis checklist again` does."""

    def mend(running: Running) -> None:
        source(running).write_text(running.kept["source"])
        checklist.check_again(running.workspace, by=DMITRI)

    return Move("taken out of the code, checked again", do=mend)


def no_go(item: str) -> Move:
    """Until the checklist says no-go because of that item, with no traffic on the new version."""

    def stops(running: Running) -> bool:
        waits = [one for one in running.ledger.waits(running.id) if one.is_open and one.kind == "checklist"]
        return any("no-go" in (said := str(one.detail["reason"])) and item in said for one in waits)

    return Move(f"no-go: {item}", until=stops, within_s=LIST_S)


def asked(title: str, within_s: float = LIST_S) -> Move:
    """Until the people are asked for that sign-off (`phase.name`)."""

    def waits(running: Running) -> bool:
        found = [one for one in running.ledger.waits(running.id) if one.is_open and one.kind == "sign_off"]
        return any(f"{(step := running.plan.step(one.step_id)).phase}.{step.title}" == title for one in found)

    return Move(f"asked: {title}", until=waits, within_s=within_s)


def says_no(person: str, why: str) -> Move:
    return Move(f"{person} says no: {why}", do=lambda running: running.reject(person, why))


def stays_watched(seconds: float) -> Move:
    """Nothing is taken back for so long."""

    def watched(running: Running) -> bool:
        began = running.kept.setdefault("watched_since", time.monotonic())
        if "begun rollback" in running.record():
            raise CaseFailed("it goes back")
        if time.monotonic() - began < seconds:
            return False
        del running.kept["watched_since"]
        return True

    return Move(f"nothing is taken back for {seconds:g} s", until=watched)


# ── operations ──


def replicas(wanted: int) -> Move:
    """Until the cluster itself says so."""

    def are(running: Running) -> bool:
        found: dict[str, Any] = dict(running.workspace.operator("cluster").read()["replicas"])
        return found == {"wanted": wanted, "ready": wanted}

    return Move(f"maia has {wanted} replicas", until=are)


def says(name: str, wanted: str, by: str = DMITRI) -> Move:
    """Run one of the plan's operations; its lines have these words."""

    def run(running: Running) -> None:
        running.kept[name] = "\n".join(operations.run(running.id, name, by))

    return Move(f"operation {name} says {wanted}", do=run, until=lambda running: wanted in running.kept[name])


def attested(section: str) -> Move:
    """Each item of the section that people attest, by one who may."""

    def attest(running: Running) -> None:
        named, people = checklist.list_of_plan(running.plan, "readiness", settings()), people_of(running.plan)
        for item in named.checklist.items_of([section]):
            if item.attest is not None:
                given = {"person": people.holders(item.attest.role)[0], "evidence": "case", "rollout_id": running.id}
                checklist.attest(running.ledger, running.plan, named, item, **given)

    return Move(f"attested: {section}", do=attest)


def incident_is_written() -> Move:
    """Until the incident report of this rollout is there."""
    return Move(
        "the incident is documented", until=lambda running: "done rollback.full.incident_documented" in running.record()
    )


# ── what a case is made of ──

BACK = (
    "begun rollback",
    "done rollback.full.legacy_mode",
    "done rollback.full.legacy_is_active",
    "done rollback.full.users_told",
    "done rollback.full.incident_documented",
    "done rollback.verify",
    "done rollback",
)
SAFE_BACK = ("watch: make_safe * → {'traffic': 0*", *BACK)
LEGACY = (
    weight(0),
    value("mode", "legacy"),
    value("crystalWeight", 0),
    told(USERS, "Crystal was rolled back to legacy mode"),
)


def phase(name: str, percent: int) -> tuple[str, ...]:
    """What a phase does, in its order."""
    steps = [
        "ready",
        "launch_criteria",
        "launch_measured",
        "go_no_go",
        "authorisable",
        "authorise",
        "configure",
        *([f"set weight {percent} %"] if percent else []),
        "first_hour",
        "after_first_hour",
        "verify_first_hour",
        "first_day",
        "after_first_day",
        "verify_first_day",
        "first_week",
        "verify_first_week",
        "verification",
    ]
    return tuple(f"done {name}.{step}" for step in steps)


SYSTEM = System(
    "readiness",
    speed=80_000,
    tables=("system_health", "resonance_events"),
    cases=(
        # What a checklist asks over days (coherence, memory, response times) is spoilt by the cases at the end: one stack
        # serves them all, and checklists look at the real clock.
        Case(
            "forward",
            (
                at("foundation.first_week", LIST_S),
                weight(0),
                value("mode", "legacy"),
                at("hybrid.first_week", LIST_S),
                weight(30),
                value("mode", "hybrid"),
                value("features.collectiveResonance", False),
                at("transition.first_week", LIST_S),
                weight(70),
                value("features.collectiveResonance", True),
                at("crystal.first_week", LIST_S),
                weight(100),
                value("mode", "crystal"),
                value("legacyFallback", True),
                done("crystal.report"),
            ),
            outcome="completed",
            order=(
                *phase("foundation", 0),
                *phase("hybrid", 30),
                *phase("transition", 70),
                *phase("crystal", 100),
                "done crystal.report",
            ),
            never=("begun rollback*", "watch: make_safe*"),
        ),
        Case(
            "vulnerability_at_100",
            (
                at("crystal.first_week", 2 * LIST_S),
                weight(100),
                set_off("vulnerability_reported", SANJAY),
                going_back(),
                told(EMERGENCY, "vulnerability_reported fires"),
                *LEGACY,
            ),
            order=("done crystal.set weight 100 %", "begun rollback", *BACK[1:]),
            never=("done crystal.first_week",),
        ),
        Case(
            "operations_and_emergency_rollback",
            (
                at("hybrid.first_week", LIST_S),
                told(DEPLOYMENT, "emergence_pattern fires"),
                operation("health_check", DMITRI),
                says("view_logs", '"message": "serving"'),
                operation("scale_up", DMITRI),
                replicas(10),
                operation("enable_crystal_mode", DMITRI),
                value("mode", "crystal"),
                operation("emergency_rollback", ON_CALL),
                weight(0),
                going_back(),
                incident_is_written(),
                *LEGACY,
                attested("Rollback verification"),
                says("verify_rollback", "go: all 5 items"),
            ),
            order=("dmitri: operation scale_up*", "elena: make_safe*", *BACK),
            speed=20_000,
        ),
        Case(
            "errors_at_30",
            (
                at("hybrid.first_week", LIST_S),
                weight(30),
                fault(error_rate=0.3),
                going_back(),
                weight(0),
                told(EMERGENCY, "error_rate_high fires"),
                healed(),
                *LEGACY,
            ),
            order=("done hybrid.set weight 30 %", *SAFE_BACK),
            never=("done hybrid.first_week", "begun transition.*"),
            speed=40_000,
        ),
        Case(
            "an_item_fails_and_blocks",
            (
                left_in_the_code("console.log('left');\n"),
                no_go("code.no_console_log"),
                weight(0),
                taken_out_of_the_code(),
                done("foundation.ready", LIST_S),
                taken_back(),
            ),
            order=("done foundation.schema", "done foundation.ready", *BACK),
            never=("done foundation.go_no_go",),
        ),
        Case(
            "one_of_the_six_says_no",
            (asked("foundation.go_no_go"), says_no(SANJAY, "a finding is open"), going_back(), *LEGACY),
            outcome="rejected",
            order=("done foundation.launch_measured", *BACK),
            never=("done foundation.go_no_go", "done foundation.configure"),
        ),
        Case(
            "not_authorised",
            (asked("foundation.authorise"), says_no(CLARA, "the window is closed"), going_back(), *LEGACY),
            outcome="rejected",
            order=("done foundation.go_no_go", "done foundation.authorisable", *BACK),
            never=("done foundation.authorise", "done foundation.configure"),
        ),
        Case(
            "connections_are_exhausted",
            (
                at("foundation.first_week", LIST_S),
                fault(database_connections=60),
                going_back(),
                told(EMERGENCY, "connections_exhausted fires"),
                healed(),
                *LEGACY,
            ),
            order=SAFE_BACK,
            speed=10_000,
        ),
        Case(
            "slow_then_very_slow",
            (
                at("hybrid.first_week", LIST_S),
                fault(latency_ms=1200),
                told(ONCALL, "slow_responses fires"),
                weight(30),
                fault(latency_ms=2400),
                going_back(),
                told(EMERGENCY, "responses_very_slow fires"),
                healed(),
                *LEGACY,
            ),
            order=("warning: *slow_responses fires*", *SAFE_BACK),
            never=("done hybrid.first_week",),
            speed=20_000,
        ),
        Case(
            "coherence_dips_then_stays_low",
            (
                at("foundation.first_hour", LIST_S),
                # Low for two of the five minutes and high again takes nothing back.
                fault(coherence=0.3),
                stays_watched(2.0),
                healed(),
                stays_watched(8.0),
                fault(coherence=0.3),
                going_back(),
                told(EMERGENCY, "coherence_low fires"),
                healed(),
                *LEGACY,
            ),
            order=("done foundation.both_versions", *SAFE_BACK),
            never=("done foundation.first_hour",),
            speed=60,
        ),
        Case(
            "memory_grows_without_bound",
            (
                at("foundation.first_week", LIST_S),
                fault(memory_growth_mb_s=4.0),
                going_back(),
                told(EMERGENCY, "memory_unbounded fires"),
                healed(),
                *LEGACY,
            ),
            order=SAFE_BACK,
            speed=10_000,
        ),
    ),
)
