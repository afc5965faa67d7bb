"""Free loopback ports. Chosen below the range from which the kernel takes ports for outgoing connections, so that none is
taken between the choice and the moment the part listens on it; and in turn, so that nobody else is given it meanwhile."""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import TextIO

from chrysalis.errors import SettingsError

FIRST, LAST = 20000, 32000


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens.

    A port comes again only when all others have been given, whoever asks: between the choice and the moment a part listens
    lies up to a minute (Prefect's server starts that slowly), in which other parts, sandboxes and tests choose theirs.
    Raises SettingsError when there are not that many.
    """
    found: list[int] = []
    with _turn() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = file.read()
        last = int(said) if said.isdecimal() else secrets.randbelow(LAST - FIRST)
        for _ in range(LAST - FIRST):
            if len(found) == count:
                break
            last = (last + 1) % (LAST - FIRST)
            if _is_free(FIRST + last):
                found.append(FIRST + last)
        file.seek(0)
        file.truncate()
        file.write(str(last))
    if len(found) < count:
        raise SettingsError(f"{len(found)} of {count} loopback ports found free in {FIRST}-{LAST}; end what holds them")
    return found


def _turn() -> TextIO:
    """The file with the place in the range of the port that this user's processes were given last."""
    path = Path(tempfile.gettempdir()) / f"chrysalis-ports-{os.getuid()}"
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} cannot be opened to take the next port: {error.strerror}; remove it") from error
    return os.fdopen(opened, "r+")


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
