"""A database server that is frozen, not gone, keeps its connections open and answers nothing; the driver waits for ever.

So each connection taken from the pool has a time by which it must be back. One thread keeps watch and shuts the socket of
one that is late; the driver then reports a lost connection like any other, and the caller gets LedgerUnavailable.
"""

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError


class Deadlines:
    """Watches the connections of one engine; the thread starts with the first of them and ends with `stop`."""

    def __init__(self, engine: Engine, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._due: dict[int, tuple[float, Any]] = {}
        self._changed = threading.Condition()
        self._idle = True
        self._stopped = False
        self._thread: threading.Thread | None = None
        event.listen(engine, "checkout", self._taken)
        event.listen(engine, "checkin", self._returned)

    def forgive(self, dbapi_connection: Any) -> None:
        """Let this connection take its time until it is back: it reads something long."""
        with self._changed:
            self._due.pop(id(dbapi_connection), None)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _taken(self, dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
        with self._changed:
            self._due[id(dbapi_connection)] = (time.monotonic() + self._limit_s, dbapi_connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="ledger-deadlines", daemon=True)
                self._thread.start()
            if self._idle:
                self._changed.notify()
        try:
            dbapi_connection.execute("SELECT 1")
            dbapi_connection.rollback()
        except Exception as error:
            self.forgive(dbapi_connection)
            raise DisconnectionError from error

    def _returned(self, dbapi_connection: Any, _record: Any) -> None:
        self.forgive(dbapi_connection)

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                for key, (due, connection) in list(self._due.items()):
                    if due <= now:
                        del self._due[key]
                        _cut(connection)
                nearest = min((due for due, _ in self._due.values()), default=None)
                self._idle = nearest is None
                self._changed.wait(None if nearest is None else max(0.0, nearest - now))


def _cut(dbapi_connection: Any) -> None:
    with suppress(Exception):
        twin = socket.socket(fileno=os.dup(dbapi_connection.fileno()))
        with twin:
            twin.shutdown(socket.SHUT_RDWR)
