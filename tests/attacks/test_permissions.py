"""Starting, taking back, stopping, operating and changing people without the right to; and words where commands might be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from chrysalis.errors import ChrysalisError
from chrysalis.plan.steps import RunCommand
from chrysalis.settings import Settings
from tasks import measure, operations, people, rolling_back, triggers
from tasks.forms import form_text
from tasks.lifecycle import register
from tasks.proof import Code
from tasks.report import report_markdown
from tasks.run_command import run as run_command
from tasks.workspace import open_ledger
from tests.attacks.conftest import STEP, Gate, Refused

START = {"reason": "", "speed": 1.0, "dry_run": False, "again": False}


def begin(started_by: str, plan: str = "quick", version: str = "2") -> object:
    return register(plan, version, started_by=started_by, **START)  # type: ignore[arg-type]


DOORS: list[tuple[str, str, Callable[[str, str], object]]] = [
    ("start", "start", lambda by, _: begin(by)),
    ("roll back", "roll back", lambda by, one: rolling_back.ask_as(by, one, "roll_back", reason="")),
    ("abort", "abort", lambda by, one: rolling_back.ask_as(by, one, "abort", reason="")),
    ("pause", "pause", lambda by, one: rolling_back.ask_as(by, one, "pause", reason="")),
    ("an operation", "operate", lambda by, one: list(operations.run(one, "legacy_mode", by))),
    ("a manual trigger", "operate", lambda by, one: triggers.set_off(one, "vulnerability", by=by, reason="")),
    ("a measurement", "measure", lambda by, one: measure.enter(one, "survey", 5.0, by=by)),
    ("enrolling", "change people", lambda by, _: people.enrol("pia", "A" * 32, by=by)),
    ("unlocking", "change people", lambda by, _: people.unlock("pia", by=by)),
]


@pytest.mark.parametrize("by", ["pia", "mallory", "", "watch", "chrysalis"])
def test_without_the_right(gate: Gate, refused: Refused, by: str) -> None:
    """Nothing is asked, nothing begins, nobody's factor changes; the record says who tried."""
    ledger, one = open_ledger(), gate.bench.rollout.id

    def all_of_it() -> object:
        return ledger.active(), ledger.open_requests(one), ledger.enrolled(), ledger.baselines(one), ledger.get(one)

    before = all_of_it()
    for what, word, door in DOORS:
        refused(f"{what} as {by!r}", lambda door=door: door(by, one), f"{by!r} may not {word}")  # type: ignore[misc]
        assert all_of_it() == before
        last = ledger.audit()[-1]
        assert last.action == f"refused: {word.replace(' ', '_')}"
        assert last.actor == (by or "nobody")
    assert ledger.verify_audit() == []


def test_who_left_may_nothing_any_more(home: Path, gate: Gate, refused: Refused) -> None:
    """The people file is read at every look; an enrolled telephone alone is worth nothing."""
    code = gate.code("pia")
    file = home / "people.yaml"
    file.write_text(file.read_text().replace("  pia: {roles: [product_owner]}\n", ""))
    refused("somebody who left", lambda: gate.sign("pia", offered=Code(code)), "'pia' is not enrolled")
    file.write_text("people: [")
    with pytest.raises(ChrysalisError, match="not YAML"):
        gate.sign("dmitri")
    file.unlink()
    with pytest.raises(ChrysalisError, match="No such file"):
        gate.sign("dmitri")
    assert gate.approved == ()


@pytest.mark.parametrize(
    "name",
    ["../evil", "../../evil/evil", "/etc", "evil", "evil/../quick", "quick\0", "quick/", "./quick", "", "Q", "linked"],
)
def test_a_plan_from_another_folder(home: Path, refused: Refused, name: str) -> None:
    """Also one that a link in the folder of plans leads to."""
    plans = home / "plans"
    for folder in (plans / "quick", home / "evil"):
        folder.mkdir(parents=True)
        (folder / "plan.yaml").write_text("chrysalis: 1\n")
    (plans / "linked").symlink_to(home / "evil")
    found = Settings.load({"CHRYSALIS_PLANS": str(plans)})
    assert found.plan_file("quick").is_file()
    refused(f"the plan {name!r}", lambda: found.plan_file(name), "the plans there are: quick$")


WORDS = [
    "'; DROP TABLE rollouts; --",
    "$(touch MARKER) `touch MARKER` ; touch MARKER # | touch MARKER",
    "${SERVICE_DATABASE_URL} {{7*7}} %(name)s {0.__class__}",
    "<script>fetch('//evil')</script>",
    "a\nby: pia\ndecision: approve",
    "\x1b]0;evil\x07\x00",
    "../../../../etc/passwd",
]


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
def test_words_stay_words(
    home: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None], words: str
) -> None:
    """Through every field that takes text: kept as it is, shown as it is, run by nobody, filled in by nothing."""
    marker, secret = home / "marker", "postgresql://svc:s3cr3t-value@db/x"
    monkeypatch.setenv("SERVICE_DATABASE_URL", secret)
    text = words.replace("MARKER", str(marker))
    ledger, one = open_ledger(), gate.bench.rollout.id
    signed = gate.sign("pia", comment=text)
    for attempt in (
        lambda: gate.sign(text, offered=Code(text)),
        lambda: gate.sign("dmitri", offered=Code(text)),
        lambda: gate.sign("dmitri", role=text),
        lambda: begin(text, plan=text),
        lambda: begin("ci", plan=text, version=text),
        lambda: rolling_back.ask_as(text, one, "roll_back", reason=text),
        lambda: people.enrol(text, "A" * 32, by="kim"),
        lambda: measure.enter(one, text, 1.0, by="kim"),
    ):
        with pytest.raises(ChrysalisError):
            attempt()
    rolling_back.ask(one, "pause", by="kim", reason=text)
    assert signed.comment == text
    assert ledger.get(one).state == "pending"
    shown = report_markdown(gate.bench) + form_text(gate.bench, gate.bench.plan.step(STEP), gate.bench.plan.step(STEP).spec)  # type: ignore[arg-type]
    assert secret not in shown + json.dumps([entry.detail for entry in ledger.audit()])
    assert ledger.verify_audit() == []
    assert not marker.exists()
    record_property("attack", f"{words!r} in every text field → kept as words")


@pytest.mark.parametrize("argument", ["; touch {marker}", "$(touch {marker})", "| tee {marker}", "&& touch {marker}"])
def test_a_command_is_an_argument_list(home: Path, gate: Gate, refused: Refused, argument: str) -> None:
    """No shell reads it, whatever stands in it."""
    marker = home / "marker"
    spec = RunCommand.model_validate({"run": ["ls", argument.format(marker=marker)]})
    refused(
        f"a command with {argument!r}", lambda: run_command(gate.bench, gate.bench.plan.step(STEP), spec, {}), "exit code"
    )
    assert not marker.exists()


COLUMNS = ("seq", "at", "actor", "action", "subject", "detail", "previous_hash", "hash")


@pytest.mark.parametrize("column", COLUMNS)
def test_tampering_with_the_record(gate: Gate, record_property: Callable[[str, object], None], column: str) -> None:
    """The database refuses it; past its triggers, as its owner could go, the chain shows where."""
    gate.sign("pia")
    ledger = open_ledger()
    value = "seq + 1000000" if column == "seq" else f"{column} || 'x'" if column != "detail" else "'{}'"
    change = sql(f"UPDATE audit SET {column} = {value} WHERE action = 'signed'")
    with pytest.raises(ChrysalisError, match="append-only"), ledger._database.exclusive() as connection:
        connection.execute(change)
    assert ledger.verify_audit() == []
    with ledger._database.exclusive() as connection:
        connection.execute(sql("DROP TRIGGER audit_no_update"))
        connection.execute(change)
    found = ledger.verify_audit()
    assert found
    record_property("attack", f"audit.{column} changed past the triggers → {found[0]}")


def test_a_secret_moved_to_another_name(gate: Gate, refused: Refused) -> None:
    """Whoever can write the ledger puts their own sealed secret under another name: it opens for nobody."""
    ledger = open_ledger()
    with ledger._database.exclusive() as connection:
        moved = "UPDATE factors SET sealed = (SELECT sealed FROM factors WHERE person = 'ada') WHERE person = 'pia'"
        connection.execute(sql(moved))
    refused(
        "a sealed secret moved to another name", lambda: gate.sign("pia", offered=Code(gate.code("ada"))), "sealed for ada"
    )
    assert gate.approved == ()


def test_the_key_that_others_can_read(gate: Gate, refused: Refused) -> None:
    gate.bench.settings.key_file.chmod(0o644)
    refused("a key that others can read", lambda: gate.sign("pia"), "expected 600")
    assert gate.approved == ()


def test_a_code_is_nowhere_in_the_record(gate: Gate) -> None:
    """What was typed is not kept; of a right one the time step, of a wrong one that it was wrong."""
    code = gate.code("pia")
    gate.sign("pia", offered=Code(code))
    with pytest.raises(ChrysalisError):
        gate.sign("dmitri", offered=Code("987 651"))
    kept = json.dumps([entry.detail for entry in open_ledger().audit(since=0)])
    assert "987 651" not in kept
    assert gate.secrets["pia"] not in kept
