"""The process that holds a sandbox together: it starts all parts, restarts what ended by itself, and ends all with itself.

One process between the caller and the parts, because the kernel's promise "a child dies with its parent" is tied to the
thread that started it: the keeper starts everything from its only thread, so that even its own SIGKILL takes the parts
along. It in turn watches whether its caller is alive, unless detached. Which parts shall run stands in `wanted.json`,
which it follows; what does run stands in `state.json`, which it writes.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from chrysalis.errors import ChrysalisError, SettingsError
from chrysalis.sandbox import postgres
from chrysalis.sandbox.files import JsonFile, write_whole
from chrysalis.sandbox.fleet.layout import Fleet
from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.layout import Layout, Ports
from chrysalis.sandbox.parts import Part, all_parts, write_configurations
from chrysalis.sandbox.process import Process, end_all
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.sandbox.state import State, process_started
from chrysalis.targets.envoy_routes import Clusters, Routing, render

TICK_S = 0.03
START_TIMEOUT_S = 75.0
END_GRACE_S = 3.0
INITIAL_STAMP = "sandbox:0:start"


class Keeper:
    """The parts of one sandbox and their processes."""

    def __init__(self, layout: Layout, parts: list[Part], *, state: State, restart_after_s: float) -> None:
        self.layout = layout
        self.parts = {part.name: part for part in parts}
        self.state = state
        self.restart_after_s = restart_after_s
        self._processes: dict[str, Process] = {}
        self._down_since: dict[str, float] = {}
        self._restarts: dict[str, int] = {}
        self._wanted = JsonFile(layout.wanted)

    def start(self, stopping: "Stopping") -> None:
        """Start all parts and wait until each is ready. Raises SettingsError with the log's last line of one that is not."""
        first = [name for name in self.parts if name not in ("postgres", "load")]
        for name in first:
            self._spawn(name)
        # The others start while PostgreSQL makes its data folder.
        postgres.make_data_folder(self.layout)
        self._spawn("postgres")
        self._await([*first, "postgres"], stopping)
        if stopping.now:
            return
        postgres.create_tables(self.layout)
        if "load" in self.parts:
            self._spawn("load")
            self._await(["load"], stopping)
        self._publish(ready=True)

    def keep(self, stopping: "Stopping") -> None:
        """Follow `wanted.json` and restart what ended by itself, until told to stop."""
        while not stopping.now:
            time.sleep(TICK_S)
            changed = [self._settle(name) for name in self.parts]
            if any(changed):
                self._publish(ready=True)

    def end(self) -> None:
        """End all parts; safe to repeat."""
        if killed := end_all(self._processes.values(), grace_s=END_GRACE_S):
            _say(f"killed after {END_GRACE_S:g} s: {', '.join(killed)}")
        self._processes.clear()
        postgres.remove_folders(self.layout)

    def fail(self, error: str) -> None:
        """Write down why it could not start."""
        self._publish(ready=False, error=error)

    def _await(self, names: list[str], stopping: "Stopping") -> None:
        waiting = names
        deadline = time.monotonic() + START_TIMEOUT_S
        while waiting and not stopping.now:
            for name in waiting:
                self._check_starting(name, deadline)
            waiting = [name for name in waiting if not self.parts[name].ready()]
            time.sleep(TICK_S)

    def _settle(self, name: str) -> bool:
        wanted = self._wanted.read().get(name, True)
        process = self._processes.get(name)
        if process is not None and not wanted:
            end_all([process], grace_s=END_GRACE_S)
            del self._processes[name]
            return True
        if process is None and wanted and name not in self._down_since:
            self._spawn(name)
            return True
        if process is not None and process.ended is not None:
            _say(f"{name} ended with {process.ended}")
            del self._processes[name]
            self._down_since[name] = time.monotonic()
            return True
        return self._restart_when_due(name, wanted=wanted)

    def _restart_when_due(self, name: str, *, wanted: bool) -> bool:
        since = self._down_since.get(name)
        if since is None or time.monotonic() - since < self.restart_after_s:
            return False
        del self._down_since[name]
        if not wanted:
            return False
        self._restarts[name] = self._restarts.get(name, 0) + 1
        self._spawn(name)
        return True

    def _spawn(self, name: str) -> None:
        self._processes[name] = Process(self.parts[name], folder=self.layout.folder, log=self._log(name))

    def _check_starting(self, name: str, deadline: float) -> None:
        process = self._processes[name]
        if process.ended is not None:
            raise SettingsError(
                f"{name} ended with {process.ended} while starting: {self._last_line(name)} (see {self._log(name)})"
            )
        if time.monotonic() > deadline:
            raise SettingsError(
                f"{name} is not ready after {START_TIMEOUT_S:g} s: {self._last_line(name)} (see {self._log(name)})"
            )

    def _publish(self, *, ready: bool, error: str = "") -> None:
        pids = {name: process.pid for name, process in self._processes.items() if process.ended is None}
        self.state = replace(self.state, pids=pids, restarts=dict(self._restarts), ready=ready, error=error)
        self.state.save()

    def _log(self, name: str) -> Path:
        return self.layout.logs / f"{name}.log"

    def _last_line(self, name: str) -> str:
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class Stopping:
    """Whether it is time to end: a signal came, or the caller is gone."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._told = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._tell)

    def _tell(self, *_: object) -> None:
        self._told = True

    @property
    def now(self) -> bool:
        """Stop?"""
        return self._told or (self._parent != 0 and os.getppid() != self._parent)


def prepare(layout: Layout, ports: Ports, settings: SandboxSettings) -> None:
    """An empty folder with all configuration files and the split at 0 %."""
    for path in layout.leftovers:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    layout.logs.mkdir()
    layout.route_file.parent.mkdir()
    write_whole(layout.route_file, json.dumps(render(Routing(0), INITIAL_STAMP, Clusters())))
    if settings.instances:
        Fleet.make(layout.folder, settings.instances).save()
    write_configurations(layout, ports, settings)


def initial_state(layout: Layout, ports: Ports, settings: SandboxSettings, *, detached: bool) -> State:
    """What is known before anything runs."""
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.as_dict().items()}
    paths = ("route_file", "load_log", "control", "service_config", "logs", "prometheus_data", "postgres_data")
    return State(
        folder=str(layout.folder),
        keeper_pid=os.getpid(),
        keeper_started=process_started(os.getpid()) or 0,
        started_s=time.time(),
        detached=detached,
        service=settings.service,
        versions={"stable": settings.stable_version, "canary": settings.canary_version},
        ports=ports.as_dict(),
        urls={
            "service": at["envoy"],
            "envoy_admin": at["envoy_admin"],
            "prometheus": at["prometheus"],
            "stable": at["stable"],
            "canary": at["canary"],
            "config": at["stable"] + "/api/config",
            "weights": at["stable"] + "/api/config/weights",
        },
        postgres={"uri": postgres.uri(layout), "bin": str(postgres.programs())},
        paths={name: str(getattr(layout, name)) for name in paths},
    )


def main() -> int:
    """Keep the sandbox in the folder named on the command line; 1 when it could not start."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parent", type=int, default=0, help="end when this process is gone; 0 for detached")
    given = parser.parse_args()
    stopping = Stopping(given.parent)
    layout, settings, ports = Layout(given.folder), SandboxSettings.load_from(given.folder), Ports.choose()
    prepare(layout, ports, settings)
    state = initial_state(layout, ports, settings, detached=given.parent == 0)
    state.save()
    keeper = Keeper(layout, [], state=state, restart_after_s=settings.restart_after_s)
    try:
        parts = all_parts(layout, ports, settings, ensure_prometheus())
        keeper = Keeper(layout, parts, state=state, restart_after_s=settings.restart_after_s)
        keeper.start(stopping)
        keeper.keep(stopping)
    except ChrysalisError as error:
        keeper.fail(str(error))
        return 1
    finally:
        keeper.end()
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
