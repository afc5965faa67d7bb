"""One child process that cannot outlive its parent, and that ends when told to: asked first, then killed."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from chrysalis.effects.database.own_server import run_as
from chrysalis.errors import SettingsError
from chrysalis.sandbox.parts import Part

POLL_S = 0.01
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Process:
    """A part that was started. Must be made in the thread that lives as long as the process should."""

    def __init__(self, part: Part, *, folder: Path, log: Path) -> None:
        self.part = part
        with log.open("ab") as output:
            try:
                self._child = subprocess.Popen(
                    part.command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **run_as(part.user),
                    process_group=0,
                    preexec_fn=_dies_with(os.getpid(), part.orphan_signal),  # noqa: PLW1509 - the parent has one thread
                )
            except OSError as error:
                raise SettingsError(f"{part.name}: {part.command[0]} cannot be started ({error})") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._child.poll()

    def ask_to_end(self) -> None:
        """Send its own signal, and wake it where it is stopped."""
        if self.ended is None:
            self._child.send_signal(self.part.end_signal)
            self._child.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and its process group at once."""
        if self.ended is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()


def end_all(processes: Iterable[Process], *, grace_s: float) -> list[str]:
    """Ask all to end, kill those that have not after `grace_s`; returns the names of the killed."""
    asked = list(processes)
    for process in asked:
        process.ask_to_end()
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(process.ended is None for process in asked):
        time.sleep(POLL_S)
    hanging = [process for process in asked if process.ended is None]
    for process in hanging:
        process.kill()
    return [process.part.name for process in hanging]


def _dies_with(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(orphan_signal))
        if os.getppid() != parent:
            os._exit(1)

    return in_child
