"""The control of the versions, by the contract of `chrysalis.targets.operator`: `/production` and `/staging`.

`python -m chrysalis.sandbox.profiles.memory.control FOLDER`. In production v2.x runs as the sandbox's stable process and the
release beside it as the canary's; in staging there is one place, which a version takes from the one before. Processes are
really ended and started, by the keeper. A version is up when it answers healthy and is warm: it has served as many requests
as it takes to have all its code and memory in use. In production Prometheus, too, must have seen it up for the shortest
window that is asked for: the plan's hour, of which none may lie before the deployment, is less at the sandbox's clock.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chrysalis.errors import ChrysalisError
from chrysalis.metrics.fetch import MIN_SCRAPES
from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.layout import SIDES
from chrysalis.sandbox.profiles.memory.environment import PREVIOUS, RELEASE, STAGING, Environment
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.base import Stamp
from chrysalis.targets.http_api import STAMP_HEADER

STATE = "memory-control.json"
PRODUCTION = "production"
HEALTHY_WITHIN_S = 60.0
WARM_REQUESTS = 150
ANSWERS_WITHIN_S = 3.0
"""What takes longer is asked for again by its number."""
WARM_UP = {"userId": "warm-up", "text": "A memory of the one who warms up."}
POLL_S = 0.1
Arguments = Mapping[str, Any]


class Refused(Exception):
    """An operation that cannot be done; the message says why."""


class Control:
    """All that can be operated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = Environment.load(folder)
        self._file = JsonFile(folder / STATE)
        self._running: dict[str, asyncio.Task[JSONResponse]] = {}
        self._one_at_a_time = asyncio.Lock()

    def read(self, name: str) -> dict[str, Any]:
        """The versions of an environment, and who wrote last."""
        begin = {"versions": {"current": PREVIOUS, "previous": None, "running": [PREVIOUS]}, "stamp": ""}
        return {**begin, **self._file.read().get(name, {})}

    def _keep(self, name: str, **changes: Any) -> None:
        write_json(self._file.path, {**self._file.read(), name: {**self.read(name), **changes}})

    async def begin(self, name: str, action: str, arguments: Arguments, stamp: str) -> Response:
        """Do it; 202 with a number when it takes longer than a request should."""
        number = f"{name}-{action}-{time.time_ns()}"
        self._running[number] = asyncio.create_task(self._operate(name, action, arguments, stamp))
        return await self.answer(number)

    async def answer(self, number: str) -> Response:
        """How the operation of that number stands."""
        task = self._running.get(number)
        if task is None:
            return JSONResponse({"error": f"no operation {number}"}, 404)
        done, _ = await asyncio.wait([task], timeout=ANSWERS_WITHIN_S)
        if not done:
            return JSONResponse({"id": number}, 202)
        del self._running[number]
        return task.result()

    async def _operate(self, name: str, action: str, arguments: Arguments, stamp: str) -> JSONResponse:
        offered = self._offered(name)
        if action not in offered:
            return JSONResponse({"error": f"no operation {action!r}; there is {', '.join(sorted(offered))}"}, 422)
        async with self._one_at_a_time:
            mine, last = Stamp.parse(stamp), Stamp.parse(self.read(name)["stamp"])
            if mine is not None and last is not None and mine.token < last.token:
                return JSONResponse({"error": "a newer worker wrote", "stale_stamp": str(last)}, 409)
            try:
                summary = await offered[action](arguments)
            except (Refused, ChrysalisError, httpx.HTTPError) as error:
                return JSONResponse({"error": str(error) or type(error).__name__}, 422)
            self._keep(name, stamp=stamp or self.read(name)["stamp"])
        return JSONResponse({"summary": summary, "state": self.read(name)})

    def _offered(self, name: str) -> dict[str, Callable[[Arguments], Awaitable[str]]]:
        if name == STAGING:
            return {"deploy": self._take_place, "stop": self._give_place_back, "restart": self._restart_staging}
        return {
            "deploy": self._deploy,
            "stop": self._stop,
            "activate_previous": self._activate_previous,
            "restart": self._restart,
        }

    # ── production: two places ──

    async def _deploy(self, arguments: Arguments) -> str:
        version = _named(arguments)
        versions = self.read(PRODUCTION)["versions"]
        if version in versions["running"] and await self._healthy(self._url("canary")):
            return f"{version} is up already"
        await self._start_anew("canary", self._url("canary"))
        running = [PREVIOUS, version] if PREVIOUS in versions["running"] else [version]
        self._keep(PRODUCTION, versions={"current": version, "previous": PREVIOUS, "running": running})
        return f"{version} is up and warm"

    async def _stop(self, arguments: Arguments) -> str:
        """`current` is the newest that runs; `all` is every one; otherwise the version of that name."""
        versions = self.read(PRODUCTION)["versions"]
        word = str(arguments.get("version") or "current")
        ending = {"all": list(versions["running"]), "current": versions["running"][-1:]}.get(word, [word])
        ending = [one for one in ending if one in versions["running"]]
        for version in ending:
            await asyncio.to_thread(self._sandbox.stop_part, "stable" if version == PREVIOUS else "canary")
        self._keep(PRODUCTION, versions={**versions, "running": [one for one in versions["running"] if one not in ending]})
        return f"{', '.join(ending) or 'nothing'} stopped"

    async def _activate_previous(self, _: Arguments) -> str:
        """v2.x serves, and what was newer has ended."""
        for version in self.read(PRODUCTION)["versions"]["running"]:
            if version != PREVIOUS:
                await asyncio.to_thread(self._sandbox.stop_part, "canary")
        if not await self._healthy(self._url("stable")):
            await asyncio.to_thread(self._sandbox.start_part, "stable")
            await self._until_healthy(self._url("stable"))
        self._keep(PRODUCTION, versions={"current": PREVIOUS, "previous": None, "running": [PREVIOUS]})
        return f"{PREVIOUS} serves"

    async def _restart(self, _: Arguments) -> str:
        versions = self.read(PRODUCTION)["versions"]
        side = "stable" if versions["current"] == PREVIOUS else "canary"
        await self._start_anew(side, self._url(side))
        return f"{versions['current']} was restarted and answers"

    # ── staging: one place ──

    async def _take_place(self, arguments: Arguments) -> str:
        version = _named(arguments)
        versions = self.read(STAGING)["versions"]
        if versions["current"] == version and await self._healthy(self._environment.staging_url):
            return f"{version} is up already"
        await self._start_staging(RELEASE)
        taken = {"current": version, "previous": versions["current"], "running": [version]}
        self._keep(STAGING, versions=taken)
        return f"{version} took the place of {versions['current']}, and is warm"

    async def _give_place_back(self, arguments: Arguments) -> str:
        versions = self.read(STAGING)["versions"]
        if versions["current"] != _named(arguments):
            return f"{versions['current']} runs, and goes on"
        previous = versions["previous"] or PREVIOUS
        await self._start_staging(PREVIOUS if previous == PREVIOUS else RELEASE)
        self._keep(STAGING, versions={"current": previous, "previous": None, "running": [previous]})
        return f"{previous} has its place again"

    async def _restart_staging(self, _: Arguments) -> str:
        await self._start_anew(STAGING, self._environment.staging_url)
        return "staging was restarted and answers"

    async def _start_staging(self, binary: str) -> None:
        settings = SandboxSettings.load_from(self._environment.staging)
        told = {**json.loads((self._environment.staging / "settings.json").read_text()), "canary_version": binary}
        if settings.canary_version != binary:
            write_json(self._environment.staging / "settings.json", told)
        await self._start_anew(STAGING, self._environment.staging_url)

    # ── processes ──

    @property
    def _sandbox(self) -> Sandbox:
        return Sandbox.attach(self._folder)

    def _url(self, side: str) -> str:
        return str(self._sandbox.state.urls[side])

    async def _start_anew(self, part: str, url: str) -> None:
        sandbox = self._sandbox
        await asyncio.to_thread(sandbox.stop_part, part)
        await asyncio.to_thread(sandbox.start_part, part)
        await self._until_healthy(url)
        await warm_up(url)
        if part in SIDES:
            await self._until(lambda: self._seen_up(part), f"{part} is not seen up by Prometheus")

    async def _until_healthy(self, url: str) -> None:
        await self._until(lambda: self._healthy(url), f"{url} is not healthy")

    async def _until(self, reached: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while not await reached():
            if time.monotonic() > deadline:
                raise Refused(f"{otherwise} after {HEALTHY_WITHIN_S:g} s")
            await asyncio.sleep(POLL_S)

    async def _seen_up(self, side: str) -> bool:
        """Whether each scrape of a rate's shortest window found it."""
        window_s = (MIN_SCRAPES + 1) * SandboxSettings.load_from(self._folder).scrape_interval_s
        query = f'min_over_time(up{{side="{side}"}}[{window_s * 1000:.0f}ms]) == 1'
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            with suppress(httpx.HTTPError, ValueError, KeyError):
                answer = await client.get(self._sandbox.state.urls["prometheus"] + "/api/v1/query", params={"query": query})
                return bool(answer.json()["data"]["result"])
        return False

    async def _healthy(self, url: str) -> bool:
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                answer = await client.get(url + "/health")
                return answer.is_success and answer.json()["status"] == "healthy"
        except (httpx.HTTPError, ValueError, KeyError):
            return False


async def warm_up(url: str) -> None:
    """Requests until the process has all its code and memory in use."""
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
        for _ in range(WARM_REQUESTS // 10):
            await asyncio.gather(*(client.post(url + "/api/memories", json=WARM_UP) for _ in range(10)))


def _named(arguments: Arguments) -> str:
    version = str(arguments.get("version") or "")
    if not version:
        raise Refused("no version is named")
    return version


def create_app(folder: Path) -> Starlette:
    """The application of the control."""
    control = Control(folder)

    async def state(request: Request) -> Response:
        return JSONResponse(control.read(request.path_params["environment"]))

    async def operate(request: Request) -> Response:
        body = await request.json()
        stamp = request.headers.get(STAMP_HEADER, "")
        arguments = body.get("arguments") or {}
        return await control.begin(request.path_params["environment"], str(body.get("action")), arguments, stamp)

    async def operation(request: Request) -> Response:
        return await control.answer(request.path_params["number"])

    return Starlette(
        routes=[
            Route("/{environment:str}/state", state),
            Route("/{environment:str}/operations", operate, methods=["POST"]),
            Route("/{environment:str}/operations/{number:str}", operation),
        ]
    )


def main() -> None:
    """Serve until told to stop."""
    folder = Path(sys.argv[1])
    port = Environment.load(folder).control_port
    uvicorn.run(create_app(folder), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
