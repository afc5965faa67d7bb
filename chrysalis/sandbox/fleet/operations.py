"""What can be done to a fleet, by name: its layers, its versions, its regions.

Each operation takes its arguments and returns what it did, in words. It talks to the instances over HTTP; a restart is a
real one: the process is ended, and the keeper starts it again. Versions, replicas and storage are only kept here.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from chrysalis.sandbox.files import write_json
from chrysalis.sandbox.fleet.layout import LAYERS, OPTIONAL, Fleet
from chrysalis.sandbox.redis import Redis
from chrysalis.sandbox.state import read_state

RESTART_WITHIN_S = 20.0
KEPT_HISTORY = 200
STORAGE_BYTES = 100e9
KEPT = ("versions", "traffic", "storage", "replicas", "orchestrations")
Arguments = Mapping[str, Any]
Operation = Callable[[Arguments], Awaitable[str]]


class Refused(Exception):
    """An operation that cannot be done; the message says why."""


class Operations:
    """All operations, and what they change that no instance keeps. `kept`: what an earlier control had kept of that."""

    def __init__(self, fleet: Fleet, *, version: str, kept: Mapping[str, Any]) -> None:
        self.fleet = fleet
        self.client = httpx.AsyncClient(timeout=2.0, trust_env=False)
        first = next(iter(dict.fromkeys(fleet.regions.values())))
        self.versions: dict[str, Any] = kept.get("versions") or {"current": version, "previous": None, "running": [version]}
        self.traffic: str = kept.get("traffic") or first
        self.storage: float = kept.get("storage") or STORAGE_BYTES
        self.replicas: int = kept.get("replicas") or len(fleet.ports)
        self.history: list[dict[str, Any]] = kept.get("history") or []
        self.orchestrations: dict[str, str] = kept.get("orchestrations") or {}
        self.now_s = time.time()
        """By the clock of whoever asked last."""
        self.redis = Redis.of(fleet)

    def to_keep(self) -> dict[str, Any]:
        """As JSON, for the next control."""
        return {**{name: getattr(self, name) for name in KEPT}, "history": self.history[-KEPT_HISTORY:]}

    async def instances(self) -> dict[str, dict[str, Any] | None]:
        """What each instance says; None for one that does not answer."""
        answers = await asyncio.gather(*(self._ask(name) for name in self.fleet.ports))
        return dict(zip(self.fleet.ports, answers, strict=True))

    async def _ask(self, name: str) -> dict[str, Any] | None:
        with suppress(httpx.HTTPError, ValueError):
            answer: dict[str, Any] = (await self.client.get(self.fleet.url(name) + "/state")).json()
            return answer
        return None

    def offered(self, target: str) -> Mapping[str, Operation]:
        """What a target offers by name."""
        by_target: dict[str, Mapping[str, Operation]] = {
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
        return by_target.get(target, {})

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
