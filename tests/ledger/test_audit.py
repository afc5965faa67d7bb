"""The audit has every change, refuses to be changed, and shows it when somebody did all the same."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, insert, select, text, update

from chrysalis.errors import LedgerUnavailable
from chrysalis.ledger import AuditHead, Ledger, schema
from tests.ledger.samples import LATER, NOW, sign_off, started

AUDIT = schema.audit


def lived(ledger: Ledger) -> str:
    """A rollout with one change of each kind."""
    rollout_id, token = started(ledger)
    ledger.attach_flow_run(rollout_id, "run-1", now=NOW)
    ledger.set_state(rollout_id, token, state="running", now=NOW)
    ledger.begin_step(rollout_id, token, step_id="a", kind="set_weight", detail={}, now=NOW)
    ledger.end_step(rollout_id, token, step_id="a", outcome="done", detail={}, now=NOW)
    ledger.set_position(rollout_id, token, phase="hybrid", weight_percent=30, status_text="", now=NOW)
    wait = ledger.open_wait(rollout_id, token, step_id="b", kind="soak", needed_s=1, detail={}, now=NOW)
    ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
    ledger.close_wait(wait.id, "passed", now=NOW)
    ledger.record_findings(rollout_id, "c", findings=[], now=NOW)
    ledger.record_baseline(rollout_id, "before", metric="p95", samples=[], now=NOW)
    ledger.record_sign_off(sign_off(rollout_id))
    ledger.settle_request(ledger.request(rollout_id, "pause", by="kim", reason="", now=NOW).id, "done", now=NOW)
    ledger.record_action(rollout_id, token, actor="watch", action="x", before=1, after=0, cause=None, now=NOW)
    ledger.disarm_guard(rollout_id, token, now=NOW)
    lease = ledger.acquire_lease("watch", "w-1", ttl_s=10, now=NOW)
    assert lease is not None
    ledger.release_lease(lease, now=NOW)
    ledger.set_state(rollout_id, token, state="ended", outcome="completed", now=LATER)
    return rollout_id


def test_every_change_is_an_entry_with_its_actor(ledger: Ledger) -> None:
    rollout_id = lived(ledger)
    assert [(entry.action, entry.actor) for entry in ledger.audit()] == [
        ("rollout_started", "kim"),
        ("token_taken", "flow-1"),
        ("flow_run_attached", "flow-1"),
        ("state_set", "flow-1"),
        ("step_begun", "flow-1"),
        ("step_ended", "flow-1"),
        ("position_set", "flow-1"),
        ("wait_opened", "flow-1"),
        ("guard_armed", "flow-1"),
        ("wait_closed", "flow-1"),
        ("findings_recorded", "flow-1"),
        ("baseline_recorded", "flow-1"),
        ("signed", "ada"),
        ("request_made", "kim"),
        ("request_settled", "flow-1"),
        ("acted", "watch"),
        ("guard_disarmed", "flow-1"),
        ("lease_acquired", "w-1"),
        ("lease_released", "w-1"),
        ("state_set", "flow-1"),
    ]
    assert {entry.subject for entry in ledger.audit()} == {rollout_id, "lease:watch"}
    assert ledger.verify_audit() == []


def test_entries_are_found_by_number_time_and_subject(ledger: Ledger) -> None:
    rollout_id = lived(ledger)
    entries = ledger.audit()
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert ledger.audit(since=18) == entries[18:]
    assert ledger.audit(since=LATER) == entries[-1:]
    assert len(ledger.audit(subject="lease:watch")) == 2
    assert ledger.audit(subject=rollout_id, limit=3) == entries[:3]
    assert entries[0].at == "2026-03-01T12:00:00.123456+00:00"


def test_repeating_a_call_adds_no_entry(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    for _ in range(2):
        ledger.request(rollout_id, "abort", by="kim", reason="", now=NOW)
        ledger.set_state(rollout_id, token, state="running", now=NOW)
        ledger.open_wait(rollout_id, token, step_id="b", kind="soak", needed_s=1, detail={}, now=NOW)
    assert ledger.audit_head().seq == 5


STATEMENTS = [
    pytest.param(update(AUDIT).where(AUDIT.c.seq == 2).values(actor="eve"), id="update"),
    pytest.param(delete(AUDIT).where(AUDIT.c.seq == 2), id="delete"),
    pytest.param(delete(AUDIT), id="delete all"),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_database_refuses_to_change_the_audit(ledger: Ledger, statement: object) -> None:
    lived(ledger)
    with pytest.raises(LedgerUnavailable, match="the audit is append-only"):
        run(ledger, statement)
    assert ledger.verify_audit() == []


def test_sqlite_refuses_to_replace_an_entry(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        lived(ledger)
        with pytest.raises(LedgerUnavailable, match="the audit is append-only"):
            run(ledger, text("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2"))


def test_postgresql_refuses_to_truncate_the_audit(postgres_url: str) -> None:
    with Ledger.open(postgres_url) as ledger:
        lived(ledger)
        with pytest.raises(LedgerUnavailable, match="the audit is append-only"):
            run(ledger, text("TRUNCATE audit"))


def changed(column: str, value: object) -> Callable[[Ledger], None]:
    return lambda ledger: run(ledger, update(AUDIT).where(AUDIT.c.seq == 3).values({column: value}))


def inserted(ledger: Ledger) -> None:
    run(ledger, text("UPDATE audit SET seq = seq + 1000 WHERE seq > 2"))
    run(ledger, text("UPDATE audit SET seq = seq - 999 WHERE seq > 1000"))
    with ledger._database.exclusive() as connection:
        row = connection.execute(select(AUDIT).where(AUDIT.c.seq == 2)).mappings().one()
        connection.execute(insert(AUDIT).values({**row, "seq": 3}))


def reordered(ledger: Ledger) -> None:
    for statement in ("SET seq = 1000 WHERE seq = 2", "SET seq = 2 WHERE seq = 3", "SET seq = 3 WHERE seq = 1000"):
        run(ledger, text(f"UPDATE audit {statement}"))


TAMPERING = [
    *(pytest.param(changed(name, "forged"), id=name) for name in [column.name for column in AUDIT.columns] if name != "seq"),
    pytest.param(changed("detail", "{}"), id="detail, valid"),
    pytest.param(lambda ledger: run(ledger, delete(AUDIT).where(AUDIT.c.seq == 3)), id="removed"),
    pytest.param(lambda ledger: run(ledger, delete(AUDIT).where(AUDIT.c.seq > 15)), id="truncated"),
    pytest.param(lambda ledger: run(ledger, delete(AUDIT)), id="emptied"),
    pytest.param(inserted, id="inserted"),
    pytest.param(reordered, id="reordered"),
]


@pytest.mark.parametrize("tamper", TAMPERING)
def test_whoever_gets_past_the_triggers_is_found(ledger: Ledger, tamper: Callable[[Ledger], None]) -> None:
    lived(ledger)
    remove_triggers(ledger)
    tamper(ledger)
    assert ledger.verify_audit() != []


def test_cutting_the_end_and_the_head_is_found_with_a_remembered_head(ledger: Ledger) -> None:
    lived(ledger)
    remembered = ledger.audit_head()
    remove_triggers(ledger)
    run(ledger, delete(AUDIT).where(AUDIT.c.seq > 15))
    run(ledger, update(schema.audit_head).values(seq=15, hash=ledger.audit()[-1].hash))
    assert ledger.verify_audit() == []
    assert [problem.seq for problem in ledger.verify_audit(remembered)] == [remembered.seq]


def test_a_remembered_head_stays_good_while_the_chain_grows(ledger: Ledger) -> None:
    remembered: AuditHead = ledger.audit_head()
    assert ledger.verify_audit(remembered) == []
    rollout_id = lived(ledger)
    remembered = ledger.audit_head()
    ledger.request(rollout_id, "roll_back", by="kim", reason="", now=NOW)
    assert ledger.verify_audit(remembered) == []


def run(ledger: Ledger, statement: object) -> None:
    with ledger._database.exclusive() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def remove_triggers(ledger: Ledger) -> None:
    names = ["audit_no_change ON audit"]
    if ledger._database.is_sqlite:
        names = ["audit_no_update", "audit_no_delete", "audit_no_replace"]
    for name in names:
        run(ledger, text(f"DROP TRIGGER {name}"))
