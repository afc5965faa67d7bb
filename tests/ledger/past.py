"""A ledger with a long past: thousands of rollouts with full journals, written straight into the tables."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Table, insert, text, update

from chrysalis.ledger import AuditHead, Ledger, schema
from chrysalis.ledger.chain import GENESIS, Note, link
from chrysalis.ledger.database import Database
from tests.ledger.samples import NOW

STEPS = 10
"""Steps per rollout, each begun and done."""
AUDITED_AT_ONCE = 2_000
"""Audit entries per transaction: one that hashes for longer than the ledger's patience is cut off."""


def fill(ledger: Ledger, *, rollouts: int, active: int) -> None:
    """That many rollouts; the last `active` are guarded and soak. Each line of a journal has its audit entry."""
    rows: dict[Table, list[dict[str, Any]]] = {schema.rollouts: [], schema.journal: [], schema.waits: [], schema.guards: []}
    for n in range(1, rollouts + 1):
        _add(rows, n, ended=n <= rollouts - active)
    with ledger._database.exclusive(unhurried=True) as connection:
        connection.execute(insert(schema.plan_texts), {"text_hash": "t", "plan_text": "service: maia\n" * 500})
        for table, values in rows.items():
            connection.execute(insert(table), values)
        connection.execute(update(schema.serials).values(value=rollouts))
    journal = rows[schema.journal]
    for first in range(0, len(journal), AUDITED_AT_ONCE):
        with ledger._database.write(NOW) as tx:
            for line in journal[first : first + AUDITED_AT_ONCE]:
                tx.note("flow-1", f"step_{line['event']}", line["rollout_id"], line["detail"])
    with ledger._database.exclusive() as connection:
        connection.execute(text("ANALYZE"))


def write_as_version_0001(database: Database) -> None:
    """An active rollout, and an audit whose entries do not say where they came from, as the first version wrote them."""
    rows: dict[Table, list[dict[str, Any]]] = {schema.rollouts: [], schema.journal: [], schema.waits: [], schema.guards: []}
    _add(rows, 1, ended=False)
    head = AuditHead(0, GENESIS)
    with database.exclusive() as connection:
        connection.execute(insert(schema.plan_texts), {"text_hash": "t", "plan_text": "service: maia\n"})
        for table, values in rows.items():
            connection.execute(insert(table), values)
        for line in rows[schema.journal]:
            entry = link(Note(NOW, "flow-1", f"step_{line['event']}", line["rollout_id"], line["detail"]), head)
            columns = ("seq", "at", "actor", "action", "subject", "detail", "previous_hash", "hash")
            connection.execute(insert(schema.audit), {name: getattr(entry, name) for name in columns})
            head = AuditHead(entry.seq, entry.hash)
        connection.execute(update(schema.serials).values(value=1))
        connection.execute(update(schema.audit_head).values(seq=head.seq, hash=head.hash))


def _add(rows: dict[Table, list[dict[str, Any]]], n: int, *, ended: bool) -> None:
    rollout_id, at = f"crystal-{n}", NOW + timedelta(minutes=n)
    service = f"old-{n % 100}" if ended else f"service-{n}"
    rows[schema.rollouts].append(
        {
            "id": rollout_id,
            "serial": n,
            "plan_name": "crystal",
            "service": service,
            "version": f"1.{n}",
            "plan_hash": "h" * 64,
            "text_hash": "t",
            "idempotency_key": f"{service}-1.{n}",
            "started_by": "kim",
            "reason": "release",
            "speed": 1.0,
            "dry_run": False,
            "parameters": {"segment": "beta"},
            "state": "ended" if ended else "waiting",
            "outcome": "completed" if ended else None,
            "phase": "hybrid",
            "weight_percent": 100 if ended else 30,
            "status_text": "soaking",
            "token": 3,
            "holder": "flow-1",
            "flow_run_id": None,
            "started_at": at,
            "updated_at": at,
            "ended_at": at if ended else None,
        }
    )
    for step in range(STEPS):
        shared = {"rollout_id": rollout_id, "step_id": f"s.{step}", "kind": "set_weight", "attempt": 1, "token": 3, "at": at}
        rows[schema.journal] += [{**shared, "event": event, "detail": {"to": 30}} for event in ("begun", "done")]
    rows[schema.waits].append(
        {
            "rollout_id": rollout_id,
            "step_id": "soak",
            "attempt": 1,
            "kind": "soak",
            "needed_s": 3600.0,
            "watched_s": 10.0,
            "detail": {},
            "observed": {"error_ratio": 0.01},
            "pauses": 1,
            "opened_at": at,
            "ticked_at": at,
            "closed_at": at if ended else None,
            "outcome": "passed" if ended else None,
        }
    )
    triggers = {f"trigger-{name}": {"at_most": "2%", "for_s": 60} for name in range(4)}
    states = {name: {"pending_since_s": 1.5, "true_for_s": 12.0} for name in triggers}
    rows[schema.guards].append(
        {
            "rollout_id": rollout_id,
            "armed_at": None if ended else at,
            "triggers": {} if ended else triggers,
            "trigger_states": {} if ended else states,
        }
    )
