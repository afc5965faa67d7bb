"""Brings the schema of a service's PostgreSQL forward and back, by SQL files, recorded in `schema_migrations`.

Every migration runs in a transaction together with its record, so a kill at any moment leaves it applied and recorded, or
neither. Two rollouts cannot migrate at once: an advisory lock is held for the whole call, and the server frees it when a
worker dies. A lock that a migration waits for longer than `lock_timeout_s` makes it fail instead of queueing every request
of the service behind it. A no-transaction migration is recorded as begun first; found unfinished, it is refused until the
way back (written with IF EXISTS) has cleared it.

Why not a kept library: yoyo-migrations 9 keeps its lock as a row, which a killed worker leaves behind, records a hash of a
migration's name and not of its text, and takes a missing way back for an empty one. Alembic, which the ledger uses, wants
Python files with a revision graph; a service's migrations are reviewed as SQL, and Alembic records no checksums.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.rows import class_row

from chrysalis.errors import StepFailed, TargetUnavailable
from chrysalis.plan.migration_files import Direction, Migration, Script, read_migrations

LOCK_KEY = 0x6368_7279  # "chry"
CONNECT_TIMEOUT_S = 10
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    begun_at   timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz
)"""
_EXISTS = "SELECT to_regclass('schema_migrations') IS NOT NULL"
_RECORDED = "SELECT version, name, checksum, begun_at, applied_at FROM schema_migrations ORDER BY version"
_BEGIN = "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)"
_FINISH = "UPDATE schema_migrations SET applied_at = clock_timestamp() WHERE version = %s"
_UNFINISH = "UPDATE schema_migrations SET applied_at = NULL WHERE version = %s"
_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %s, %s)"
_FORGET = "DELETE FROM schema_migrations WHERE version = %s"

Connection = psycopg.Connection[tuple[object, ...]]
State = Literal["applied", "pending", "begun", "changed", "unknown"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of `schema_migrations`; `applied_at` is None for one that was begun and never finished."""

    version: int
    name: str
    checksum: str
    begun_at: datetime
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where one migration stands. `changed`: its file is no longer what was applied; `unknown`: it has no file."""

    version: int
    name: str
    state: State
    applied_at: datetime | None = None


def current_version(url: str) -> int:
    """The newest version recorded, 0 for none. Raises TargetUnavailable."""
    with _connected(url) as connection:
        return max((row.version for row in _recorded(connection)), default=0)


def status(url: str, folder: Path) -> list[MigrationStatus]:
    """Every migration that has a file or a record, in order. Raises StepFailed, TargetUnavailable."""
    files = {migration.version: migration for migration in read_migrations(folder)}
    with _connected(url) as connection:
        rows = {row.version: row for row in _recorded(connection)}
    return [_status(version, files.get(version), rows.get(version)) for version in sorted({*files, *rows})]


def plan_migrations(url: str, folder: Path, *, to: int | None = None) -> list[Migration]:
    """What `migrate_up` would apply now, in order; changes nothing. Raises StepFailed, TargetUnavailable."""
    migrations = read_migrations(folder)
    with _connected(url) as connection:
        return _pending(migrations, _recorded(connection), to)


def migrate_up(
    url: str, folder: Path, *, to: int | None = None, lock_timeout_s: float = 10.0, timeout_s: float = 600.0
) -> list[Migration]:
    """Apply what is pending, up to version `to` or all; returns what was applied now. Safe to repeat.

    Raises StepFailed (a changed checksum, a gap, a missing way back, an SQL error) and TargetUnavailable.
    """
    migrations = read_migrations(folder)
    with _locked(url, lock_timeout_s, timeout_s) as connection:
        pending = _pending(migrations, _recorded(connection), to)
        for migration in pending:
            _apply(connection, migration, "up", lock_timeout_s)
        return pending


def migrate_down(
    url: str, folder: Path, *, to: int, lock_timeout_s: float = 10.0, timeout_s: float = 600.0
) -> list[Migration]:
    """Revert everything above version `to`, newest first; returns what was reverted now. Safe to repeat."""
    files = {migration.version: migration for migration in read_migrations(folder)}
    with _locked(url, lock_timeout_s, timeout_s) as connection:
        above = [row for row in _recorded(connection) if row.version > to]
        if strange := [row.name for row in above if row.version not in files]:
            raise StepFailed(
                f"migrations: {', '.join(strange)} applied, but not in {folder}; add their files to go back to {to}"
            )
        reverted = [files[row.version] for row in reversed(above)]
        for migration in reverted:
            _apply(connection, migration, "down", lock_timeout_s)
        return reverted


def _status(version: int, file: Migration | None, row: Recorded | None) -> MigrationStatus:
    if row is None:
        assert file is not None  # noqa: S101 - every version comes from one of the two
        return MigrationStatus(version, file.name, "pending")
    state: State = "applied"
    if row.applied_at is None:
        state = "begun"
    elif file is None:
        state = "unknown"
    elif file.checksum != row.checksum:
        state = "changed"
    return MigrationStatus(version, row.name, state, row.applied_at)


def _pending(migrations: list[Migration], rows: list[Recorded], to: int | None) -> list[Migration]:
    files = {migration.version: migration for migration in migrations}
    newest = len(migrations)
    if to is not None and not 0 <= to <= newest:
        raise StepFailed(f"migrations: asked for version {to}, the newest file is {newest}; correct `to` or add the file")
    problems = []
    for row in rows:
        file = files.get(row.version)
        if row.applied_at is None:
            problems.append(
                f"{row.name} was begun at {row.begun_at:%F %T %Z} and never finished; migrate down below it first"
            )
        elif file is None:
            problems.append(f"{row.name} is applied, but has no file here; add it")
        elif file.checksum != row.checksum:
            what = f"checksum {file.checksum[:12]}, applied was {row.checksum[:12]}"
            problems.append(
                f"{row.name}.up.sql was changed after it was applied ({what}); put it back, write a new migration"
            )
    applied = {row.version for row in rows}
    if missing := sorted(set(range(1, max(applied, default=0))) - applied):
        problems.append(f"{missing[0]:04d} is not applied, though {max(applied):04d} is")
    if problems:
        raise StepFailed("migrations refused, nothing was changed: " + "; ".join(problems))
    last = newest if to is None else to
    return [migration for migration in migrations if migration.version not in applied and migration.version <= last]


def _apply(connection: Connection, migration: Migration, direction: Direction, lock_timeout_s: float, /) -> None:
    script = migration.script(direction)
    way = "forward" if direction == "up" else "back"
    try:
        if script.transactional:
            with connection.transaction():
                connection.execute(_LOCK_TIMEOUT, (f"{round(lock_timeout_s * 1000)}", True))
                _record_begun(connection, migration, direction)
                _run(connection, script)
                _record_done(connection, migration, direction)
            return
        _record_begun(connection, migration, direction)
        _run(connection, script)
        _record_done(connection, migration, direction)
    except psycopg.OperationalError as error:
        if connection.closed:
            raise TargetUnavailable(
                f"migration {migration.name} {way}: the connection was lost ({_first_line(error)})"
            ) from error
        raise StepFailed(_failed(migration, way, script, error)) from error
    except psycopg.Error as error:
        raise StepFailed(_failed(migration, way, script, error)) from error


def _run(connection: Connection, script: Script) -> None:
    # Bytes and no parameters: sent as it stands, several statements at once, % and : not touched.
    connection.execute(script.sql.encode())


def _record_begun(connection: Connection, migration: Migration, direction: Direction) -> None:
    if direction == "up":
        connection.execute(_BEGIN, (migration.version, migration.name, migration.checksum))
    else:
        connection.execute(_UNFINISH, (migration.version,))


def _record_done(connection: Connection, migration: Migration, direction: Direction) -> None:
    connection.execute(_FINISH if direction == "up" else _FORGET, (migration.version,))


def _failed(migration: Migration, way: str, script: Script, error: psycopg.Error) -> str:
    position = error.diag.statement_position
    at = f", line {script.sql[: int(position)].count(chr(10)) + 1}" if position else ""
    left = "nothing of it was applied" if script.transactional else "it may be applied in part; migrate down below it"
    return f"migration {migration.name} {way}{at}: {_first_line(error)}; {left}"


def _recorded(connection: Connection) -> list[Recorded]:
    try:
        if not connection.execute(_EXISTS).fetchall()[0][0]:
            return []
        with connection.cursor(row_factory=class_row(Recorded)) as cursor:
            return cursor.execute(_RECORDED).fetchall()
    except psycopg.errors.UndefinedColumn as error:
        raise StepFailed(
            "migrations: the table schema_migrations is another tool's (it lacks name, checksum, begun_at or applied_at); "
            "give the migrations a schema of their own with ?options=-csearch_path%3D..."
        ) from error


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
        connection = psycopg.connect(address, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.Error as error:
        raise TargetUnavailable(f"migrations: the database cannot be reached ({_first_line(error)})") from error
    with connection:
        yield connection


@contextmanager
def _locked(url: str, lock_timeout_s: float, timeout_s: float) -> Iterator[Connection]:
    with _connected(url) as connection:
        connection.execute(_LOCK_TIMEOUT, (f"{round(lock_timeout_s * 1000)}", False))
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        except psycopg.errors.LockNotAvailable as error:
            raise StepFailed(
                f"migrations: another migration held the lock for over {lock_timeout_s:g} s; try again"
            ) from error
        # What runs outside a transaction waits for older ones by its nature; only the statement's own time limits it.
        connection.execute(_LOCK_TIMEOUT, ("0", False))
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{round(timeout_s * 1000)}",))
        connection.execute(_TABLE)
        yield connection


def _first_line(error: psycopg.Error) -> str:
    return error.diag.message_primary or next(
        (line for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
