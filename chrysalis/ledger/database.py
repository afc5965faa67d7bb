"""The connection to the ledger's database, SQLite or PostgreSQL, with the same promises on both.

A write is one transaction that sees and changes a consistent ledger: BEGIN IMMEDIATE on SQLite, row locks on PostgreSQL.
Nothing waits for ever: locks give up after `patience_s`, a frozen server after twice that. Every failure of the database
is LedgerUnavailable, which names the database without its password and keeps the cause.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError, StatementError

from chrysalis.errors import ChrysalisError, LedgerUnavailable, SettingsError
from chrysalis.ledger.deadlines import Deadlines
from chrysalis.ledger.transaction import Transaction

_IMMEDIATE = "chrysalis_begin_immediate"
UNHURRIED_IDLE_S = 600
"""How long one that may be long may do something else between two statements, such as a migration on a busy machine."""


class Database:
    """Threads may share one; processes each open their own."""

    def __init__(self, url: str, *, patience_s: float) -> None:
        parsed = _parse(url)
        self.name = parsed.render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.patience_s = patience_s
        with self._failures():
            self._engine = _sqlite(parsed, patience_s) if self.is_sqlite else _postgresql(parsed, patience_s)
        self._deadlines = None if self.is_sqlite else Deadlines(self._engine, limit_s=2 * patience_s)
        self._turn = threading.Lock()

    def close(self) -> None:
        self._engine.dispose()
        if self._deadlines is not None:
            self._deadlines.stop()

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Connection]:
        """A transaction for looking. With `snapshot` it may be long, and all of it sees the ledger at one moment."""
        with self._failures(), self._engine.connect() as connection:
            if snapshot and self._deadlines is not None:
                self._deadlines.forgive(connection.connection.dbapi_connection)
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self, now: datetime) -> Iterator[Transaction]:
        """A transaction for changing; committed, with its audit entries, when the block ends."""
        with self.exclusive() as connection:
            transaction = Transaction(connection, now)
            yield transaction
            transaction.seal()

    @contextmanager
    def exclusive(self, *, unhurried: bool = False) -> Iterator[Connection]:
        """A bare transaction for changing, for what the audit does not record; `unhurried` when it may be long."""
        with self._failures(), self._in_turn(), self._engine.connect() as connection:
            if unhurried and self._deadlines is not None:
                self._deadlines.forgive(connection.connection.dbapi_connection)
            writing = connection.execution_options(**{_IMMEDIATE: True})
            with writing.begin():
                if unhurried and not self.is_sqlite:
                    writing.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{UNHURRIED_IDLE_S}s'")
                yield writing

    def set_write_ahead(self) -> None:
        """Have SQLite write ahead into a log: readers and the writer do not wait for each other. Kept in the file."""
        with self._failures():
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Threads of one process queue here, first come first served, where SQLite would let them collide and sleep."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self.patience_s):
            raise LedgerUnavailable(f"ledger {self.name}: no turn to write within {self.patience_s:g} s; try again")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except StatementError as error:
            if isinstance(error.orig, ChrysalisError):
                raise error.orig from None
            raise self._unavailable(error) from error
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        cause = getattr(error, "orig", None) or error
        said = " ".join(str(cause).split()) or type(cause).__name__
        return LedgerUnavailable(f"ledger {self.name}: {said}; see that the database is up and has room, then repeat")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError(
            "the ledger's URL cannot be read; write sqlite:////path/file.db or postgresql://host/db"
        ) from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return parsed.set(drivername="sqlite")
        case "sqlite":
            raise SettingsError("a ledger in memory would forget every rollout; write sqlite:////path/file.db")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise SettingsError(f"the ledger runs on sqlite and postgresql, not on {other!r}")


def _sqlite(url: URL, patience_s: float) -> Engine:
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"timeout": patience_s, "check_same_thread": False},
        pool_timeout=patience_s,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "trusted_schema=OFF", "cache_size=-16000"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgresql(url: URL, patience_s: float) -> Engine:
    wait_ms = int(patience_s * 1000)
    settings = {
        "timezone": "UTC",
        "lock_timeout": wait_ms,
        # A worker that was frozen inside a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": 2 * wait_ms,
    }
    return create_engine(
        url,
        connect_args={
            "connect_timeout": max(2, int(patience_s)),
            "application_name": "chrysalis",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
        pool_timeout=patience_s,
        hide_parameters=True,
    )


def ping(connection: Connection) -> None:
    """Raises what the database raises when it is not there."""
    connection.execute(text("SELECT 1"))
