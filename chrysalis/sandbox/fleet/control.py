"""The control of a fleet: what operators call, by the contract of `chrysalis.targets.operator`.

`python -m chrysalis.sandbox.fleet.control FOLDER VERSION`. Three targets: `/layers`, `/versions`, `/regions`, each with
`/state` and `/operations`; what comes to `/gateway` is answered by the region to which traffic goes. It talks to the
instances over HTTP; a restart is a real one: the process is ended, and the keeper starts it again.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
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
from chrysalis.sandbox.fleet.layout import FAULTS, LAYERS, OPTIONAL, Fleet
from chrysalis.sandbox.redis import Redis
from chrysalis.sandbox.state import read_state
from chrysalis.targets.base import Stamp

STAMP_HEADER = "x-chrysalis-stamp"
RESTART_WITHIN_S = 20.0
KEPT_HISTORY = 200
STORAGE_BYTES = 100e9
Arguments = Mapping[str, Any]
Operation = Callable[[Arguments], Awaitable[str]]


class Refused(Exception):
    """An operation that cannot be done; the message says why."""


class Control:
    """All that can be operated."""

    def __init__(self, fleet: Fleet, *, version: str) -> None:
        self.fleet = fleet
        self.client = httpx.AsyncClient(timeout=2.0, trust_env=False)
        first = next(iter(dict.fromkeys(fleet.regions.values())))
        kept = JsonFile(fleet.control_file).read()
        self.versions: dict[str, Any] = kept.get("versions") or {"current": version, "previous": None, "running": [version]}
        self.traffic: str = kept.get("traffic") or first
        self.storage: float = kept.get("storage") or STORAGE_BYTES
        self.replicas: int = kept.get("replicas") or len(fleet.ports)
        self.history: list[dict[str, Any]] = kept.get("history") or []
        self.stamps: dict[str, str] = kept.get("stamps") or {}
        self.orchestrations: dict[str, str] = kept.get("orchestrations") or {}
        self.now_s = time.time()
        """By the clock of whoever asked last."""
        self.redis = Redis.of(fleet)
        self._one_at_a_time = asyncio.Lock()

    def keep(self) -> None:
        names = ("versions", "traffic", "storage", "replicas", "stamps", "orchestrations")
        write_json(
            self.fleet.control_file,
            {**{name: getattr(self, name) for name in names}, "history": self.history[-KEPT_HISTORY:]},
        )

    # ── state ──

    async def instances(self) -> dict[str, dict[str, Any] | None]:
        """What each instance says; None for one that does not answer."""
        answers = await asyncio.gather(*(self._ask(name) for name in self.fleet.ports))
        return dict(zip(self.fleet.ports, answers, strict=True))

    async def _ask(self, name: str) -> dict[str, Any] | None:
        with suppress(httpx.HTTPError, ValueError):
            answer: dict[str, Any] = (await self.client.get(self.fleet.url(name) + "/state")).json()
            return answer
        return None

    async def state(self) -> dict[str, Any]:
        found = await self.instances()
        return {
            "layers": {name: one["layers"] for name, one in found.items() if one is not None},
            "down": [name for name, one in found.items() if one is None],
            "versions": self.versions,
            "regions": {"traffic": self.traffic, "all": sorted(set(self.fleet.regions.values()))},
            "replicas": self.replicas,
        }

    # ── operations ──

    async def operate(self, target: str, action: str, arguments: Arguments, stamp: str) -> JSONResponse:
        """One at a time, refused when a newer stamp was seen on this target."""
        operation = self.operations(target).get(action)
        if operation is None:
            known = ", ".join(sorted(self.operations(target)))
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
        self.history.append({**told, "stamp": stamp, "outcome": outcome})
        self.keep()

    def operations(self, target: str) -> Mapping[str, Operation]:
        """What a target offers by name."""
        offered: dict[str, Mapping[str, Operation]] = {
            "layers": {
                "activate_layer": self.activate_layer,
                "deactivate_layer": self.deactivate_layer,
                "disable_framework": self.disable_framework,
                "check_health": self.check_health,
                "check_network": self.check_health,
                "restart_instance": self.restart_instance,
                "restart_all": self.restart_all,
                "force_consensus_sync": self.force_consensus_sync,
                "run_orchestration": self.run_orchestration,
                "fail_over_instance": self.fail_over_instance,
                "replay_operations": self.replay_operations,
                "snapshot_state": self.snapshot_state,
                "search_logs": self.search_history,
                "analyze_errors": self.search_history,
                "archive_logs": self.archive_logs,
                "scale_up": self.scale,
            },
            "versions": {
                "deploy": self.deploy,
                "stop": self.stop,
                "activate_previous": self.roll_back,
                "roll_back": self.roll_back,
                "restart": self.restart_all,
                "scale": self.scale,
                "scale_back": self.scale_back,
                "grow_storage": self.grow_storage,
                "history": self.search_history,
            },
            "regions": {
                "activate": self.activate_region,
                "redirect_traffic": self.redirect_traffic,
                "redirect_back": self.redirect_back,
            },
        }
        return offered.get(target, {})

    async def activate_layer(self, arguments: Arguments) -> str:
        layer, instance, one = await self._layer(arguments)
        below = LAYERS[LAYERS.index(layer) - 1] if layer != LAYERS[0] else None
        if below is not None and below not in one["layers"]:
            raise Refused(f"{layer} stands on {below}, which is off on {instance}; activate {below} first")
        await self._put(instance, layers=sorted({*one["layers"], layer}))
        return f"{layer} is on on {instance}"

    async def deactivate_layer(self, arguments: Arguments) -> str:
        layer, instance, one = await self._layer(arguments)
        above = [on for on in one["layers"] if LAYERS.index(on) > LAYERS.index(layer)]
        if above:
            raise Refused(f"{', '.join(above)} on {instance} stands on {layer}; deactivate it first")
        await self._put(instance, layers=sorted(set(one["layers"]) - {layer}))
        return f"{layer} is off on {instance}"

    async def disable_framework(self, arguments: Arguments) -> str:
        framework = str(arguments.get("framework") or "")
        if not framework:
            raise Refused("no framework is named; give arguments: {framework: NAME}")
        for name in self._named(arguments):
            one = await self._must(name)
            await self._put(name, frameworks_off=sorted({*one["frameworks_off"], framework}))
        return f"{framework} is disabled on {', '.join(self._named(arguments))}"

    async def check_health(self, arguments: Arguments) -> str:
        """Every named instance answers, and has the named layers on (`all`: what is on is enough)."""
        names = self._named(arguments)
        wanted = arguments.get("layers") or ()
        for name in names:
            one = await self._must(name)
            missing = [] if wanted == "all" else [layer for layer in wanted if layer not in one["layers"]]
            if missing:
                raise Refused(f"{', '.join(missing)} should be on on {name}, and is not")
        return f"{', '.join(names)} healthy"

    async def restart_instance(self, arguments: Arguments) -> str:
        name = str(arguments.get("instance") or "")
        if name not in self.fleet.ports:
            raise Refused(f"no instance {name!r}; there is {', '.join(self.fleet.ports)}")
        await self._restart([name])
        return f"{name} was restarted and answers"

    async def restart_all(self, arguments: Arguments) -> str:
        await self._restart(list(self.fleet.ports))
        return f"{', '.join(self.fleet.ports)} were restarted and answer"

    async def force_consensus_sync(self, arguments: Arguments) -> str:
        names = self._named(arguments)
        values = [(await self._must(name))["value"] for name in names]
        mean = sum(values) / len(values)
        for name in names:
            await self._put(name, value=mean)
        return f"{', '.join(names)} agree on {mean:.4f}"

    async def run_orchestration(self, arguments: Arguments) -> str:
        """One run; `activation: this_run` switches the layer on for it alone, and off again."""
        layer, period = str(arguments.get("layer", "R6")), str(arguments.get("once_per") or "")
        names, for_this_run = self._named(arguments), arguments.get("activation") == "this_run"
        today = time.strftime("%Y-%m-%d", time.gmtime(self.now_s))
        if period == "day" and self.orchestrations.get(layer) == today:
            return f"{layer} was orchestrated on {today} already"
        for name in names:
            one = await self._must(name)
            if layer not in one["layers"] and not for_this_run:
                raise Refused(f"{layer} is off on {name}; activate it first")
        for name in names:
            if for_this_run:
                await self.activate_layer({"layer": layer, "instance": name})
            await self._put(name, orchestrations=(await self._must(name))["orchestrations"] + 1)
            if for_this_run:
                await self.deactivate_layer({"layer": layer, "instance": name})
        self.orchestrations[layer] = today
        return f"{layer} orchestrated {', '.join(names)} on {today}" + (", for this run only" if for_this_run else "")

    async def fail_over_instance(self, arguments: Arguments) -> str:
        """The others take over what a down instance did; in a drill nothing is down."""
        found = await self.instances()
        down = [name for name, one in found.items() if one is None]
        up = [name for name, one in found.items() if one is not None]
        if not up:
            raise Refused("no instance answers")
        if not down and not arguments.get("drill"):
            return "every instance answers; nothing to take over"
        return f"{', '.join(up)} carry on without {', '.join(down) or 'one (drill)'}"

    async def replay_operations(self, arguments: Arguments) -> str:
        return f"{len(self.history)} operations replayed since {arguments.get('since', 'the beginning')}"

    async def snapshot_state(self, arguments: Arguments) -> str:
        found = await self.instances()
        if self.redis is not None:
            key = f"snapshot:{time.time_ns()}"
            await asyncio.to_thread(self.redis.set, key, json.dumps(found))
            return f"{len(found)} instances written to Redis as {key}, read back"
        path = Path(self.fleet.folder) / f"snapshot-{time.time_ns()}.json"
        write_json(path, found)
        return f"{len(found)} instances written to {path.name}"

    async def search_history(self, arguments: Arguments) -> str:
        text = str(arguments.get("text") or "").lower()
        found = [one for one in self.history if text in json.dumps(one).lower()]
        return f"{len(found)} of {len(self.history)} operations" + (f"; the last: {found[-1]['outcome']}" if found else "")

    async def archive_logs(self, arguments: Arguments) -> str:
        kept = len(self.history)
        self.history = self.history[-KEPT_HISTORY:]
        return f"{kept - len(self.history)} operations archived"

    async def deploy(self, arguments: Arguments) -> str:
        version = str(arguments.get("version") or "")
        if not version:
            raise Refused("no version is named")
        if version not in self.versions["running"]:
            self.versions["running"].append(version)
        if version != self.versions["current"]:
            self.versions["previous"], self.versions["current"] = self.versions["current"], version
        return f"{version} is up"

    async def stop(self, arguments: Arguments) -> str:
        named = str(arguments.get("version") or "current")
        ending = {"all": list(self.versions["running"]), "current": [self.versions["current"]]}.get(named, [named])
        self.versions["running"] = [one for one in self.versions["running"] if one not in ending]
        if self.versions["current"] in ending and self.versions["previous"] in self.versions["running"]:
            self.versions["current"], self.versions["previous"] = self.versions["previous"], None
        return f"{', '.join(ending)} stopped"

    async def roll_back(self, arguments: Arguments) -> str:
        previous = self.versions["previous"]
        if previous is None:
            if self.versions["current"] not in self.versions["running"]:
                self.versions["running"].append(self.versions["current"])
            return f"{self.versions['current']} serves; no version was before it"
        self.versions = {"current": previous, "previous": None, "running": [previous]}
        return f"{previous} serves again"

    async def scale(self, arguments: Arguments) -> str:
        self.replicas = int(arguments.get("replicas") or self.replicas + 1)
        return f"{self.replicas} replicas"

    async def scale_back(self, arguments: Arguments) -> str:
        self.replicas = len(self.fleet.ports)
        return f"{self.replicas} replicas"

    async def grow_storage(self, arguments: Arguments) -> str:
        self.storage *= 2
        return f"{self.storage / 1e9:.0f} GB of storage"

    async def activate_region(self, arguments: Arguments) -> str:
        region = self._region(arguments.get("region"))
        found = await self.instances()
        if not any(found[name] for name, where in self.fleet.regions.items() if where == region):
            raise Refused(f"no instance of {region} answers")
        return f"{region} is ready to serve" + (" (drill)" if arguments.get("drill") else "")

    async def redirect_traffic(self, arguments: Arguments) -> str:
        self.traffic = self._region(arguments.get("to"))
        return f"all traffic goes to {self.traffic}"

    async def redirect_back(self, arguments: Arguments) -> str:
        self.traffic = next(iter(dict.fromkeys(self.fleet.regions.values())))
        return f"all traffic goes to {self.traffic} again"

    # ── helpers ──

    async def _layer(self, arguments: Arguments) -> tuple[str, str, dict[str, Any]]:
        layer, instance = str(arguments.get("layer") or ""), str(arguments.get("instance") or "")
        if layer not in LAYERS:
            raise Refused(f"no layer {layer!r}; there is {', '.join(LAYERS)} ({', '.join(OPTIONAL)} optional)")
        return layer, instance, await self._must(instance)

    async def _must(self, name: str) -> dict[str, Any]:
        if name not in self.fleet.ports:
            raise Refused(f"no instance {name!r}; there is {', '.join(self.fleet.ports)}")
        found = await self._ask(name)
        if found is None:
            raise Refused(f"instance {name} does not answer")
        return found

    async def _put(self, name: str, **changes: Any) -> None:
        answer = await self.client.put(self.fleet.url(name) + "/state", json=changes)
        answer.raise_for_status()

    async def _restart(self, names: list[str]) -> None:
        """End the processes; the keeper starts them again with the state they kept."""
        state = read_state(Path(self.fleet.folder))
        pids = {} if state is None else state.pids
        for name in names:
            if (pid := pids.get(f"instance-{name}")) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        ends = time.monotonic() + RESTART_WITHIN_S
        while time.monotonic() < ends:
            await asyncio.sleep(0.1)
            now = read_state(Path(self.fleet.folder))
            fresh = now is not None and all(
                now.pids.get(f"instance-{name}") not in (None, pids.get(f"instance-{name}")) for name in names
            )
            if fresh and all([await self._ask(name) is not None for name in names]):
                return
        raise Refused(f"{', '.join(names)} did not answer again within {RESTART_WITHIN_S:g} s")

    def _named(self, arguments: Arguments) -> list[str]:
        given = arguments.get("instances")
        return list(given) if given and given != "all" else list(self.fleet.ports)

    def _region(self, name: object) -> str:
        if name not in self.fleet.regions.values():
            raise Refused(f"no region {name!r}; there is {', '.join(sorted(set(self.fleet.regions.values())))}")
        return str(name)


def create_app(fleet: Fleet, *, version: str) -> Starlette:
    """The application of the control."""
    control = Control(fleet, version=version)
    faults = fleet.faults

    async def state(_: Request) -> Response:
        return JSONResponse(await control.state())

    async def operations(request: Request) -> Response:
        body = await request.json()
        target = request.path_params["target"]
        stamp = request.headers.get(STAMP_HEADER, "")
        control.now_s = float(body.get("at_s") or time.time())
        return await control.operate(target, str(body.get("action")), body.get("arguments") or {}, stamp)

    async def history(_: Request) -> Response:
        return JSONResponse(control.history)

    async def metrics(_: Request) -> Response:
        up = None if control.redis is None else await asyncio.to_thread(control.redis.answers)
        return Response(_metrics({**FAULTS, **faults.read()}, up, control.storage), media_type="text/plain; version=0.0.4")

    gateway = Gateway(fleet, control.client, lambda: control.traffic)
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
