"""One write to the ledger: what it changes, and the audit entries that go with it, all or nothing.

Notes are collected and entered last, just before the commit. So the lock on the audit's head, which puts all writers in
one line, is the last one taken and held shortest, and no two writers wait for each other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Row, Table, insert, select, update
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from chrysalis.errors import StaleToken, UnknownRollout
from chrysalis.ledger import schema
from chrysalis.ledger.chain import AuditEntry, AuditHead, Note, link
from chrysalis.ledger.columns import utc
from chrysalis.ledger.origin import here
from chrysalis.ledger.records import Rollout
from chrysalis.ledger.rows import columns, record

NOBODY = "chrysalis"
"""The actor of a change that no worker, person or watch has put its name to."""


class Transaction:
    """Made by `Database.write`, which commits it when its block ends and rolls it back when the block raises."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = utc(now)
        self._notes: list[Note] = []

    def execute(self, statement: Executable, rows: Sequence[Mapping[str, Any]] | None = None) -> CursorResult[Any]:
        return self.connection.execute(statement, rows)

    def one(self, statement: Executable) -> Row[Any] | None:
        """The first row, or None where there is none."""
        return self.connection.execute(statement).first()

    def upsert(self, table: Table) -> PostgresInsert | SqliteInsert:
        """An INSERT with `on_conflict_do_update`, as this database says it."""
        if self.connection.dialect.name == "postgresql":
            return postgres_insert(table)
        return sqlite_insert(table)

    def rollout(self, rollout_id: str) -> Rollout:
        """The rollout, locked until the transaction ends. Raises UnknownRollout."""
        statement = select(*columns(schema.rollouts, Rollout)).where(schema.rollouts.c.id == rollout_id)
        row = self.one(statement.with_for_update(key_share=True))
        if row is None:
            raise unknown(rollout_id)
        return record(Rollout, row)

    def fenced(self, rollout_id: str, token: int) -> Rollout:
        """The rollout, locked, if `token` is its current one. Raises UnknownRollout, StaleToken."""
        rollout = self.rollout(rollout_id)
        require_current(rollout, token)
        return rollout

    def note(self, actor: str | None, action: str, subject: str, detail: Any) -> None:
        """Have an audit entry written with this transaction."""
        self._notes.append(Note(self.now, actor or NOBODY, action, subject, detail, here()))

    def seal(self) -> None:
        """Enter what was noted. The last thing before the commit."""
        if not self._notes:
            return
        head_row = self.execute(select(schema.audit_head.c.seq, schema.audit_head.c.hash).with_for_update()).one()
        head = AuditHead(head_row.seq, head_row.hash)
        entries: list[AuditEntry] = []
        for note in self._notes:
            entries.append(link(note, head))
            head = AuditHead(entries[-1].seq, entries[-1].hash)
        names = [column.name for column in schema.audit.columns]
        self.execute(insert(schema.audit), [{name: getattr(entry, name) for name in names} for entry in entries])
        self.execute(update(schema.audit_head).values(seq=head.seq, hash=head.hash))


def unknown(rollout_id: str) -> UnknownRollout:
    """The error for an id that the ledger does not know."""
    return UnknownRollout(f"the ledger has no rollout {rollout_id!r}; `chrysalis history` lists those it has")


def require_current(rollout: Rollout, token: int) -> None:
    """Raises StaleToken unless `token` is the rollout's current one."""
    if token == rollout.token:
        return
    if token > rollout.token:
        raise StaleToken(
            f"rollout {rollout.id}: token {token} was never given out, the ledger is at {rollout.token} "
            "(restored from a backup?); take a new token before changing anything"
        )
    raise StaleToken(
        f"rollout {rollout.id}: token {token} is stale, {rollout.holder} holds {rollout.token}; stop and change nothing"
    )
