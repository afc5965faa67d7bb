"""`chrysalis up` leaves nothing behind, whenever it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chrysalis.local.processes import descendants
from chrysalis.sandbox.layout import Layout
from chrysalis.settings import CHECKOUT
from tests.desk import processes
from tests.stack import until

CHRYSALIS = str(Path(sys.executable).with_name("chrysalis"))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(
    "when",
    [
        pytest.param("starting Prefect's server", id="early"),
        pytest.param("Ctrl-C stops all of it", id="when all is up", marks=pytest.mark.slow),
    ],
)
def test_stopped_it_leaves_nothing_behind(tmp_path: Path, signal_number: int, when: str) -> None:
    """No descendant, nothing that still carries its environment after its parent is gone, and no database's folder."""
    environment = {**os.environ, "CHRYSALIS_HOME": str(tmp_path)}
    log = tmp_path / "up.log"
    with log.open("wb") as out:
        command = [CHRYSALIS, "up"]
        up = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        until(lambda: when in log.read_text() or up.poll() is not None, when, timeout_s=120)
        until(lambda: descendants(up.pid), "the first process below it")
        assert up.poll() is None, log.read_text()
        started = descendants(up.pid)
        os.kill(up.pid, signal_number)
        assert up.wait(60) == 130
        left = processes(CHRYSALIS_HOME=str(tmp_path)) | {pid for pid in started if _runs(pid)}
        assert left == set(), log.read_text()
        assert [folder for folder in _database_folders(tmp_path) if folder.exists()] == []
        assert "Traceback" not in log.read_text()
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(60)


def _database_folders(home: Path) -> list[Path]:
    """Of the sandbox and of Prefect's server; they may lie outside of `home`."""
    return [folder for name in ("sandbox", "prefect-database") for folder in Layout(home / name).postgres_folders]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
