"""Bringing the ledger's schema up to date, by the Alembic migrations that ship beside this file.

A ledger that is up to date costs one query. Otherwise one process migrates, in one transaction and under a lock (an
advisory one on PostgreSQL, the write lock on SQLite), and the others find it done; a migration that fails leaves nothing
behind. Migrations only add, so that rollouts go on across an upgrade. A ledger from a newer version is refused.
"""

import time
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from chrysalis.errors import LedgerError, LedgerUnavailable
from chrysalis.ledger.database import Database

HEAD = "0005"
"""The revision that this code works with."""
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x43485259
"""The advisory lock's number: CHRY in ASCII."""


def bring_up_to_date(database: Database, *, to: str = HEAD) -> None:
    """Migrate to the revision `to` where the ledger is older. Safe to call from many processes at once."""
    if database.is_sqlite:
        _write_ahead(database)
    with database.read() as connection:
        found = _revision(connection)
    if found == to:
        return
    with database.exclusive(unhurried=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _revision(connection)
        if found == to:
            return
        _upgrade(connection, database.name, found=found, to=to)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection, name: str, *, found: str | None, to: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in known:
        raise LedgerError(
            f"ledger {name} is at revision {found}, this version knows up to {known[0]}: a newer Chrysalis wrote it; "
            "upgrade this one"
        )
    command.upgrade(config, to)


def _write_ahead(database: Database) -> None:
    """Switch the file to WAL, once for all; SQLite does not queue for this switch, so it is tried until patience ends."""
    deadline = time.monotonic() + database.patience_s
    while True:
        try:
            database.set_write_ahead()
        except LedgerUnavailable as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
