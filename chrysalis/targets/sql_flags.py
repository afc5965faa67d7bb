"""Feature flags in a table of the service's PostgreSQL as a switchboard: one row per name, the value as JSON.

    CREATE TABLE feature_flags (name text PRIMARY KEY, value jsonb NOT NULL)

The stamp is a row of its own, locked by every write, so that of two workers one is first and the other sees its stamp: a
stale token is refused in the database itself, by the same transaction that would have written.
"""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Stamp, Value

STAMP = "stamp"
CONNECT_TIMEOUT_S = 5


class SqlFlagsSwitchboard:
    """A Switchboard over one table (`name` or `schema.name`). `url` with or without SQLAlchemy's driver in it."""

    def __init__(self, url: str, table: str = "feature_flags", *, timeout_s: float = 5.0) -> None:
        self._url = "postgresql://" + url.partition("://")[2]
        self._table = sql.Identifier(*table.split("."))
        self._shown = table
        self._timeout_ms = round(timeout_s * 1000)

    def read(self) -> Mapping[str, Value]:
        """All values now. Raises TargetUnavailable."""
        with self._connect() as connection:
            return self._read(connection)

    def write(self, changes: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        """Change the named values in one transaction and read all back; safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        try:
            with self._connect() as connection, connection.transaction():
                self._take(connection, stamp)
                for name, value in {**changes, STAMP: str(stamp)}.items():
                    self._upsert(connection, name, value)
        except psycopg.OperationalError as error:
            raise TargetUnavailable(f"table {self._shown} cannot be written now ({_first_line(error)})") from error
        except psycopg.Error as error:
            raise WriteRefused(
                f"table {self._shown} refused {dict(changes)}: {_first_line(error)}; nothing changed"
            ) from error
        found = self.read()
        self._refuse_stale(found.get(STAMP), stamp)
        different = [name for name, value in changes.items() if name not in found or found[name] != value]
        if different:
            told = "; ".join(f"{name} wrote {changes[name]!r}, reads back {found.get(name)!r}" for name in different)
            raise WriteNotVerified(f"table {self._shown}: {told}")
        return found

    def _take(self, connection: psycopg.Connection[Any], stamp: Stamp) -> None:
        """Lock the row of the stamp until the transaction ends. Raises StaleToken."""
        made = sql.SQL("INSERT INTO {} (name, value) VALUES (%s, 'null') ON CONFLICT (name) DO NOTHING").format(self._table)
        connection.execute(made, (STAMP,))
        query = sql.SQL("SELECT value FROM {} WHERE name = %s FOR UPDATE").format(self._table)
        self._refuse_stale(connection.execute(query, (STAMP,)).fetchall()[0][0], stamp)

    def _refuse_stale(self, found: object, stamp: Stamp) -> None:
        last = Stamp.parse(str(found))
        if last is not None and last.token > stamp.token:
            raise StaleToken(
                f"table {self._shown}: token {stamp.token} ({stamp}) is older than {last.token} ({last}), which wrote last; "
                "stop this worker, its successor has taken over"
            )

    def _upsert(self, connection: psycopg.Connection[Any], name: str, value: Value) -> None:
        query = sql.SQL(
            "INSERT INTO {} (name, value) VALUES (%s, %s::jsonb) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        ).format(self._table)
        connection.execute(query, (name, json.dumps(value)))

    def _read(self, connection: psycopg.Connection[Any]) -> Mapping[str, Value]:
        try:
            rows = connection.execute(sql.SQL("SELECT name, value FROM {}").format(self._table)).fetchall()
        except psycopg.Error as error:
            raise TargetUnavailable(f"table {self._shown} cannot be read ({_first_line(error)}); check its name") from error
        return {str(name): json.dumps(value) if isinstance(value, list | dict) else value for name, value in rows}

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            options = f"-c statement_timeout={self._timeout_ms} -c lock_timeout={self._timeout_ms}"
            return psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, options=options)
        except psycopg.Error as error:
            raise TargetUnavailable(
                f"the database of table {self._shown} cannot be reached ({_first_line(error)})"
            ) from error


def _first_line(error: psycopg.Error) -> str:
    said = error.diag.message_primary or str(error)
    return next((line for line in said.splitlines() if line.strip()), type(error).__name__)
