"""Writes what the service did into PostgreSQL: rows are kept for a moment and copied in batches, off the requests' way.

With the database away the rows wait, up to a limit, and the oldest are given up and counted; the service goes on serving.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from chrysalis.sandbox.service.faults import FaultFile
from chrysalis.sandbox.service.telemetry import Telemetry

FLUSH_S = 0.25
POLL_S = 1.0
PRUNE_S = 60.0
CONNECT_TIMEOUT_S = 2
MAX_WAITING = 20_000
logger = logging.getLogger("sandbox.recorder")


class HealthRow(NamedTuple):
    """A row of system_health."""

    timestamp: datetime
    version: str
    side: str
    user_id: str
    coherence_ratio: float
    paradox_count: int
    symbolic_entropy: float
    field_weather: str
    aether_weight: float
    response_ms: float
    error: bool


class EventRow(NamedTuple):
    """A row of resonance_events."""

    timestamp: datetime
    version: str
    side: str
    event_type: str
    user_id: str
    quality: float


_COPY_HEALTH = f'COPY system_health ("{HealthRow._fields[0]}", {", ".join(HealthRow._fields[1:])}) FROM STDIN'
_COPY_EVENTS = f'COPY resonance_events ("{EventRow._fields[0]}", {", ".join(EventRow._fields[1:])}) FROM STDIN'
_PRUNE_HEALTH = 'DELETE FROM system_health WHERE "timestamp" < now() - make_interval(secs => %s)'
_PRUNE_EVENTS = 'DELETE FROM resonance_events WHERE "timestamp" < now() - make_interval(secs => %s)'
_CONNECTIONS = """
SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


class Recorder:
    """The waiting rows and the task that writes them."""

    def __init__(self, uri: str, telemetry: Telemetry, faults: FaultFile, *, retention_s: float) -> None:
        self._uri = uri
        self._telemetry = telemetry
        self._faults = faults
        self._retention_s = retention_s
        self._health: deque[HealthRow] = deque()
        self._events: deque[EventRow] = deque()
        self._held: list[psycopg.AsyncConnection] = []

    def add(self, row: HealthRow | EventRow) -> None:
        """Keep a row until the next flush."""
        waiting: deque[HealthRow] | deque[EventRow] = self._health if isinstance(row, HealthRow) else self._events
        if len(waiting) >= MAX_WAITING:
            waiting.popleft()
            self._telemetry.rows_lost.inc()
        waiting.append(row)  # type: ignore[arg-type]

    async def run(self) -> None:
        """Write until cancelled; a lost database is tried again at the next flush, and said once."""
        said = ""
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._uri, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
                )
                async with connection:
                    await self._write_to(connection)
            except (psycopg.Error, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    logger.warning("the database is away, rows wait: %s", error)
                await asyncio.sleep(FLUSH_S)

    async def _write_to(self, connection: psycopg.AsyncConnection) -> None:
        clock = asyncio.get_running_loop().time
        polled = pruned = float("-inf")
        while True:
            await self._copy(connection, _COPY_HEALTH, self._health)
            await self._copy(connection, _COPY_EVENTS, self._events)
            if clock() - polled > POLL_S:
                polled = clock()
                await self._hold_connections()
                await self._measure(connection)
            if clock() - pruned > PRUNE_S:
                pruned = clock()
                await connection.execute(_PRUNE_HEALTH, [self._retention_s])
                await connection.execute(_PRUNE_EVENTS, [self._retention_s])
            await asyncio.sleep(FLUSH_S)

    async def _copy(
        self, connection: psycopg.AsyncConnection, statement: str, waiting: deque[HealthRow] | deque[EventRow]
    ) -> None:
        rows = list(waiting)
        if not rows:
            return
        async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                await copy.write_row(row)
        for _ in rows:
            waiting.popleft()

    async def _measure(self, connection: psycopg.AsyncConnection) -> None:
        row = await (await connection.execute(_CONNECTIONS)).fetchone()
        if row is not None:
            self._telemetry.connections_used.set(row[0])
            self._telemetry.connections_max.set(row[1])

    async def _hold_connections(self) -> None:
        wanted = self._faults.now.database_connections
        while len(self._held) > wanted:
            await self._held.pop().close()
        while len(self._held) < wanted:
            try:
                self._held.append(await psycopg.AsyncConnection.connect(self._uri, connect_timeout=CONNECT_TIMEOUT_S))
            except psycopg.OperationalError:
                return


def now() -> datetime:
    """The time for a row."""
    return datetime.now(UTC)
