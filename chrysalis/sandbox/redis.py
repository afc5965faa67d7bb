"""Redis for the sandbox: found on PATH, else Debian's package unpacked; and the little of its protocol that is needed."""

import json
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chrysalis.sandbox import debian
from chrysalis.sandbox.files import write_json
from chrysalis.sandbox.install import PROJECT
from chrysalis.sandbox.ports import free_ports

if TYPE_CHECKING:
    from chrysalis.sandbox.fleet.layout import Fleet

UNPACKED = PROJECT / ".chrysalis" / "redis"
PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
ADVICE = "install Redis 7 or newer so that `redis-server` is on PATH (Debian: apt-get install redis-server)"
FILE = "redis.json"
TIMEOUT_S = 1.0


def make(folder: Path) -> tuple[tuple[str, ...], "Redis"]:
    """The command of a server on a free port, which is written down, and a client of it. Raises SettingsError."""
    (port,) = free_ports(1)
    write_json(folder / FILE, {"port": port})
    own = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    return (*_program(), *own), Redis(port)


def _program(unpacked: Path = UNPACKED) -> tuple[str, ...]:
    if found := shutil.which("redis-server"):
        return (found,)
    folder = debian.unpack(unpacked, PACKAGES, holds=("usr/bin/redis-check-rdb",), advice=ADVICE)
    server = folder / "usr" / "bin" / "redis-server"
    with suppress(FileExistsError):
        server.symlink_to("redis-check-rdb")  # one program, told apart by its name
    return (shutil.which("env") or "env", f"LD_LIBRARY_PATH={debian.libraries(folder)}", str(server))


@dataclass(frozen=True, slots=True)
class Redis:
    """A client of the server on this port of 127.0.0.1."""

    port: int

    @classmethod
    def of(cls, fleet: "Fleet") -> "Redis | None":
        """That of the fleet's sandbox; None where it has none."""
        path = Path(fleet.folder) / FILE
        return cls(int(json.loads(path.read_text())["port"])) if os.path.exists(path) else None

    def answers(self) -> bool:
        """Does it answer a ping?"""
        try:
            return self._ask("PING") == b"+PONG"
        except OSError:
            return False

    def set(self, key: str, value: str) -> None:
        """Write and read back. Raises OSError."""
        self._ask("SET", key, value)
        if self._ask("STRLEN", key) != b":%d" % len(value.encode()):
            raise OSError(f"Redis did not keep {key}")

    def _ask(self, *words: str) -> bytes:
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            text = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(text), text))
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S) as connection:
            connection.sendall(b"".join(parts))
            return connection.makefile("rb").readline().rstrip(b"\r\n")
