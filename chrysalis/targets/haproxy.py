"""HAProxy as traffic router, by its runtime socket: the weights of two servers of a backend, and a map of who bypasses them.

The backend has the servers `canary` and `stable`. The map file that the configuration names holds `header` (on, off: whether
the header reaches the canary whatever the weight) and `stamp` (who wrote last); both are changed and read at run time.

What is set at run time is lost when HAProxy starts anew: it then runs as configured, which must be weight 0 for the canary.
The watch and the next step find that, because they read the weight from HAProxy itself.
"""

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import SideCounters, Split, Stamp

_WEIGHT = re.compile(r"^(\d+) \(initial \d+\)", re.MULTILINE)
_ENTRY = re.compile(r"^0x[0-9a-f]+ (\S+) (.*)$", re.MULTILINE)
SIDES = ("canary", "stable")


class HaproxyRouter:
    """A TrafficRouter over one backend of one HAProxy. `header` says whether the configuration routes by a header."""

    def __init__(self, path: Path, backend: str, routes: Path, *, header: bool = True, timeout_s: float = 2.0) -> None:
        self.path = path
        self.backend = backend
        self.routes = routes
        self.header = header
        self.timeout_s = timeout_s

    def read(self) -> Split:
        """What HAProxy itself says. Raises TargetUnavailable."""
        canary, stable = self._weights()
        whole = canary + stable
        entries = self._entries()
        stamp = Stamp.parse(entries.get("stamp", ""))
        return Split(round(100 * canary / whole) if whole else 0, stamp, bypassed=entries.get("header") == "on")

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Set the share and read it back; 0 closes the header's way, too. Safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        return self.write_routing(canary_percent, self.header and canary_percent > 0, stamp)

    def write_routing(self, canary_percent: int, header: bool, stamp: Stamp) -> Split:
        """Set the share, and whether the header reaches the canary; raises as `write`."""
        where = f"haproxy {self.path}, backend {self.backend}"
        if not 0 <= canary_percent <= 100:
            raise WriteRefused(f"{where}: a share of {canary_percent} % is not within 0-100 %; nothing changed")
        last = Stamp.parse(self._entries().get("stamp", ""))
        if last is not None and last.token > stamp.token:
            raise StaleToken(
                f"{where}: token {stamp.token} ({stamp}) is older than {last.token} ({last}), which wrote last; "
                "stop this worker, its successor has taken over"
            )
        said = self._ask(
            f"set map {self.routes} stamp {stamp}",
            f"set map {self.routes} header {'on' if header else 'off'}",
            f"set weight {self.backend}/canary {canary_percent}",
            f"set weight {self.backend}/stable {100 - canary_percent}",
        ).strip()
        if said:
            raise WriteRefused(f"{where}: refused {canary_percent} %: {said}")
        now = self.read()
        if now != Split(canary_percent, stamp, header):
            found = f"{now.canary_percent} %, header {'on' if now.bypassed else 'off'}, by {now.stamp}"
            wanted = f"{canary_percent} %, header {'on' if header else 'off'}, by {stamp}"
            raise WriteNotVerified(f"{where}: wrote {wanted}, reads back {found}")
        return now

    def counters(self) -> Mapping[str, SideCounters]:
        """HAProxy's running totals by side, of all backends with servers of these names. Raises TargetUnavailable."""
        lines = [line.split(",") for line in self._ask("show stat").strip().splitlines()]
        if not lines:
            raise TargetUnavailable(f"haproxy {self.path} answers no statistics; check the socket")
        column = {name.lstrip("# "): index for index, name in enumerate(lines[0])}
        totals = dict.fromkeys(SIDES, SideCounters(0, 0, 0))
        for row in lines[1:]:
            side = row[column["svname"]]
            if side not in totals:
                continue
            so_far = totals[side]
            answered = sum(int(row[column[f"hrsp_{one}xx"]] or 0) for one in range(1, 6))
            refused = int(row[column["econ"]] or 0)
            totals[side] = SideCounters(
                so_far.completed + answered + refused,
                so_far.errors + int(row[column["hrsp_5xx"]] or 0) + refused,
                so_far.in_flight + int(row[column["scur"]] or 0),
            )
        return totals

    def _weights(self) -> tuple[int, int]:
        said = self._ask(*(f"get weight {self.backend}/{side}" for side in SIDES))
        found = _WEIGHT.findall(said)
        if len(found) != 2:
            raise TargetUnavailable(
                f"haproxy {self.path}: expected the weights of {self.backend}/canary and /stable, found {said.strip()!r}; "
                "check the backend's name and its servers'"
            )
        return int(found[0]), int(found[1])

    def _entries(self) -> Mapping[str, str]:
        return dict(_ENTRY.findall(self._ask(f"show map {self.routes}")))

    def _ask(self, *commands: str) -> str:
        """The answers to all of them, in one connection, in order. Raises TargetUnavailable."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(self.timeout_s)
                connection.connect(str(self.path))
                connection.sendall(("; ".join(commands) + "\n").encode())
                said = bytearray()
                while chunk := connection.recv(65536):
                    said += chunk
        except OSError as error:
            raise TargetUnavailable(f"haproxy {self.path} does not answer ({error})") from error
        return said.decode(errors="replace")
