"""Everything that was started ends: what asks for mercy, what ignores it, and what was left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.local.processes import Processes, descendants, memory_bytes
from chrysalis.settings import CHECKOUT
from tests.stack import until

LEAVES_AN_ORPHAN = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
time.sleep(600)
"""
# Stopping ends every descendant of the process it is called in, so it is called in one of its own.
STOPS = """
import os, sys
from pathlib import Path
from chrysalis.local.processes import Processes, descendants
processes = Processes(Path(sys.argv[1]), os.environ)
processes.start("one", [sys.executable, "-c", sys.argv[2]], folder=Path("/"))
while len(descendants(os.getpid())) < 2:
    pass
os.kill(processes.pid("one"), 9)
processes.stop()
print(len(descendants(os.getpid())))
"""


def test_stopping_ends_orphans_that_ignore_the_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STOPS, str(tmp_path), LEAVES_AN_ORPHAN]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "0\n"


def test_a_program_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    processes = Processes(tmp_path, {})
    failing = [sys.executable, "-c", "print('no such pool'); raise SystemExit(3)"]
    with pytest.raises(SettingsError, match="deploy ended with 3: no such pool"):
        processes.run("deploy", failing, folder=tmp_path, timeout_s=30)


def test_descendants_are_found_however_deep() -> None:
    shell = subprocess.Popen(["bash", "-c", "bash -c 'sleep 600; true'; true"])
    try:
        below = until(lambda: found if len(found := descendants(shell.pid)) == 2 else None, "the shell and its sleep")
        assert memory_bytes(below | {shell.pid}) > 0
    finally:
        for pid in descendants(shell.pid) | {shell.pid}:
            subprocess.run(["kill", "-9", str(pid)], check=False)
        shell.wait()


def test_memory_of_what_is_gone_is_nothing() -> None:
    assert memory_bytes({2**22 - 1}) == 0
