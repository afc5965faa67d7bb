"""The turns as rows of consciousness_turn_meta, once the migration has made that table; before it, nobody keeps them."""

import json
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

MOST_WAITING = 20_000
_COLUMNS = "created_at, user_id, orchestrator, orchestrator_mode, top_resonance, resonance, metadata"
_COPY = f"COPY consciousness_turn_meta ({_COLUMNS}) FROM STDIN"


class Turn(NamedTuple):
    """A row."""

    created_at: datetime
    user_id: str
    orchestrator: str
    mode: str
    top_resonance: str
    resonance: str
    metadata: str

    @classmethod
    def at_now(cls, user: str, orchestrator: str, mode: str, latency_ms: int, *, hit: bool, failed: bool) -> "Turn":
        """One that has just ended."""
        resonance = {**({"cache_hit": True} if hit else {}), **({"error": "failed"} if failed else {})}
        metadata = json.dumps({"latencyMs": latency_ms})
        return cls(datetime.now(UTC), user, orchestrator, mode, "clarity", json.dumps(resonance), metadata)


class TurnLog:
    """Waiting rows, written a few times a second."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._waiting: deque[Turn] = deque(maxlen=MOST_WAITING)
        self._connection: psycopg.AsyncConnection | None = None

    def add(self, turn: Turn) -> None:
        """Keep a row until the next flush."""
        self._waiting.append(turn)

    async def flush(self) -> None:
        """Write what waits. Without the database it goes on waiting; without the table it is dropped."""
        rows = list(self._waiting)
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(self._uri, autocommit=True, connect_timeout=2)
            async with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                for row in rows:
                    await copy.write_row(row)
        except psycopg.errors.UndefinedTable:
            pass
        except (psycopg.Error, OSError):
            return
        for _ in rows:
            self._waiting.popleft()
