"""Unleash by its admin API and its client API: one flag in one environment, its strategies, and who of us wrote last."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.secrets import redact
from chrysalis.targets.base import Stamp

POLL_S = 0.1
TITLE = "chrysalis "
ROLLOUT = "flexibleRollout"
_SERVER_ERROR, _TOO_MANY = 500, 429
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


def percent_of(strategy: Strategy | None) -> int | None:
    """Its rollout; None without a strategy, -1 where it is no number."""
    if strategy is None:
        return None
    try:
        return int(strategy["parameters"]["rollout"])
    except (KeyError, ValueError):
        return -1


def _show(found: Flag) -> str:
    return f"{'on' if found.enabled else 'off'}, rollout {percent_of(found.rollout)}, by {found.stamp}"


def _said(answer: httpx.Response) -> str:
    try:
        content = answer.json()
        said = content["details"][0]["message"] if content.get("details") else content["message"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        said = answer.text.strip() or "no message"
    return redact(str(said))[:_SHOWN_CHARACTERS]
