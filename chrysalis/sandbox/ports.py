"""Free loopback ports. Chosen below the range from which the kernel takes ports for outgoing connections, so that none is
taken between the choice and the moment the part listens on it."""

import secrets
import socket

from chrysalis.errors import SettingsError

FIRST, LAST = 20000, 32000
ATTEMPTS = 500


def free_ports(count: int) -> list[int]:
    """`count` different ports on which nothing listens. Raises SettingsError when there are not that many."""
    held: list[socket.socket] = []
    try:
        for _ in range(ATTEMPTS):
            if len(held) == count:
                break
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                candidate.bind(("127.0.0.1", FIRST + secrets.randbelow(LAST - FIRST)))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        if len(held) < count:
            raise SettingsError(f"{len(held)} of {count} loopback ports found free in {FIRST}-{LAST}; end what holds them")
        return [int(bound.getsockname()[1]) for bound in held]
    finally:
        for bound in held:
            bound.close()
