"""What of Unleash 7's admin and client API the adapter relies on: docs.getunleash.io/api (features, strategies,
environments), and what 7.5.1 was seen to answer; tests/targets/test_unleash.py says the same of a real one."""

import json
import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote

from tests.metrics.servers import Asked, Reply

ADMIN, CLIENT = "*:*.admin", "default:production.client"
_FEATURES = re.compile(
    r"^/api/admin/projects/default/features(?:/(?P<flag>[^/]+)(?:/environments/(?P<where>[^/]+)/(?P<rest>.*))?)?$"
)

Json = dict[str, Any]


class Failed(Exception):
    """Answered as Unleash does."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.content = code, {"name": "Error", "message": message, "details": [{"message": message}]}


@dataclass
class FakeUnleash:
    """Two environments of one project. `stale_for` answers of the client API are as before the last change."""

    flags: dict[str, dict[str, Json]] = field(default_factory=dict)
    stale_for: int = 0
    failing: int | None = None
    _numbers: Any = field(default_factory=lambda: count(1))
    _served: list[Json] = field(default_factory=list)
    _late: int = 0

    def __call__(self, asked: Asked) -> Reply:
        try:
            code, content = 200, self._answer(asked)
        except Failed as failed:
            code, content = failed.code, failed.content
        return Reply(code, b"" if content is None else json.dumps(content).encode(), {"content-type": "application/json"})

    def _answer(self, asked: Asked) -> Json | None:
        client = asked.path == "/api/client/features"
        if asked.headers.get("authorization") != (CLIENT if client else ADMIN):
            raise Failed(401, "You must log in to use Unleash.")
        if self.failing is not None and asked.method != "GET":
            raise Failed(self.failing, "not now" if self.failing >= 500 else "You need the permission UPDATE_FEATURE")
        if client:
            return self._client()
        found = _FEATURES.match(asked.path)
        if found is None:
            raise Failed(404, f"The path {asked.path} does not exist.")
        body = json.loads(asked.body) if asked.body else {}
        if found["flag"] is None:
            if asked.method == "POST":
                self.flags[body["name"]] = {
                    name: {"enabled": False, "strategies": []} for name in ("development", "production")
                }
                return {"name": body["name"]}
            return {"features": [self._shown(name, strategies=False) for name in self.flags]}
        name = unquote(found["flag"])
        if name not in self.flags:
            raise Failed(404, f'There\'s no feature named "{name}" in project "default".')
        if found["where"] is None:
            return self._shown(name)
        if found["where"] not in self.flags[name]:
            raise Failed(404, f"Could not find environment {found['where']} for feature: {name}")
        before = self._enabled_now()
        self._change(self.flags[name][found["where"]], name, asked.method, found["rest"], body)
        self._served, self._late = before, self.stale_for
        return None

    def _change(self, here: Json, flag: str, method: str, rest: str, body: Json) -> None:
        match method, *rest.split("/"):
            case "POST", "on":
                here["enabled"] = True
                if all(one["disabled"] for one in here["strategies"]):
                    parameters = {"groupId": flag, "rollout": "100", "stickiness": "default"}
                    self._add(here, {"name": "flexibleRollout", "parameters": parameters})
            case "POST", "off":
                here["enabled"] = False
            case "POST", "strategies":
                self._add(here, body)
            case "PUT", "strategies", number:
                (index,) = [at for at, one in enumerate(here["strategies"]) if one["id"] == number]
                here["strategies"][index] |= body
            case _:
                raise Failed(404, f"{method} {rest} is not known")

    def _add(self, here: Json, body: Json) -> None:
        rest = {"constraints": [], "segments": [], "variants": [], "title": None, "disabled": False, "parameters": {}}
        here["strategies"].append({**rest, **body, "id": f"number-{next(self._numbers)}"})

    def _shown(self, name: str, *, strategies: bool = True) -> Json:
        environments = [{"name": one, **state} for one, state in self.flags[name].items()]
        if not strategies:
            environments = [{"name": one["name"], "enabled": one["enabled"]} for one in environments]
        return {"name": name, "environments": environments}

    def _enabled_now(self) -> list[Json]:
        shown = []
        for name, states in self.flags.items():
            here = states["production"]
            kept = [
                {key: one[key] for key in ("name", "constraints", "parameters", "variants")}
                for one in here["strategies"]
                if not one["disabled"]
            ]
            shown.append({"name": name, "enabled": here["enabled"], "strategies": kept})
        return json.loads(json.dumps(shown))  # type: ignore[no-any-return]

    def _client(self) -> Json:
        if self._late > 0:
            self._late -= 1
            return {"version": 2, "features": self._served}
        return {"version": 2, "features": self._enabled_now()}
