"""One instance: its layers, its part of the consensus, its metrics.

`python -m chrysalis.sandbox.fleet.instance FOLDER NAME`

Consensus is real: each instance asks its neighbours for their value several times a second and moves towards them,
x_i += e * sum(x_j - x_i) on the complete graph (Olfati-Saber, Fax and Murray 2007), over HTTP between processes.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.fleet.layout import FAULTS, LAYERS, Fleet
from chrysalis.sandbox.fleet.metrics import InstanceMetrics

ROUND_S = 0.2
"""Between two rounds of the consensus, and of the work."""
STEP = 0.3
"""How far towards the others in a round, over the number of instances; below 1, or it would overshoot."""
DRIFT = 0.02
"""By how much a diverging instance moves away in a round."""
OPERATIONS_PER_ROUND = 20


class Instance:
    """The state of one instance; layers and value outlast a restart."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.fleet = fleet
        self.name = name
        self.metrics = InstanceMetrics(name)
        self._faults = fleet.faults
        kept = JsonFile(fleet.state_file(name)).read()
        self.layers: set[str] = set(kept.get("layers", ()))
        self.off: set[str] = set(kept.get("frameworks_off", ()))
        self.value: float = kept.get("value", 1.0)
        self.orchestrations: int = kept.get("orchestrations", 0)
        """Runs of R6 so far: what it multiplies by is known from the first one on."""
        self.error = 0.0
        self.converged = True
        self._apart_since: float | None = None
        self.took_s = 0.0

    def keep(self) -> None:
        content = {"layers": sorted(self.layers), "frameworks_off": sorted(self.off), "value": self.value}
        content |= {"orchestrations": self.orchestrations}
        write_json(self.fleet.state_file(self.name), content)

    @property
    def faults(self) -> dict[str, Any]:
        return {**FAULTS, **self._faults.read()}

    def as_json(self) -> dict[str, Any]:
        return {
            "instance": self.name,
            "region": self.fleet.regions[self.name],
            "layers": sorted(self.layers),
            "frameworks_off": sorted(self.off),
            "value": self.value,
            "orchestrations": self.orchestrations,
            "consensus_error": self.error,
        }

    async def round(self, client: httpx.AsyncClient) -> None:
        """Hear the others, move, work, measure."""
        others = await self._others(client)
        if self.faults["diverging"] == self.name:
            self.value += DRIFT
        else:
            self.value += STEP * sum(other - self.value for other in others) / (1 + len(others))
        everybody = [self.value, *others]
        mean = sum(everybody) / len(everybody)
        self.error = max(abs(one - mean) for one in everybody)
        self._converge()
        self._work()
        self.metrics.measure(self)

    def _converge(self) -> None:
        now = time.monotonic()
        self.converged = self.error < 0.01
        if self.converged:
            if self._apart_since is not None:
                self.took_s = now - self._apart_since
            self._apart_since = None
        elif self._apart_since is None:
            self._apart_since = now

    async def _others(self, client: httpx.AsyncClient) -> list[float]:
        names = [name for name in self.fleet.ports if name != self.name]
        if self.faults["diverging"] in (self.name, *names):
            names = [name for name in names if self.faults["diverging"] != self.name]
        answers = await asyncio.gather(*(self._ask(client, name) for name in names))
        return [value for value in answers if value is not None]

    async def _ask(self, client: httpx.AsyncClient, name: str) -> float | None:
        try:
            return float((await client.get(self.fleet.url(name) + "/state")).json()["value"])
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    def _work(self) -> None:
        """Framework operations: as many as a round has, of which the fault's share fails."""
        rate = float(self.faults["error_rate"])
        failed = sum(random.random() < rate for _ in range(OPERATIONS_PER_ROUND)) if rate else 0  # noqa: S311
        self.metrics.worked(OPERATIONS_PER_ROUND, failed, seconds=0.05 + float(self.faults["operation_s"]))


class Service:
    """The HTTP face of an instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "healthy", **self.instance.as_json()})

    async def state(self, _: Request) -> Response:
        return JSONResponse(self.instance.as_json())

    async def manager_metrics(self, _: Request) -> Response:
        return Response(self.instance.metrics.manager_text(), media_type="text/plain; version=0.0.4")

    async def metrics(self, _: Request) -> Response:
        return Response(self.instance.metrics.text(), media_type="text/plain; version=0.0.4")

    async def change(self, request: Request) -> Response:
        """Layers, disabled frameworks and value exactly as given; the control decides what is allowed."""
        body = await request.json()
        one = self.instance
        one.layers = set(body.get("layers", one.layers)) & set(LAYERS)
        one.off = set(body.get("frameworks_off", one.off))
        one.value = float(body.get("value", one.value))
        one.orchestrations = int(body.get("orchestrations", one.orchestrations))
        one.keep()
        return JSONResponse(one.as_json())


def create_app(fleet: Fleet, name: str) -> Starlette:
    """The application of one instance."""
    instance = Instance(fleet, name)
    service = Service(instance)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=1.0, trust_env=False) as client:
            task = asyncio.create_task(_rounds(instance, client))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    routes = [
        Route("/health", service.health),
        Route("/state", service.state),
        Route("/state", service.change, methods=["PUT"]),
        Route("/metrics", service.metrics),
        Route("/metrics/manager", service.manager_metrics),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _rounds(instance: Instance, client: httpx.AsyncClient) -> None:
    while True:
        await instance.round(client)
        await asyncio.sleep(ROUND_S)


def main() -> None:
    """Serve until told to stop."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    fleet = Fleet.load(folder)
    if fleet is None:
        raise SystemExit(json.dumps({"error": f"{folder} has no fleet"}))
    uvicorn.run(create_app(fleet, name), host="127.0.0.1", port=fleet.ports[name], log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
