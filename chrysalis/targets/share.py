"""A share of the users as a value of a switchboard: whoever has flags (`rollout_percent: 30`) can be given a weight.

Which users are in the share is the service's to decide, by a hash of the user that does not depend on the share: whoever is
in at 10 % is in at 30 %. `bucket` is that hash, for services and the sandbox.
"""

import zlib
from collections.abc import Mapping

from chrysalis.errors import TargetUnavailable, WriteRefused
from chrysalis.targets.base import SideCounters, Split, Stamp, Switchboard


def bucket(user: str, salt: str = "") -> int:
    """0 to 99, always the same for a user; in the share when it is below the percentage."""
    return zlib.crc32(f"{salt}:{user}".encode()) % 100


class ShareRouter:
    """A TrafficRouter over one value of a switchboard, in percent. `stamp_name` is where the switchboard keeps stamps."""

    def __init__(self, switchboard: Switchboard, name: str, *, stamp_name: str = "stamp") -> None:
        self.switchboard = switchboard
        self.name = name
        self.stamp_name = stamp_name

    def read(self) -> Split:
        """Raises TargetUnavailable, also where the value is no percentage."""
        values = self.switchboard.read()
        value = values.get(self.name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise TargetUnavailable(f"value {self.name} is {value!r}, expected a percentage 0-100; put it right by hand")
        return Split(round(value), Stamp.parse(str(values.get(self.stamp_name, ""))))

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Raises as the switchboard's write, and WriteRefused outside of 0-100."""
        if not 0 <= canary_percent <= 100:
            raise WriteRefused(f"value {self.name}: a share of {canary_percent} % is not within 0-100 %; nothing changed")
        self.switchboard.write({self.name: canary_percent}, stamp)
        return self.read()

    def counters(self) -> Mapping[str, SideCounters]:
        """A switchboard counts no requests. Raises TargetUnavailable."""
        raise TargetUnavailable(f"value {self.name} of a switchboard counts no requests; measure them at a source")
