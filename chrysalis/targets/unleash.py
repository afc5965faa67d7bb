"""Feature flags of one project and environment in Unleash, by its admin API: on and off as a switchboard, a gradual rollout
as a router.

The stamp is the title of a strategy (`chrysalis ROLLOUT:TOKEN:STEP`), which people see beside the flag. The router's
strategy carries it itself; where a flag is only switched, it is that of a strategy which is disabled and so decides nothing.

Unleash has no conditional write, so a stale worker is refused by what stands there when it looks, and again by what reads
back. Where a client token is given, a write counts when the services' own API shows it, not only the admin's.
"""

from collections.abc import Callable, Mapping

from chrysalis.errors import TargetUnavailable, WriteRefused
from chrysalis.targets.base import SideCounters, Split, Stamp, Value
from chrysalis.targets.unleash_api import ROLLOUT, TITLE, Flag, Strategy, Unleash, percent_of

_FOR_ALL = ("default", ROLLOUT)


class UnleashSwitchboard:
    """A Switchboard: the project's flags, true or false."""

    def __init__(self, unleash: Unleash) -> None:
        self.unleash = unleash

    def read(self) -> Mapping[str, Value]:
        """All flags. Raises TargetUnavailable."""
        return dict(self.unleash.flags())

    def write(self, changes: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        """Switch the named flags, and read all back; safe to repeat.

        Unleash gives its default strategy, everybody, to one that is switched on and has none.
        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        unleash = self.unleash
        flags = unleash.flags()
        for name, value in changes.items():
            if not isinstance(value, bool):
                raise WriteRefused(f"{unleash.where(name)}: found {value!r}, expected true or false; nothing changed")
            if name not in flags:
                raise WriteRefused(f"{unleash.where(name)}: there is no such flag; create it first, nothing changed")
        before = {name: unleash.flag(name) for name in changes}
        for found in before.values():
            unleash.refuse_stale(found, stamp)
        for name, value in changes.items():
            self._switch(before[name], bool(value), stamp)
        return self.read()

    def _switch(self, found: Flag, on: bool, stamp: Stamp) -> None:
        self.unleash.retitle(found, stamp)
        if not found.ours:
            mark = {"name": "default", "constraints": [], "parameters": {}, "disabled": True}
            self.unleash.put_strategy(found.name, {**mark, "title": f"{TITLE}{stamp}"})
        if found.enabled is not on:
            self.unleash.switch(found.name, on)
        self.unleash.verify(found.name, "on" if on else "off", lambda now: now.enabled is on, stamp)


class UnleashRouter:
    """A TrafficRouter: the gradual rollout of one flag. Users stay in by `stickiness`, while the flag is its own group."""

    def __init__(self, unleash: Unleash, flag: str, *, stickiness: str = "default") -> None:
        self.unleash = unleash
        self.flag = flag
        self.stickiness = stickiness

    def read(self) -> Split:
        """The share, 0 while the flag is off; bypassed while another strategy lets users in. Raises TargetUnavailable."""
        return self._split(self.unleash.flag(self.flag))

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Set the share and read it back; 0 switches the flag off, whatever its strategies. Safe to repeat.

        Raises StaleToken, WriteRefused (also where another strategy lets everybody in), WriteNotVerified, TargetUnavailable.
        """
        where = self.unleash.where(self.flag)
        if not 0 <= canary_percent <= 100:
            raise WriteRefused(f"{where}: a share of {canary_percent} % is not within 0-100 %; nothing changed")
        found = self.unleash.flag(self.flag)
        self.unleash.refuse_stale(found, stamp)
        if canary_percent > 0 and (names := [one["name"] for one in found.others if _lets_all_in(one)]):
            raise WriteRefused(
                f"{where}: its strategy {', '.join(names)} lets everybody in, so {canary_percent} % would be 100 %; "
                "disable that strategy, nothing changed"
            )
        if canary_percent == 0 and found.enabled:
            self.unleash.switch(self.flag, False)
        wanted = self._strategy(found, canary_percent, stamp)
        if found.rollout != wanted:
            self.unleash.put_strategy(self.flag, wanted)
        self.unleash.retitle(Flag(self.flag, found.enabled, [one for one in found.ours if one is not found.rollout]), stamp)
        if canary_percent > 0 and not found.enabled:
            self.unleash.switch(self.flag, True)
        return self._split(self.unleash.verify(self.flag, f"{canary_percent} %", _has(canary_percent), stamp))

    def counters(self) -> Mapping[str, SideCounters]:
        """A flag counts no requests. Raises TargetUnavailable."""
        raise TargetUnavailable(f"{self.unleash.where(self.flag)} counts no requests; measure them at a source")

    def _strategy(self, found: Flag, percent: int, stamp: Stamp) -> Strategy:
        # The group decides with the user who is in: as long as it stays, who is in at 10 % is in at 30 %.
        share = found.rollout or {"constraints": [], "parameters": {}}
        own = {"groupId": self.flag, "stickiness": self.stickiness, **share["parameters"], "rollout": str(percent)}
        return {**share, "name": ROLLOUT, "parameters": own, "title": f"{TITLE}{stamp}", "disabled": False}

    def _split(self, found: Flag) -> Split:
        percent = percent_of(found.rollout)
        if percent is None or not 0 <= percent <= 100:
            said = f"a rollout of {percent}" if found.rollout else "no gradual rollout of its own"
            if found.rollout or found.enabled:
                raise TargetUnavailable(f"{self.unleash.where(self.flag)} has {said}; put it right by hand")
            percent = 0
        on = found.enabled
        return Split(percent if on else 0, found.stamp, bypassed=on and bool(found.others))


def _has(percent: int) -> Callable[[Flag], bool]:
    def right(found: Flag) -> bool:
        return not found.enabled if percent == 0 else found.enabled and percent_of(found.rollout) == percent

    return right


def _lets_all_in(strategy: Strategy) -> bool:
    limited = strategy.get("constraints") or strategy.get("segments")
    return strategy["name"] in _FOR_ALL and not limited and percent_of(strategy) in (-1, 100)
