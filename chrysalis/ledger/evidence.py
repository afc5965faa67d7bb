"""What was measured and what was done about it: findings, baselines, and changes to targets.

Findings are kept for the last looks at each step only; the audit keeps the hash of every one, so that what a person signed
for can be shown to be what was seen. An action that could not be written when it was taken is written later under its key,
once, with the time at which it was taken.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from chrysalis.ledger import schema
from chrysalis.ledger.canonical import canonical_hash
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Action, Baseline, RecordedFindings
from chrysalis.ledger.rows import columns, record, records

FINDINGS_KEPT = 50
"""Looks at one step that are kept; older ones are in the audit by their hash."""

_FINDINGS = columns(schema.findings, RecordedFindings)
_BASELINE = columns(schema.baselines, Baseline)
_ACTION = columns(schema.actions, Action)


class Evidence(Part):
    """Findings, baselines and actions."""

    def record_findings(self, rollout_id: str, step_id: str, *, findings: Any, now: datetime, by: str | None = None) -> None:
        """Keep what a look at the step found (any JSON). Raises UnknownRollout."""
        table = schema.findings
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id)
            made = insert(table).values(rollout_id=rollout_id, step_id=step_id, at=tx.now, findings=findings)
            tx.execute(made)
            mine = (table.c.rollout_id == rollout_id) & (table.c.step_id == step_id)
            newest_surplus = select(table.c.id).where(mine).order_by(table.c.id.desc()).offset(FINDINGS_KEPT).limit(1)
            tx.execute(delete(table).where(mine, table.c.id <= newest_surplus.scalar_subquery()))
            told = {"step_id": step_id, "findings_hash": canonical_hash(findings)}
            tx.note(by or rollout.holder, "findings_recorded", rollout_id, told)

    def findings(self, rollout_id: str) -> tuple[RecordedFindings, ...]:
        """What is kept, in the order in which it was recorded."""
        table = schema.findings
        with self._database.read() as connection:
            mine = select(*_FINDINGS).where(table.c.rollout_id == rollout_id).order_by(table.c.id)
            return records(RecordedFindings, connection.execute(mine).all())

    def record_baseline(self, rollout_id: str, name: str, *, metric: str, samples: Any, now: datetime) -> None:
        """Keep a series to compare with later; a later one of the same name and metric replaces it."""
        values = {"samples": samples, "at": now}
        key = {"rollout_id": rollout_id, "name": name, "metric": metric}
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id)
            made = tx.upsert(schema.baselines).values(**key, **values)
            tx.execute(made.on_conflict_do_update(index_elements=list(key), set_=values))
            told = {"name": name, "metric": metric, "samples_hash": canonical_hash(samples)}
            tx.note(rollout.holder, "baseline_recorded", rollout_id, told)

    def baselines(self, rollout_id: str) -> tuple[Baseline, ...]:
        """The rollout's recorded series, by name and metric."""
        table = schema.baselines
        mine = select(*_BASELINE).where(table.c.rollout_id == rollout_id).order_by(table.c.name, table.c.metric)
        with self._database.read() as connection:
            return records(Baseline, connection.execute(mine).all())

    def record_action(
        self,
        rollout_id: str,
        token: int | None,
        *,
        actor: str,
        action: str,
        before: Any,
        after: Any,
        cause: Any,
        now: datetime,
        key: str | None = None,
    ) -> Action:
        """Write down a change to a target. `now` is when it was made; the same `key` is written once.

        Without a token it is not fenced: what was done to be safe is recorded even by one who is no longer in charge.
        """
        table = schema.actions
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id) if token is None else tx.fenced(rollout_id, token)
            if key is not None and (row := tx.one(select(*_ACTION).where(table.c.key == key))) is not None:
                return record(Action, row)
            told = {"action": action, "before": before, "after": after, "cause": cause}
            values = {"rollout_id": rollout.id, "token": token, "actor": actor, "at": tx.now, "key": key}
            made = insert(table).values(**values, **told).returning(*_ACTION)
            kept = record(Action, tx.execute(made).one())
            tx.note(actor, "acted", rollout_id, {"token": token, **told})
            return kept

    def actions(self, rollout_id: str) -> tuple[Action, ...]:
        """All recorded changes to targets, in the order in which they were recorded."""
        table = schema.actions
        with self._database.read() as connection:
            mine = select(*_ACTION).where(table.c.rollout_id == rollout_id).order_by(table.c.id)
            return records(Action, connection.execute(mine).all())
