"""What the service keeps: memories, their costs, the archive, and who used which feature; written behind the requests.

Rows wait until they are written, also while the database is away or may only be read, so that none is lost. Before the
migration there is neither archive nor feature use, and nobody keeps those.
"""

import hashlib
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

DATABASE = "memory"
SCHEMA = """
CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT 'user-' || n, 'User ' || n FROM generate_series(0, 499) n;
CREATE TABLE memories (
    id         bigserial PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    user_id    text NOT NULL,
    body       text NOT NULL,
    checksum   text NOT NULL
);
CREATE INDEX memories_by_time ON memories (created_at);
CREATE TABLE memory_costs (
    id         bigserial PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    side       text NOT NULL,
    usd        double precision NOT NULL
);
CREATE INDEX memory_costs_by_time ON memory_costs (created_at);
"""
MOST_WAITING = 50_000
ARCHIVED_AT_ONCE = 25
ARCHIVED_AFTER_S = 1.0
BUDGET_WINDOW_S = 10.0
"""Costs are held against the budget over so many real seconds: a day of the plan's clock is less than that."""
CONNECT_TIMEOUT_S = 2
STATEMENT_TIMEOUT_MS = 1500
_COLUMNS = {
    "memories": ("created_at", "user_id", "body", "checksum"),
    "memory_costs": ("created_at", "side", "usd"),
    "memory_feature_use": ("used_at", "user_id", "feature"),
}
_SPENT = "SELECT coalesce(sum(usd), 0) FROM memory_costs WHERE created_at > now() - make_interval(secs => %s)"
_TO_ARCHIVE = """
SELECT id, body FROM memories
WHERE id > %s AND created_at < now() - make_interval(secs => %s) ORDER BY id LIMIT %s"""
_ARCHIVE = "INSERT INTO memory_archive (memory_id, original_bytes, stored_bytes, checksum) VALUES (%s, %s, %s, %s)"
_NEWEST = "SELECT coalesce(max(memory_id::bigint), 0) FROM memory_archive"
_Row = tuple[object, ...]


def checksum(text: str) -> str:
    """As it stands beside a memory, and as the integrity check computes it again."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def own_database(uri: str) -> str:
    """The URI of the service's own database on the sandbox's server."""
    return uri.replace("/postgres?", f"/{DATABASE}?")


@dataclass
class Store:
    """One process's way to the database."""

    uri: str
    side: str
    up: bool = False
    """Whether it took what was written last."""
    errors: int = 0
    spent_usd: float = 0.0
    """By all versions together, over the budget's window."""
    recovery_s: float = 0.0
    """From the first time that it did not answer to the next time that it did."""
    archived: int = 0
    _waiting: dict[str, deque[_Row]] = field(default_factory=lambda: {name: deque(maxlen=MOST_WAITING) for name in _COLUMNS})
    _connection: "psycopg.AsyncConnection[Any] | None" = None
    _locker: "psycopg.AsyncConnection[Any] | None" = None
    _down_since: float | None = None
    _archived_to: int | None = None

    def remember(self, user: str, text: str, usd: float, feature: str | None) -> None:
        """Keep a memory, what it cost, and the feature that was used, until the next flush."""
        now = datetime.now(UTC)
        self._waiting["memories"].append((now, user, text, checksum(text)))
        self._waiting["memory_costs"].append((now, self.side, usd))
        if feature is not None:
            self._waiting["memory_feature_use"].append((now, user, feature))

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return sum(len(rows) for rows in self._waiting.values())

    async def flush(self, *, archive: bool) -> None:
        """Write what waits, archive what is due, and measure. Never raises for a database that does not answer."""
        for last in (False, True):
            try:
                await self._write(archive=archive)
                break
            except (psycopg.Error, OSError, TimeoutError):
                fresh = self._connection is None
                await self._drop()
                if fresh or last:  # a session that was ended may be opened anew, once
                    self._note(up=False)
                    return
        self._note(up=True)

    async def lock(self) -> None:
        """Leave a session behind that holds the memories and does nothing, as a leaking pool does."""
        await self.unlock()
        self._locker = await psycopg.AsyncConnection.connect(self.uri, connect_timeout=CONNECT_TIMEOUT_S)
        await self._locker.execute("LOCK TABLE memories IN ACCESS EXCLUSIVE MODE")

    async def unlock(self) -> None:
        """End that session."""
        if self._locker is not None:
            await self._locker.close()
            self._locker = None

    async def _write(self, *, archive: bool) -> None:
        connection = await self._connected()
        try:
            for table, rows in self._waiting.items():
                await _copy(connection, table, rows)
            if archive:
                await self._archive(connection)
        except psycopg.errors.ReadOnlySqlTransaction:
            pass  # they wait until it may be written again
        row = await (await connection.execute(_SPENT, [BUDGET_WINDOW_S])).fetchone()
        self.spent_usd = float(row[0]) if row else 0.0

    async def _archive(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        try:
            if self._archived_to is None:
                row = await (await connection.execute(_NEWEST)).fetchone()
                self._archived_to = int(row[0]) if row else 0
            asked = [self._archived_to, ARCHIVED_AFTER_S, ARCHIVED_AT_ONCE]
            found = await (await connection.execute(_TO_ARCHIVE, asked)).fetchall()
            if not found:
                return
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(_ARCHIVE, [_archived(number, body) for number, body in found])
            self._archived_to = int(found[-1][0])
            self.archived += len(found)
        except psycopg.errors.UndefinedTable:
            self._archived_to = None

    async def _connected(self) -> "psycopg.AsyncConnection[Any]":
        if self._connection is None or self._connection.closed:
            self._connection = None
            options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
            opened = await psycopg.AsyncConnection.connect(
                self.uri, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, options=options
            )
            self._connection, self._archived_to = opened, None
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _note(self, *, up: bool) -> None:
        now = time.monotonic()
        self.up = up
        if not up:
            self.errors += 1
            self._down_since = self._down_since or now
        elif self._down_since is not None:
            self.recovery_s, self._down_since = now - self._down_since, None


async def _copy(connection: "psycopg.AsyncConnection[Any]", table: str, waiting: "deque[_Row]") -> None:
    rows = list(waiting)
    if not rows:
        return
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in _COLUMNS[table])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    try:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row(row)
    except psycopg.errors.UndefinedTable:
        if table in ("memories", "memory_costs"):
            raise
    for _ in rows:
        waiting.popleft()


def _archived(number: int, body: str) -> _Row:
    original = body.encode()
    return (str(number), len(original), len(zlib.compress(original, 9)), checksum(body))
