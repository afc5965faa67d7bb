"""A sandbox leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.sandbox.state import State, process_started, read_state
from tests.sandbox.fixtures import until

SMALL = SandboxSettings(load=False, restart_after_s=0.1)
HOLD = """
import sys, threading
from pathlib import Path
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
sandbox = Sandbox.start(Path(sys.argv[1]), settings=SandboxSettings(load=False), detach=sys.argv[2] == "detach")
print("up", flush=True)
threading.Event().wait(60 if sys.argv[2] != "detach" else 0)
"""


def alive(state: State) -> list[str]:
    """Which of the processes are still there."""
    pids = {"keeper": state.keeper_pid, **state.pids}
    return [name for name, pid in pids.items() if process_started(pid) is not None]


def holder(folder: Path, manner: str) -> subprocess.Popen[str]:
    """Another process that has started a sandbox."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), manner], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_stopping_ends_frozen_parts_and_may_be_repeated(tmp_path: Path) -> None:
    """And the same folder can be started again, anew without what another one left in it; never under one that runs."""
    sandbox = Sandbox.start(tmp_path, settings=SMALL)
    state = sandbox.state
    for part in ("stable", "envoy", "postgres"):
        sandbox.freeze_part(part)
    sandbox.stop()
    assert alive(state) == []
    sandbox.stop()
    (tmp_path / "repository").mkdir()
    with Sandbox.start(tmp_path, settings=SMALL, anew=True) as again:
        assert again.state.ready
        assert not (tmp_path / "repository").exists()
        with pytest.raises(SettingsError, match="a sandbox runs in"):
            Sandbox.start(tmp_path, settings=SMALL, anew=True)
        assert again.state.ready
    assert alive(again.state) == []
    with pytest.raises(SettingsError, match="no sandbox runs"):
        Sandbox.attach(tmp_path)


def test_a_frozen_keeper_is_ended_too(tmp_path: Path) -> None:
    """With its parts, frozen ones as well."""
    sandbox = Sandbox.start(tmp_path, settings=SMALL)
    state = sandbox.state
    sandbox.freeze_part("postgres")
    os.kill(state.keeper_pid, signal.SIGSTOP)
    sandbox.stop()
    until(lambda: alive(state) == [])


@pytest.mark.parametrize("victim", ["caller", "keeper"])
def test_no_process_outlives_a_sigkill(tmp_path: Path, victim: str) -> None:
    """Of the process that started it, or of the keeper."""
    with holder(tmp_path, "attached") as process:
        state = read_state(tmp_path)
        assert state is not None
        os.kill(process.pid if victim == "caller" else state.keeper_pid, signal.SIGKILL)
        until(lambda: alive(state) == [])
        process.kill()
    Sandbox(tmp_path).stop()
    assert not Path(state.paths["postgres_data"]).exists()


def test_detached_it_outlives_its_caller(tmp_path: Path) -> None:
    """And is found again by its folder."""
    with holder(tmp_path, "detach") as process:
        process.wait(10)
    sandbox = Sandbox.attach(tmp_path)
    state = sandbox.state
    assert state.detached
    assert len(alive(state)) == 6
    sandbox.stop()
    assert alive(state) == []


def test_a_part_that_cannot_start_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    """With the part's own last line."""
    with pytest.raises(SettingsError, match="postgres ended with"):
        Sandbox.start(tmp_path, settings=SandboxSettings(load=False, database_connections=-1))
    state = read_state(tmp_path)
    assert state is not None
    assert alive(state) == []
