"""Child processes that all end: those we started, and those that they started and left behind.

A Prefect worker starts a process per flow run; killed, it leaves them. So this process becomes the one that orphans are
handed to (a subreaper), and stopping looks for every descendant there is.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chrysalis.effects.database.own_server import run_as
from chrysalis.errors import SettingsError

GRACE_S = 4.0
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Processes:
    """Everything that was started here. Must be made in the main thread."""

    logs: Path
    environment: Mapping[str, str]
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(self, name: str, command: Sequence[str], *, folder: Path, user: str | None = None) -> None:
        """Start one, as our own user unless another is named; its output goes to `NAME.log`."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                **run_as(user),
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - only async-signal-safe calls
            )

    def run(self, name: str, command: Sequence[str], *, folder: Path, timeout_s: float) -> None:
        """Run one to its end. Raises SettingsError with the last line it said."""
        self.start(name, command, folder=folder)
        try:
            code = self._started[name].wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise SettingsError(f"{name} took longer than {timeout_s:g} s; see {self.logs / name}.log") from error
        if code != 0:
            raise SettingsError(f"{name} ended with {code}: {self.last_line(name)} (see {self.logs / name}.log)")

    def require_running(self, name: str) -> None:
        """Raises SettingsError with the last line it said when it has ended."""
        code = self._started[name].poll()
        if code is not None:
            raise SettingsError(f"{name} ended with {code}: {self.last_line(name)} (see {self.logs / name}.log)")

    def pid(self, name: str) -> int:
        """Its process id."""
        return self._started[name].pid

    def last_line(self, name: str) -> str:
        """The last line that is not empty."""
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """End every descendant: asked first, killed after a grace. Safe to repeat."""
        asked: set[int] = set()
        deadline = time.monotonic() + GRACE_S
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            _signal_all(left - asked, signal.SIGTERM)
            asked |= left
            _collect()
            time.sleep(0.05)
        while left := descendants(os.getpid()):
            _signal_all(left, signal.SIGKILL)
            _collect()
            time.sleep(0.02)
        self._started.clear()


def descendants(pid: int) -> set[int]:
    """Every process below `pid` that still runs; those that have ended and wait to be collected do not count."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] not in ("Z", "X"):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def memory_bytes(pids: set[int]) -> int:
    """The memory of processes, shared parts counted once between those that share them (PSS), in bytes."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def _collect() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
