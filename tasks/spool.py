"""What was done while the ledger could not be written: kept in a local file, on the disk before it is done, journaled later.

The file gets its room when it is made, so that a disk that fills up afterwards does not take the record with it. It holds
one JSON object per line and zeros after the last; a line that a crash cut off is no line. Every entry has a key, and the
newest line of a key counts: first what is about to be done, then what came of it.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from chrysalis.ledger import canonical_json

SPOOL = "spool.jsonl"
"""In the home folder."""
ROOM_BYTES = 256 * 1024
"""Several hundred actions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One action as the ledger will have it. `at` is ISO 8601; `asks` is what is then asked of the rollout, if anything."""

    key: str
    rollout_id: str
    actor: str
    action: str
    before: Any
    after: Any
    cause: Any
    at: str
    asks: str | None = None
    to_percent: int | None = None
    rollback: str | None = None
    done: bool = False
    """What came of it is known; without it the process ended in between."""


_FIELDS = frozenset(part.name for part in fields(Spooled))


class Spool:
    """The file. Processes take turns by a lock on it; all calls raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def reserve(self) -> None:
        """Make the file and its room. Safe to repeat."""
        with self._open():
            pass

    def add(self, entry: Spooled) -> None:
        """Write an entry behind the others; it is on the disk when this returns."""
        line = canonical_json(asdict(entry)).encode("ascii") + b"\n"
        with self._open() as file:
            at = _length(file)
            # A line that was cut off is ended first, so that it does not swallow this one.
            cut = b"\n" if at and os.pread(file, 1, at - 1) != b"\n" else b""
            _write(file, cut + line, at)

    def entries(self) -> tuple[Spooled, ...]:
        """The newest line of each key, in the order in which the keys came."""
        if not self.path.exists():
            return ()
        with self._open() as file:
            return _read(file)

    def clear(self, journaled: tuple[Spooled, ...]) -> bool:
        """Forget everything if nothing was added since `journaled` was read; else nothing, and False.

        What a crash in the middle leaves is journaled again, under the same keys.
        """
        with self._open() as file:
            if _read(file) != journaled:
                return False
            _write(file, bytes(_length(file)), 0)
        return True

    @contextmanager
    def _open(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_size < ROOM_BYTES:
                os.posix_fallocate(file, 0, ROOM_BYTES)
                os.fsync(file)
                _sync_folder(self.path.parent)
            yield file
        finally:
            os.close(file)


def _read(file: int) -> tuple[Spooled, ...]:
    found: dict[str, Spooled] = {}
    for line in _content(file).split(b"\n"):
        entry = _entry(line)
        if entry is not None:
            found[entry.key] = entry
    return tuple(found.values())


def _length(file: int) -> int:
    return len(_content(file))


def _content(file: int) -> bytes:
    """What was written. Every tick asks, and nearly always there is nothing: then the room behind it is not read."""
    if os.pread(file, 1, 0) in (b"", b"\0"):
        return b""
    return os.pread(file, os.fstat(file).st_size, 0).rstrip(b"\0")


def _write(file: int, content: bytes, at: int) -> None:
    while content:
        written = os.pwrite(file, content, at)
        content, at = content[written:], at + written
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entry(line: bytes) -> Spooled | None:
    try:
        kept = json.loads(line)
    except ValueError:
        return None
    if not isinstance(kept, dict) or not {"key", "rollout_id", "actor", "action", "at"} <= set(kept) <= _FIELDS:
        return None
    return Spooled(**kept)
