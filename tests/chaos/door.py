"""The socket at which a process that stands at a wanted mark says so, and where it is let go on."""

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Arrival:
    """Who stands at a mark; `let_go` has it go on, if it still lives."""

    mark: str
    _connection: socket.socket

    def let_go(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.sendall(b"1")
        self._connection.close()


class Door:
    """A socket below `folder`, listened at until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "door.sock"
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen(8)

    def arrival(self, timeout_s: float) -> Arrival | None:
        """A process that stands at a mark it was to stand at."""
        self._socket.settimeout(timeout_s)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        connection.settimeout(5.0)
        line = connection.makefile().readline()
        return Arrival(json.loads(line)["mark"], connection) if line else None

    def close(self) -> None:
        self._socket.close()
