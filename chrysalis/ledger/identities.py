"""What proves who somebody is, and who stands in for whom.

A secret is here only sealed. A code counts once: its time step is a row whose key is taken, however many try at the same
moment. Tries at one person's codes go one at a time, so that the limit on wrong ones cannot be outrun.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, insert, select, update

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Attempt, Delegation, Factor
from chrysalis.ledger.rows import columns, record, records

_FACTOR = columns(schema.factors, Factor)
_ATTEMPT = columns(schema.code_attempts, Attempt)
_DELEGATION = columns(schema.delegations, Delegation)
REMEMBERED = timedelta(hours=24)
"""How far back tries at a code are looked at, and how long those before them are kept."""


@dataclass(frozen=True, slots=True)
class CodeVerdict:
    """What came of a code. `time_step` when it is right; else `refused` says why; `counts` when it was a wrong try."""

    time_step: int | None = None
    refused: str = ""
    counts: bool = False


class Identities(Part):
    """Factors, tries at codes, delegations."""

    def enrol(self, person: str, sealed: str, *, by: str, now: datetime) -> None:
        """Keep what somebody's codes are checked by, in place of what was there; earlier wrong tries are forgotten."""
        table = schema.factors
        values = {"sealed": sealed, "enrolled_at": now, "enrolled_by": by}
        with self._database.write(now) as tx:
            made = tx.upsert(table).values(person=person, **values)
            tx.execute(made.on_conflict_do_update(index_elements=["person"], set_=values))
            tx.execute(insert(schema.code_attempts).values(person=person, at=tx.now, right=True))
            tx.note(by, "person_enrolled", person, {"factor": "code"})

    def unenrol(self, person: str, *, by: str, now: datetime) -> None:
        """Forget it. Raises LedgerError when there is nothing to forget."""
        with self._database.write(now) as tx:
            if not tx.execute(delete(schema.factors).where(schema.factors.c.person == person)).rowcount:
                raise LedgerError(f"{person!r} is not enrolled; `chrysalis people list` shows who is")
            tx.note(by, "person_unenrolled", person, {"factor": "code"})

    def unlock(self, person: str, *, by: str, now: datetime) -> None:
        """Have somebody's codes tried again before the lock after wrong ones is over."""
        with self._database.write(now) as tx:
            tx.execute(insert(schema.code_attempts).values(person=person, at=tx.now, right=True))
            tx.note(by, "person_unlocked", person, {"factor": "code"})

    def enrolled(self) -> tuple[Factor, ...]:
        """Everybody's, by name."""
        with self._database.read() as connection:
            return records(Factor, connection.execute(select(*_FACTOR).order_by(schema.factors.c.person)).all())

    def attempts(self, person: str, now: datetime) -> tuple[Attempt, ...]:
        """The tries at somebody's codes that still count, earliest first."""
        with self._database.read() as connection:
            return records(Attempt, connection.execute(_recent(person, now)).all())

    def try_code(
        self,
        person: str,
        judge: Callable[[Factor | None, Sequence[Attempt]], CodeVerdict],
        *,
        subject: str,
        detail: object,
        now: datetime,
    ) -> CodeVerdict:
        """Have `judge` look at a code, and write down what came of it; a code that was used before is refused."""
        with self._database.write(now) as tx:
            mine = select(*_FACTOR).where(schema.factors.c.person == person).with_for_update()
            row = tx.one(mine)
            attempts = records(Attempt, tx.execute(_recent(person, tx.now)).all())
            verdict = judge(None if row is None else record(Factor, row), attempts)
            if verdict.time_step is not None:
                values = {"person": person, "time_step": verdict.time_step, "subject": subject, "at": tx.now}
                first = tx.upsert(schema.used_codes).values(values).on_conflict_do_nothing()
                # Not by `rowcount`, which psycopg does not tell of an INSERT.
                if tx.one(first.returning(schema.used_codes.c.time_step)) is None:
                    verdict = CodeVerdict(refused="that code was used before; wait for the next one")
            if verdict.time_step is not None or verdict.counts:
                right = verdict.time_step is not None
                tx.execute(insert(schema.code_attempts).values(person=person, at=tx.now, right=right))
            if verdict.refused:
                tx.note(person, "code_refused", subject, {"why": verdict.refused, "for": detail})
            tx.execute(delete(schema.code_attempts).where(schema.code_attempts.c.at < tx.now - REMEMBERED))
        return verdict

    def delegate(self, giver: str, taker: str, *, until: datetime, reason: str, by: str, now: datetime) -> Delegation:
        """Have `taker` sign for `giver` until then. Raises LedgerError unless that is later than now."""
        if until <= now:
            raise LedgerError(f"the delegation would end at {until.isoformat()}, before it begins; give a later time")
        with self._database.write(now) as tx:
            made = insert(schema.delegations).values(
                giver=giver, taker=taker, reason=reason, made_by=by, made_at=tx.now, until=until
            )
            delegation = record(Delegation, tx.execute(made.returning(*_DELEGATION)).one())
            told = {"delegation_id": delegation.id, "taker": taker, "until": until.isoformat(), "reason": reason}
            tx.note(by, "delegated", giver, told)
            return delegation

    def end_delegation(self, delegation_id: int, *, by: str, now: datetime) -> Delegation:
        """Take it back; one that was taken back stays as it is. Raises LedgerError for one that there is not."""
        table = schema.delegations
        with self._database.write(now) as tx:
            this = table.c.id == delegation_id
            row = tx.one(select(*_DELEGATION).where(this).with_for_update())
            if row is None:
                raise LedgerError(f"there is no delegation {delegation_id}; `chrysalis people list` shows those there are")
            found = record(Delegation, row)
            if found.ended_at is None:
                tx.execute(update(table).where(this).values(ended_at=tx.now))
                tx.note(by, "delegation_ended", found.giver, {"delegation_id": delegation_id, "taker": found.taker})
            return found

    def delegations(self, now: datetime) -> tuple[Delegation, ...]:
        """Those that hold at that time, by the order in which they were made."""
        table = schema.delegations
        held = select(*_DELEGATION).where(table.c.ended_at.is_(None), table.c.until > now, table.c.made_at <= now)
        with self._database.read() as connection:
            return records(Delegation, connection.execute(held.order_by(table.c.id)).all())


def _recent(person: str, now: datetime) -> Select[Any]:
    table = schema.code_attempts
    return select(*_ATTEMPT).where(table.c.person == person, table.c.at > now - REMEMBERED).order_by(table.c.id)
