"""The control of a fleet: what operators call, by the contract of `chrysalis.targets.operator`.

`python -m chrysalis.sandbox.fleet.control FOLDER VERSION`. Three targets: `/layers`, `/versions`, `/regions`, each with
`/state` and `/operations`; what comes to `/gateway` is answered by the region to which traffic goes.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.fleet.gateway import Gateway
from chrysalis.sandbox.fleet.layout import FAULTS, Fleet
from chrysalis.sandbox.fleet.operations import STORAGE_BYTES, Arguments, Operations, Refused
from chrysalis.targets.base import Stamp

STAMP_HEADER = "x-chrysalis-stamp"


class Control:
    """Who may operate, and what was operated."""

    def __init__(self, fleet: Fleet, *, version: str) -> None:
        self.fleet = fleet
        kept = JsonFile(fleet.control_file).read()
        self.operations = Operations(fleet, version=version, kept=kept)
        self.stamps: dict[str, str] = kept.get("stamps") or {}
        self._one_at_a_time = asyncio.Lock()

    async def state(self) -> dict[str, Any]:
        found, operations = await self.operations.instances(), self.operations
        return {
            "layers": {name: one["layers"] for name, one in found.items() if one is not None},
            "down": [name for name, one in found.items() if one is None],
            "versions": operations.versions,
            "regions": {"traffic": operations.traffic, "all": sorted(set(self.fleet.regions.values()))},
            "replicas": operations.replicas,
        }

    async def operate(self, target: str, action: str, arguments: Arguments, stamp: str) -> JSONResponse:
        """One at a time, refused when a newer stamp was seen on this target."""
        offered = self.operations.offered(target)
        operation = offered.get(action)
        if operation is None:
            known = ", ".join(sorted(offered))
            return JSONResponse({"error": f"no operation {action!r}; there is {known}"}, 422)
        async with self._one_at_a_time:
            mine, last = Stamp.parse(stamp), Stamp.parse(self.stamps.get(target, ""))
            if mine is not None and last is not None and mine.token < last.token:
                return JSONResponse({"error": "a newer worker wrote", "stale_stamp": str(last)}, 409)
            self.stamps[target] = stamp or self.stamps.get(target, "")
            try:
                summary = await operation(arguments)
            except (Refused, httpx.HTTPError) as error:
                self._remember(target, action, arguments, stamp, f"refused: {error}")
                return JSONResponse({"error": str(error) or type(error).__name__}, 422)
            self._remember(target, action, arguments, stamp, summary)
        return JSONResponse({"summary": summary, "state": await self.state()})

    def _remember(self, target: str, action: str, arguments: Arguments, stamp: str, outcome: str) -> None:
        told = {"at_s": time.time(), "target": target, "action": action, "arguments": dict(arguments)}
        self.operations.history.append({**told, "stamp": stamp, "outcome": outcome})
        write_json(self.fleet.control_file, {**self.operations.to_keep(), "stamps": self.stamps})


def create_app(fleet: Fleet, *, version: str) -> Starlette:
    """The application of the control."""
    control = Control(fleet, version=version)
    faults, redis = fleet.faults, control.operations.redis

    async def state(_: Request) -> Response:
        return JSONResponse(await control.state())

    async def operations(request: Request) -> Response:
        body = await request.json()
        target = request.path_params["target"]
        stamp = request.headers.get(STAMP_HEADER, "")
        control.operations.now_s = float(body.get("at_s") or time.time())
        return await control.operate(target, str(body.get("action")), body.get("arguments") or {}, stamp)

    async def history(_: Request) -> Response:
        return JSONResponse(control.operations.history)

    async def metrics(_: Request) -> Response:
        up = None if redis is None else await asyncio.to_thread(redis.answers)
        return Response(
            _metrics({**FAULTS, **faults.read()}, up, control.operations.storage), media_type="text/plain; version=0.0.4"
        )

    gateway = Gateway(fleet, control.operations.client, lambda: control.operations.traffic)
    return Starlette(
        routes=[
            Route("/gateway/{path:path}", gateway.answer),
            Route("/{target:str}/state", state),
            Route("/{target:str}/operations", operations, methods=["POST"]),
            Route("/history", history),
            Route("/metrics", metrics),
        ]
    )


def _metrics(faults: Mapping[str, Any], redis_up: bool | None, storage: float) -> bytes:
    """What is about the fleet as a whole."""
    registry = CollectorRegistry()
    if redis_up is not None:
        Gauge("redis_up", "1 while Redis answers.", registry=registry).set(redis_up)
    now = time.time()
    values = {
        "data_integrity_failures": faults["integrity_failures"],
        "missing_records": faults["missing_records"],
        "database_size_bytes": STORAGE_BYTES * float(faults["database_fill"]),
        "database_capacity_bytes": storage,
        "backup_last_success_timestamp_seconds": now - float(faults["backup_age_s"]),
        "restore_test_last_success_timestamp_seconds": now - float(faults["restore_test_age_s"]),
        "dr_replication_lag_seconds": faults["replication_lag_s"],
    }
    for name, value in values.items():
        Gauge(name, name.replace("_", " "), registry=registry).set(float(value))
    incidents = Gauge("incidents_open", "Incidents that are open.", ["priority"], registry=registry)
    total = Gauge("incidents_total", "Incidents that have begun.", ["priority"], registry=registry)
    for priority, count in (("P0", float(faults["p0_open"])), ("P1", 0.0), ("P2", 0.0)):
        incidents.labels(priority).set(count)
        total.labels(priority).set(count)
    return generate_latest(registry)


def main() -> None:
    """Serve until told to stop."""
    folder = Path(sys.argv[1])
    fleet = Fleet.load(folder)
    if fleet is None:
        raise SystemExit(f"{folder} has no fleet")
    app = create_app(fleet, version=sys.argv[2])
    uvicorn.run(app, host="127.0.0.1", port=fleet.control_port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
