"""Starts a program that does not outlive the process that asked for it, nor does anything that the program starts.

A program of a step goes on when the flow's process is killed, and the next process would run a second one beside it. The
kernel's signal at a parent's death reaches one process only, so this small one stands between: it leads a session of its
own and ends the whole group with itself. `launched` makes the command line; the file itself is run by path and needs
nothing of ours.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

CANNOT_START = 127
_PR_SET_PDEATHSIG = 1
_ORPHANED = signal.SIGUSR1
_SET_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these, and what is ignored would stay so in the program."""


def launched(arguments: Sequence[str], report: int = -1) -> list[str]:
    """The command line that runs `arguments`, to be started by the thread that waits for its end.

    Exit code and ending signal are the program's. When it cannot be started, why is written to the file descriptor `report`
    (to be passed on), or to the standard error without one.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(report), *arguments]


def main(parent: int, report: int, arguments: list[str]) -> NoReturn:
    """Run the program, and end as it did."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # meant for the program: this one ends when that has
    signal.signal(_ORPHANED, _end_group)
    _die_with(parent, _ORPHANED)
    me = os.getpid()
    program = os.fork()
    if program == 0:
        _become(arguments, me, report)
    if report >= 0:
        os.close(report)
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(me, -code)
    os._exit(code)


def _become(arguments: list[str], launcher: int, report: int) -> NoReturn:
    try:
        for number in (signal.SIGTERM, _ORPHANED, *_SET_BY_PYTHON):
            signal.signal(number, signal.SIG_DFL)
        _die_with(launcher, signal.SIGKILL)
        if report >= 0:
            os.set_inheritable(report, False)
        os.execvp(arguments[0], arguments)  # noqa: S606 - an argument list, as it was given
    except OSError as error:
        os.write(report if report >= 0 else 2, f"[Errno {error.errno}] {error.strerror}: {arguments[0]!r}".encode())
    os._exit(CANNOT_START)


def _die_with(parent: int, number: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os._exit(CANNOT_START)


def _end_group(_number: int, _frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
