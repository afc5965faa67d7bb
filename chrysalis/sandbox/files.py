"""Small files that several processes share: replaced by rename, so that a reader sees the old or the new, never half."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace the file at once; `durable` survives a power cut as well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """The same for a JSON value."""
    write_whole(path, json.dumps(value, indent=2))


class JsonFile:
    """A JSON object that others write; read again only when the file has changed, and kept when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._value: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The newest content; an absent file is an empty object."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            self._seen, self._value = None, {}
            return self._value
        seen = (facts.st_mtime_ns, facts.st_ino)
        if seen != self._seen:
            self._value = json.loads(self.path.read_text(encoding="utf-8"))
            self._seen = seen
        return self._value
