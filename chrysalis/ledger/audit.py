"""Reading and verifying the audit. Writing is done by every transaction for itself (transaction.py).

`verify_audit` needs no trust in the database: it computes every hash anew. Whoever can rewrite the whole chain can only be
found with a head that was remembered elsewhere (`audit_head`), so keep one outside, in a mail or a ticket.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, select

from chrysalis.ledger import schema
from chrysalis.ledger.chain import NOTHING_ARCHIVED, Archived, AuditEntry, AuditHead, AuditProblem, problems
from chrysalis.ledger.columns import utc
from chrysalis.ledger.part import Part
from chrysalis.ledger.rows import columns, records

_TABLE = schema.audit
_COLUMNS = columns(_TABLE, AuditEntry)
_PAGE = 1000


class Audit(Part):
    """The record of everything that was changed."""

    def audit(
        self, since: int | datetime = 0, *, subject: str | None = None, limit: int | None = None
    ) -> tuple[AuditEntry, ...]:
        """Entries by ascending seq: those after seq `since`, or from the moment `since` on; of one subject if given."""
        statement = select(*_COLUMNS)
        if isinstance(since, datetime):
            statement = statement.where(_TABLE.c.at >= utc(since).isoformat(timespec="microseconds"))
        else:
            statement = statement.where(_TABLE.c.seq > since)
        if subject is not None:
            statement = statement.where(_TABLE.c.subject == subject)
        with self._database.read() as connection:
            return records(AuditEntry, connection.execute(statement.order_by(_TABLE.c.seq).limit(limit)).all())

    def audit_head(self) -> AuditHead:
        """Where the chain ends now; keep it elsewhere and pass it to `verify_audit` later."""
        with self._database.read() as connection:
            return head_of(connection)

    def verify_audit(self, remembered: AuditHead | None = None) -> list[AuditProblem]:
        """Everything wrong with the chain; empty when every entry is as it was written and none is missing."""
        with self._database.read(snapshot=True) as connection:
            heads = [head_of(connection), *([] if remembered is None else [remembered])]
            return list(problems(entries_of(connection), heads, archived(connection)))

    def archived_through(self) -> int:
        """The number of the last entry that was archived; 0 for none."""
        with self._database.read() as connection:
            return archived(connection).through


ARCHIVING = "audit_archived"
"""The action of the entry that says what was archived."""


def archived(connection: Connection) -> Archived:
    """Up to where entries were archived, as the newest entry about it says."""
    newest = select(*_COLUMNS).where(_TABLE.c.action == ARCHIVING).order_by(_TABLE.c.seq.desc()).limit(1)
    row = connection.execute(newest).first()
    if row is None:
        return NOTHING_ARCHIVED
    entry = AuditEntry(*row)
    try:
        after = entry.details()["after"]
        told = Archived(int(after["through"]), str(after["digest"]))
    except (ValueError, TypeError, KeyError):
        return NOTHING_ARCHIVED
    return told if told.through < entry.seq else NOTHING_ARCHIVED


def head_of(connection: Connection) -> AuditHead:
    """Where the chain ends, as the ledger remembers it."""
    row = connection.execute(select(schema.audit_head.c.seq, schema.audit_head.c.hash)).one()
    return AuditHead(row.seq, row.hash)


def entries_of(connection: Connection) -> Iterator[AuditEntry]:
    """All entries by ascending seq, a page at a time."""
    # On the statement: on the connection it would hold for whatever is executed there afterwards.
    rows = connection.execute(select(*_COLUMNS).order_by(_TABLE.c.seq).execution_options(yield_per=_PAGE))
    return (AuditEntry(*row) for row in rows)
