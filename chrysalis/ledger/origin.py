"""Where a change comes from: the door it came in by, and the machine, process and login that made it.

    cli root@build-3:4711

The door of a process is said once where it starts (`came_by`); somebody's answer that a process only hands on has the door
it was typed at (`door`). Nothing here is proof of who it was; that is the sign-off's.
"""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

_process: list[str] = ["process"]
_inner: ContextVar[str | None] = ContextVar("door", default=None)


def came_by(name: str) -> None:
    """Say what this process is: `cli`, `watch`, `flow`."""
    _process[0] = name


@contextmanager
def door(name: str) -> Iterator[None]:
    """While inside, changes come in by this door, such as `ui`."""
    token = _inner.set(name)
    try:
        yield
    finally:
        _inner.reset(token)


def here() -> str:
    """The origin of a change made now."""
    return f"{_inner.get() or _process[0]} {_login()}@{_host()}:{os.getpid()}"


@cache
def _host() -> str:
    return socket.gethostname()


@cache
def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
