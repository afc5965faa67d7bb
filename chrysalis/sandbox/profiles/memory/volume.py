"""The service's volume: real files with a quota, so that it can be full without filling the machine's disk."""

import gzip
import os
import time
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 8_000_000
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Volume:
    """`logs/`, `cache/` and `archive/` below one folder."""

    folder: Path
    size_bytes: int = SIZE_BYTES

    @property
    def free_bytes(self) -> int:
        """What is left of the quota; below 0 when it is exceeded."""
        return self.size_bytes - sum(_size(path) for path in self.files())

    def files(self, part: str = "") -> list[Path]:
        """All files, or those of one part."""
        return [path for path in (self.folder / part).rglob("*") if path.is_file()]

    def fill(self, free_share: float, *, age_s: float = 40 * DAY_S) -> None:
        """Old logs, until only this share (0-1) is free."""
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        wanted = self.free_bytes - int(self.size_bytes * free_share)
        path = logs / f"old-{time.time_ns()}.log"
        path.write_bytes(os.urandom(max(0, wanted)))
        before = time.time() - age_s
        os.utime(path, (before, before))

    def compress_archive(self) -> int:
        """Compress what is archived in plain; returns the bytes that were won."""
        won = 0
        for path in self.files("archive"):
            if path.suffix != ".gz":
                packed = gzip.compress(path.read_bytes())
                won += _size(path) - len(packed)
                path.with_name(path.name + ".gz").write_bytes(packed)
                path.unlink()
        return won

    def delete(self, part: str, *, older_than_s: float = 0.0) -> int:
        """Delete the files of a part that are older; returns how many."""
        old = [path for path in self.files(part) if time.time() - path.stat().st_mtime >= older_than_s]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
