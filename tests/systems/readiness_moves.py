"""What is done to Crystal's readiness, and looked for: what is not ready, checklists, refusals, the cluster."""

import time
from pathlib import Path
from typing import Any

from tasks import checklist, operations
from tasks.workspace import people_of, settings
from tests.systems.running import CaseFailed, Running
from tests.systems.table import Move

DMITRI = "dmitri"
"""DevOps lead."""
LIST_S = 400.0
"""A whole checklist is 109 items, npm, npx and restores among them: longest wait for one, and for the phase before it."""


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
