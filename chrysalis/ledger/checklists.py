"""What people attested, and how each run of a checklist went.

An attestation is never changed: another one of the same item takes its place, and one that withdraws it is one more. Of the
runs only the last ones of each list are kept; the audit keeps the decision of every one, and the hash of what it found.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.canonical import canonical_hash
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Attestation, ChecklistRun
from chrysalis.ledger.rows import columns, record, records

RUNS_KEPT = 50
"""Runs of one list, and of one step, that are kept; older ones are in the audit by their hash."""

_ATTESTATION = columns(schema.attestations, Attestation)
_RUN = columns(schema.checklist_runs, ChecklistRun)


class Checklists(Part):
    """Attestations and runs."""

    def attest(
        self,
        list_name: str,
        item: str,
        *,
        item_hash: str,
        person: str,
        role: str,
        evidence: str,
        expires_at: datetime,
        now: datetime,
        rollout_id: str | None = None,
        withdrawn: bool = False,
    ) -> Attestation:
        """Write down that a person in a role says so, or with `withdrawn` no longer does. Raises UnknownRollout."""
        if not withdrawn and expires_at <= now:
            raise LedgerError(f"attestation of {item}: it would expire on {expires_at:%Y-%m-%d %H:%M}, before it is made")
        table = schema.attestations
        told = {"item": item, "item_hash": item_hash, "role": role, "evidence": evidence, "rollout_id": rollout_id}
        with self._database.write(now) as tx:
            if rollout_id is not None:
                tx.rollout(rollout_id)
            mine = (table.c.list == list_name) & (table.c.item == item)
            before = tx.one(select(*_ATTESTATION).where(mine).order_by(table.c.id.desc()))
            values = {**told, "list": list_name, "person": person, "withdrawn": withdrawn}
            made = insert(table).values(**values, at=tx.now, expires_at=expires_at).returning(*_ATTESTATION)
            kept = record(Attestation, tx.execute(made).one())
            stood = None if before is None else {"by": before.person, "at": before.at, "withdrawn": before.withdrawn}
            detail = {**told, "before": stood, "after": {"by": person, "withdrawn": withdrawn, "expires_at": expires_at}}
            tx.note(person, "attestation_withdrawn" if withdrawn else "attested", f"checklist:{list_name}", detail)
            return kept

    def attestations(self, list_name: str, rollout_id: str | None = None) -> tuple[Attestation, ...]:
        """Those of the list, oldest first, that were made for every rollout or for this one."""
        table = schema.attestations
        own = (
            table.c.rollout_id.is_(None)
            if rollout_id is None
            else (table.c.rollout_id.is_(None) | (table.c.rollout_id == rollout_id))
        )
        with self._database.read() as connection:
            mine = select(*_ATTESTATION).where(table.c.list == list_name, own).order_by(table.c.id)
            return records(Attestation, connection.execute(mine).all())

    def record_checklist_run(
        self,
        list_name: str,
        *,
        list_hash: str,
        by: str,
        decision: str,
        reason: str,
        results: Any,
        now: datetime,
        rollout_id: str | None = None,
        step_id: str | None = None,
    ) -> ChecklistRun:
        """Keep what a run found (any JSON) and what was decided on it. Raises UnknownRollout."""
        table = schema.checklist_runs
        with self._database.write(now) as tx:
            if rollout_id is not None:
                tx.rollout(rollout_id)
            same = (table.c.list == list_name) & table.c.rollout_id.is_not_distinct_from(rollout_id)
            same &= table.c.step_id.is_not_distinct_from(step_id)
            before = tx.one(select(table.c.decision).where(same).order_by(table.c.id.desc()))
            values = {"list": list_name, "list_hash": list_hash, "rollout_id": rollout_id, "step_id": step_id, "by": by}
            values |= {"decision": decision, "reason": reason, "results": results}
            made = insert(table).values(**values, at=tx.now).returning(*_RUN)
            kept = record(ChecklistRun, tx.execute(made).one())
            surplus = select(table.c.id).where(same).order_by(table.c.id.desc()).offset(RUNS_KEPT).limit(1)
            tx.execute(delete(table).where(same, table.c.id <= surplus.scalar_subquery()))
            told = {name: values[name] for name in ("list", "list_hash", "step_id", "reason")}
            detail = {
                **told,
                "before": before and before.decision,
                "after": decision,
                "results_hash": canonical_hash(results),
            }
            action = "checklist_run" if step_id is None else "go_no_go"
            tx.note(by, action, rollout_id or f"checklist:{list_name}", detail)
            return kept

    def checklist_runs(self, list_name: str, *, rollout_id: str | None = None, limit: int = 1) -> tuple[ChecklistRun, ...]:
        """The newest runs of the list, newest first; of one rollout where given."""
        table = schema.checklist_runs
        mine = select(*_RUN).where(table.c.list == list_name)
        if rollout_id is not None:
            mine = mine.where(table.c.rollout_id == rollout_id)
        with self._database.read() as connection:
            return records(ChecklistRun, connection.execute(mine.order_by(table.c.id.desc()).limit(limit)).all())

    def go_no_gos(self, rollout_id: str) -> tuple[ChecklistRun, ...]:
        """What the steps of a rollout decided on their checklists, in order."""
        table = schema.checklist_runs
        mine = select(*_RUN).where(table.c.rollout_id == rollout_id, table.c.step_id.is_not(None)).order_by(table.c.id)
        with self._database.read() as connection:
            return records(ChecklistRun, connection.execute(mine).all())
