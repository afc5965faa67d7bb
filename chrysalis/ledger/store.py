"""The ledger: all its parts behind one name, over one database.

    ledger = Ledger.open("sqlite:////var/lib/chrysalis/ledger.db")     # or postgresql://host/db

Opening brings the schema up to date, one process at a time. Threads may share a Ledger; each process opens its own.
"""

from types import TracebackType
from typing import Self

from chrysalis.ledger.audit import Audit
from chrysalis.ledger.audit_archive import AuditArchive
from chrysalis.ledger.checklists import Checklists
from chrysalis.ledger.database import Database, ping
from chrysalis.ledger.evidence import Evidence
from chrysalis.ledger.guards import Guards
from chrysalis.ledger.identities import Identities
from chrysalis.ledger.journal import Journal
from chrysalis.ledger.leases import Leases
from chrysalis.ledger.migrate import bring_up_to_date
from chrysalis.ledger.notices import Notices
from chrysalis.ledger.requests import Requests
from chrysalis.ledger.rollouts import Rollouts
from chrysalis.ledger.sign_offs import SignOffs
from chrysalis.ledger.waits import Waits

PATIENCE_S = 10.0
"""How long a call waits for a lock or a connection before it says that the ledger is unavailable."""


class Ledger(
    Rollouts,
    Journal,
    Waits,
    Guards,
    Requests,
    SignOffs,
    Identities,
    Evidence,
    Checklists,
    Notices,
    Leases,
    Audit,
    AuditArchive,
):
    """The truth about all rollouts. Every failure of the database is LedgerUnavailable."""

    @classmethod
    def open(cls, url: str, *, patience_s: float = PATIENCE_S) -> Self:
        """Connect, and migrate where needed. Raises LedgerUnavailable, SettingsError for a URL that cannot be one."""
        database = Database(url, patience_s=patience_s)
        try:
            bring_up_to_date(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Give the connections back; opening again is a new Ledger."""
        self._database.close()

    def ping(self) -> None:
        """Raises LedgerUnavailable unless the database answers."""
        with self._database.read() as connection:
            ping(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
