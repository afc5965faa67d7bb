"""Feature flags of one project and environment in Unleash, by its admin API: on and off as a switchboard, a gradual rollout
as a router.

The stamp is the title of a strategy (`chrysalis ROLLOUT:TOKEN:STEP`), which people see beside the flag. The router's
strategy carries it itself; where a flag is only switched, it is that of a strategy which is disabled and so decides nothing.

Unleash has no conditional write, so a stale worker is refused by what stands there when it looks, and again by what reads
back. Where a client token is given, a write counts when the services' own API shows it, not only the admin's.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.secrets import redact
from chrysalis.targets.base import SideCounters, Split, Stamp, Value

POLL_S = 0.1
TITLE = "chrysalis "
ROLLOUT = "flexibleRollout"
_SERVER_ERROR, _TOO_MANY = 500, 429
_FOR_ALL = ("default", ROLLOUT)
_SHOWN_CHARACTERS = 200

Strategy = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag in our environment."""

    name: str
    enabled: bool
    strategies: Sequence[Strategy]

    @property
    def ours(self) -> list[Strategy]:
        """The strategies that carry our stamp."""
        return [one for one in self.strategies if str(one.get("title") or "").startswith(TITLE)]

    @property
    def stamp(self) -> Stamp | None:
        """Who of us wrote last."""
        stamps = (Stamp.parse(str(one["title"]).removeprefix(TITLE)) for one in self.ours)
        return max((one for one in stamps if one is not None), default=None)

    @property
    def rollout(self) -> Strategy | None:
        """The strategy that holds the share: ours, or the only gradual rollout that there is."""
        gradual = [one for one in self.strategies if one["name"] == ROLLOUT and not one.get("disabled")]
        ours = [one for one in gradual if one in self.ours]
        return ours[0] if ours else gradual[0] if len(gradual) == 1 else None

    @property
    def others(self) -> list[Strategy]:
        """The strategies that let users in whatever the share is."""
        share = self.rollout
        return [one for one in self.strategies if one is not share and not one.get("disabled")]


class Unleash:
    """The flags of one project and environment. `token` is an admin token, `client_token` a backend (client) token."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        project: str = "default",
        environment: str = "production",
        client_token: str | None = None,
        timeout_s: float = 5.0,
        settle_s: float = 5.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.project = project
        self.environment = environment
        self.client_token = client_token
        self.settle_s = settle_s
        self._token = token
        self._features = f"/api/admin/projects/{quote(project, safe='')}/features"
        self._client = httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def flags(self) -> dict[str, bool]:
        """Whether each flag of the project is on here. Raises TargetUnavailable."""
        found = self._read(self._features)["features"]
        states = {one["name"]: self._here(one) for one in found}
        return {name: bool(state["enabled"]) for name, state in states.items() if state is not None}

    def flag(self, name: str) -> Flag:
        """Raises TargetUnavailable."""
        here = self._here(self._read(self._path(name)))
        if here is None:
            raise TargetUnavailable(f"{self.where(name)}: the project has no environment {self.environment!r}")
        return Flag(name, bool(here["enabled"]), here["strategies"])

    def switch(self, name: str, on: bool) -> None:
        """Raises WriteRefused, TargetUnavailable."""
        self._write("POST", f"{self._here_path(name)}/{'on' if on else 'off'}", None)

    def put_strategy(self, name: str, strategy: Strategy) -> None:
        """Change the strategy that has its id, else add it. Raises WriteRefused, TargetUnavailable."""
        path, content = f"{self._here_path(name)}/strategies", {**strategy}
        if (number := content.pop("id", None)) is None:
            self._write("POST", path, content)
        else:
            self._write("PUT", f"{path}/{number}", content)

    def retitle(self, found: Flag, stamp: Stamp) -> None:
        """Put the stamp where an older one of ours stands. Raises as `put_strategy`."""
        for one in found.ours:
            if one["title"] != f"{TITLE}{stamp}":
                self.put_strategy(found.name, {**one, "title": f"{TITLE}{stamp}"})

    def served(self, name: str) -> Flag | None:
        """The flag as services get it; None where they get none, or no client token says. Raises TargetUnavailable."""
        for one in self._read("/api/client/features", self.client_token)["features"]:
            if one["name"] == name:
                return Flag(name, bool(one["enabled"]), one["strategies"])
        return None

    def verify(self, name: str, wanted: str, right: Callable[[Flag], bool], stamp: Stamp) -> Flag:
        """Read until the flag is right, for the admin and for services.

        Raises StaleToken, WriteNotVerified, TargetUnavailable.
        """
        deadline = time.monotonic() + self.settle_s
        while True:
            found = self.flag(name)
            self.refuse_stale(found, stamp)
            served = found if self.client_token is None else self.served(name)
            told = found.stamp == stamp and right(found)
            if told and served is not None and right(served):
                return found
            if time.monotonic() > deadline:
                seen = _show(found) if not told else f"services get {'no such flag' if served is None else _show(served)}"
                raise WriteNotVerified(f"{self.where(name)}: wrote {wanted}, reads back {seen} after {self.settle_s:g} s")
            time.sleep(POLL_S)

    def refuse_stale(self, found: Flag, stamp: Stamp) -> None:
        """Raises StaleToken when a newer token wrote last."""
        last = found.stamp
        if last is not None and last.token > stamp.token:
            raise StaleToken(
                f"{self.where(found.name)}: token {stamp.token} ({stamp}) is older than {last.token} ({last}), which wrote "
                "last; stop this worker, its successor has taken over"
            )

    def where(self, name: str) -> str:
        """For messages."""
        return f"unleash {self.url}, flag {name} of {self.project} in {self.environment}"

    def _here(self, feature: Mapping[str, Any]) -> Mapping[str, Any] | None:
        found: Sequence[Mapping[str, Any]] = feature["environments"]
        return next((one for one in found if one["name"] == self.environment), None)

    def _path(self, name: str) -> str:
        return f"{self._features}/{quote(name, safe='')}"

    def _here_path(self, name: str) -> str:
        return f"{self._path(name)}/environments/{quote(self.environment, safe='')}"

    def _read(self, path: str, token: str | None = None) -> Any:
        answer = self._ask("GET", path, None, token or self._token)
        if not answer.is_success:
            raise TargetUnavailable(
                f"GET {self.url}{path} answered {answer.status_code} ({_said(answer)}); check address, names and token"
            )
        try:
            return answer.json()
        except ValueError as error:
            raise TargetUnavailable(f"GET {self.url}{path} answered no JSON; check the address") from error

    def _write(self, method: str, path: str, body: Any) -> None:
        answer = self._ask(method, path, body, self._token)
        if answer.is_success:
            return
        what = f"{method} {self.url}{path} answered {answer.status_code} ({_said(answer)})"
        if answer.status_code >= _SERVER_ERROR or answer.status_code == _TOO_MANY:
            raise TargetUnavailable(f"{what}; repeat the write when it is well again")
        raise WriteRefused(f"{what}; this was not changed")

    def _ask(self, method: str, path: str, body: Any, token: str) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body, headers={"authorization": token})
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise TargetUnavailable(f"{method} {self.url}{path} did not answer ({said})") from error


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
        percent = _percent(found.rollout)
        if percent is None or not 0 <= percent <= 100:
            said = f"a rollout of {percent}" if found.rollout else "no gradual rollout of its own"
            if found.rollout or found.enabled:
                raise TargetUnavailable(f"{self.unleash.where(self.flag)} has {said}; put it right by hand")
            percent = 0
        on = found.enabled
        return Split(percent if on else 0, found.stamp, bypassed=on and bool(found.others))


def _has(percent: int) -> Callable[[Flag], bool]:
    def right(found: Flag) -> bool:
        return not found.enabled if percent == 0 else found.enabled and _percent(found.rollout) == percent

    return right


def _percent(strategy: Strategy | None) -> int | None:
    if strategy is None:
        return None
    try:
        return int(strategy["parameters"]["rollout"])
    except (KeyError, ValueError):
        return -1


def _lets_all_in(strategy: Strategy) -> bool:
    limited = strategy.get("constraints") or strategy.get("segments")
    return strategy["name"] in _FOR_ALL and not limited and _percent(strategy) in (-1, 100)


def _show(found: Flag) -> str:
    return f"{'on' if found.enabled else 'off'}, rollout {_percent(found.rollout)}, by {found.stamp}"


def _said(answer: httpx.Response) -> str:
    try:
        content = answer.json()
        said = content["details"][0]["message"] if content.get("details") else content["message"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        said = answer.text.strip() or "no message"
    return redact(str(said))[:_SHOWN_CHARACTERS]
