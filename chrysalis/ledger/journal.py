"""The journal: every step is entered before it starts and after it ends, so that after a crash nothing has to be guessed.

A beginning without an end is a step whose effect may or may not have happened; `open_steps` lists them. Beginning a step
again gives a new attempt and leaves the old line as it is. The database refuses a second end of one attempt.
"""

from datetime import datetime

from sqlalchemy import and_, func, insert, select

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.part import Part, require_word
from chrysalis.ledger.records import Details, JournalEntry, StepOutcome
from chrysalis.ledger.rows import columns, records
from chrysalis.ledger.transaction import Transaction

_TABLE = schema.journal
_COLUMNS = columns(_TABLE, JournalEntry)


class Journal(Part):
    """What each rollout did."""

    def begin_step(self, rollout_id: str, token: int, *, step_id: str, kind: str, detail: Details, now: datetime) -> int:
        """Enter that a step starts; the attempt, from 1. Only then may the step have an effect. Raises StaleToken."""
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            attempt = 1 + latest_attempt(tx, rollout_id, step_id)
            _enter(tx, rollout_id, token, step_id=step_id, kind=kind, attempt=attempt, event="begun", detail=detail)
            told = {"step_id": step_id, "kind": kind, "attempt": attempt, "token": token, "detail": detail}
            tx.note(rollout.holder, "step_begun", rollout_id, told)
            return attempt

    def end_step(
        self, rollout_id: str, token: int, *, step_id: str, outcome: StepOutcome, detail: Details, now: datetime
    ) -> None:
        """Enter how the latest attempt of the step ended; repeating the same outcome changes nothing.

        Raises StaleToken, and LedgerError where the attempt was never begun or ended otherwise.
        """
        require_word(outcome, StepOutcome, "outcome of a step")
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            attempt = latest_attempt(tx, rollout_id, step_id)
            if not attempt:
                raise LedgerError(
                    f"rollout {rollout_id}: step {step_id} cannot end {outcome}, it never began; begin it first"
                )
            same = and_(_TABLE.c.rollout_id == rollout_id, _TABLE.c.step_id == step_id, _TABLE.c.attempt == attempt)
            if (ended := tx.one(select(_TABLE.c.event).where(same, schema.is_end))) is not None:
                if ended.event == outcome:
                    return
                raise LedgerError(
                    f"rollout {rollout_id}: attempt {attempt} of step {step_id} ended {ended.event}, it cannot end "
                    f"{outcome}; begin the step again"
                )
            kind = tx.execute(select(_TABLE.c.kind).where(same, schema.is_beginning)).scalar_one()
            _enter(tx, rollout_id, token, step_id=step_id, kind=kind, attempt=attempt, event=outcome, detail=detail)
            told = {
                "step_id": step_id,
                "kind": kind,
                "attempt": attempt,
                "token": token,
                "outcome": outcome,
                "detail": detail,
            }
            tx.note(rollout.holder, "step_ended", rollout_id, told)

    def journal(self, rollout_id: str, *, step_id: str | None = None) -> tuple[JournalEntry, ...]:
        """All entries, or those of one step, in the order in which they were made."""
        wanted = select(*_COLUMNS).where(_TABLE.c.rollout_id == rollout_id)
        if step_id is not None:
            wanted = wanted.where(_TABLE.c.step_id == step_id)
        with self._database.read() as connection:
            return records(JournalEntry, connection.execute(wanted.order_by(_TABLE.c.seq)).all())

    def open_steps(self, rollout_id: str) -> tuple[JournalEntry, ...]:
        """The beginnings that have no end, in order: steps that run now, or whose worker died."""
        entries = self.journal(rollout_id)
        ended = {(entry.step_id, entry.attempt) for entry in entries if entry.event != "begun"}
        return tuple(entry for entry in entries if (entry.step_id, entry.attempt) not in ended)


def latest_attempt(tx: Transaction, rollout_id: str, step_id: str) -> int:
    """The number of the step's latest beginning; 0 where it never began."""
    latest = select(func.coalesce(func.max(_TABLE.c.attempt), 0)).where(
        _TABLE.c.rollout_id == rollout_id, _TABLE.c.step_id == step_id, schema.is_beginning
    )
    return int(tx.execute(latest).scalar_one())


def _enter(
    tx: Transaction, rollout_id: str, token: int, *, step_id: str, kind: str, attempt: int, event: str, detail: Details
) -> None:
    tx.execute(
        insert(_TABLE).values(
            rollout_id=rollout_id,
            step_id=step_id,
            kind=kind,
            attempt=attempt,
            event=event,
            token=token,
            at=tx.now,
            detail=detail,
        )
    )
