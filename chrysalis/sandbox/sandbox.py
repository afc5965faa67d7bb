"""The sandbox for programs: start it, switch faults on, stop or freeze a part, read what the load generator saw.

with Sandbox.start(folder) as sandbox:
    sandbox.router().write(30, stamp)
    sandbox.fault("canary", error_rate=0.3)
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx

from chrysalis.errors import SettingsError, TargetUnavailable, WriteRefused
from chrysalis.sandbox import postgres
from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.fleet.layout import FAULTS, Fleet
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.load_log import LoadSummary, summarise
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.sandbox.state import State, read_state, sandbox_folder
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import HeaderOverride

SandboxSide = Literal["stable", "canary"]
# The parts are modules of this checkout, whether or not it is installed.
PROJECT = Path(__file__).resolve().parents[2]
PART_NAMES = ("postgres", "stable", "canary", "envoy", "prometheus", "load")
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 6.0
PART_TIMEOUT_S = 10.0
POLL_S = 0.02


class Sandbox:
    """A running sandbox, started here (`start`) or by somebody else (`attach`)."""

    def __init__(self, folder: Path, keeper: subprocess.Popen[bytes] | None = None) -> None:
        self.layout = Layout(folder)
        self._keeper = keeper

    @classmethod
    def start(
        cls, folder: Path, *, settings: SandboxSettings | None = None, detach: bool = False, anew: bool = False
    ) -> Self:
        """Start all parts and wait until each is ready. Not detached, it ends with this process, however that ends.

        `anew`: the folder is emptied first, so that nothing of another sandbox is taken for this one's.
        Raises SettingsError: one runs in this folder already, or a part could not start.
        """
        folder = sandbox_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if (last := read_state(folder)) is not None and last.running:
            raise SettingsError(f"a sandbox runs in {folder} (pid {last.keeper_pid}); `chrysalis sandbox down` ends it")
        if anew:
            shutil.rmtree(folder)
            folder.mkdir()
        Layout(folder).state.unlink(missing_ok=True)
        (settings or SandboxSettings()).save(folder)
        parent = 0 if detach else os.getpid()
        with (folder / "keeper.log").open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "chrysalis.sandbox.keeper", str(folder), "--parent", str(parent)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        sandbox = cls(folder, keeper)
        try:
            sandbox._wait_until_ready(keeper)
        except BaseException:
            sandbox.stop()
            raise
        return sandbox

    @classmethod
    def attach(cls, folder: Path | None = None) -> Self:
        """The sandbox that runs in the folder. Raises SettingsError where none does."""
        found = sandbox_folder(folder)
        state = read_state(found)
        if state is None or not state.running:
            raise SettingsError(f"no sandbox runs in {found}; start one with `chrysalis sandbox up`")
        return cls(found)

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self.layout.folder

    @property
    def reports(self) -> Path:
        """Where the service's pipeline leaves what it found."""
        folder = self.folder / "reports"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def part_names(self) -> tuple[str, ...]:
        """Every part that can be stopped and started."""
        fleet = Fleet.load(self.folder)
        of_fleet = () if fleet is None else (*(f"instance-{name}" for name in fleet.ports), "control")
        stopped = JsonFile(self.layout.wanted).read()
        return tuple(dict.fromkeys((*PART_NAMES, *of_fleet, *self.state.pids, *stopped)))

    @property
    def state(self) -> State:
        """What `state.json` says now. Raises SettingsError."""
        state = read_state(self.folder)
        if state is None:
            raise SettingsError(f"{self.layout.state} is not there; start a sandbox with `chrysalis sandbox up`")
        return state

    def stop(self) -> None:
        """End all of it, hanging parts included; safe to repeat."""
        state = read_state(self.folder)
        if state is not None and state.running:
            os.kill(state.keeper_pid, signal.SIGTERM)
            os.kill(state.keeper_pid, signal.SIGCONT)
            if not _wait(lambda: not state.running, STOP_TIMEOUT_S):
                # Its parts die with it; a frozen one takes the kernel's signal when it is woken.
                os.kill(state.keeper_pid, signal.SIGKILL)
                _wait(lambda: not state.running, STOP_TIMEOUT_S)
                for pid in state.pids.values():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
        if self._keeper is not None:
            if state is None:
                self._keeper.terminate()
            self._keeper.wait(STOP_TIMEOUT_S)
        postgres.remove_folders(self.layout)  # a keeper that was killed could not do it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def router(self, *, overrides: tuple[HeaderOverride, ...] = (), timeout_s: float = 2.0) -> EnvoyRouter:
        """The traffic router of this sandbox's Envoy."""
        return EnvoyRouter(
            self.state.urls["envoy_admin"], Path(self.state.paths["route_file"]), overrides=overrides, timeout_s=timeout_s
        )

    def fault(self, side: SandboxSide, **faults: float | str | bool) -> dict[str, object]:
        """Switch faults on, next to those that are on; returns all of them. `crash=True` ends the process at once.

        Raises WriteRefused (unknown fault or value), TargetUnavailable.
        """
        url = self.state.urls[side] + "/faults"
        try:
            answer = httpx.post(url, json=faults, timeout=2.0, trust_env=False)
        except httpx.HTTPError as error:
            raise TargetUnavailable(f"{side} at {url} does not answer ({str(error) or type(error).__name__})") from error
        if answer.status_code != 200:
            raise WriteRefused(f"{side} refused the fault: {answer.json().get('error', answer.text)}")
        switched_on: dict[str, object] = answer.json()["faults"]
        return switched_on

    @property
    def fleet(self) -> Fleet:
        """The instances and their control. Raises SettingsError where the sandbox was started without."""
        fleet = Fleet.load(self.folder)
        if fleet is None:
            raise SettingsError(f"the sandbox in {self.folder} has no fleet; start it with instances")
        return fleet

    def fleet_fault(self, **faults: float | str) -> None:
        """Switch faults of the fleet on, next to those that are on; with none given, all off. Raises SettingsError."""
        if unknown := sorted(set(faults) - set(FAULTS)):
            raise SettingsError(f"no fault {', '.join(unknown)} of the fleet; there is {', '.join(FAULTS)}")
        file = self.fleet.faults
        write_json(file.path, {**file.read(), **faults} if faults else {})

    def clear_faults(self, side: SandboxSide) -> None:
        """Switch all off, of a version that is down or in a crash loop as well."""
        write_json(self.layout.faults(side), {})

    def set_load(self, *, rate_rps: float | None = None, header_share: float | None = None) -> None:
        """Change what the generator sends; it follows within half a second."""
        given = {"rate_rps": rate_rps, "header_share": header_share}
        self._control(**{name: value for name, value in given.items() if value is not None})

    def set_plan_speed(self, speed: float) -> None:
        """Tell the service how fast the plan's clock runs, so that rates per plan hour are right."""
        self._control(plan_speed=speed)

    def load_summary(self, *, since_s: float = 0.0, until_s: float = float("inf")) -> LoadSummary:
        """What the generator saw of the requests it sent in this time (unix seconds)."""
        return summarise(self.layout.load_log, since_s=since_s, until_s=until_s)

    def stop_part(self, name: str) -> None:
        """End one part and keep it down; waits until it is. Raises SettingsError."""
        self._want(name, run=False)
        self._await_part(name, lambda: name not in self.state.pids)

    def start_part(self, name: str) -> None:
        """Start one part again; waits until its process runs. Raises SettingsError."""
        self._want(name, run=True)
        self._await_part(name, lambda: name in self.state.pids)

    def restart_part(self, name: SandboxSide) -> None:
        """End one version and start it again; waits until it answers. Raises SettingsError."""
        self.stop_part(name)
        self.start_part(name)
        url = self.state.urls[name] + "/health"
        self._await_part(name, lambda: _healthy(url), START_TIMEOUT_S)

    def kill_part(self, name: str) -> None:
        """SIGKILL; the keeper starts it again after `restart_after_s`."""
        os.kill(self._pid(name), signal.SIGKILL)

    def freeze_part(self, name: str) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        os.kill(self._pid(name), signal.SIGSTOP)

    def thaw_part(self, name: str) -> None:
        """Let a frozen part go on."""
        os.kill(self._pid(name), signal.SIGCONT)

    def _pid(self, name: str) -> int:
        pids = self.state.pids
        if name not in pids:
            raise SettingsError(f"sandbox part {name!r} does not run; running: {', '.join(sorted(pids))}")
        return pids[name]

    def _control(self, **changes: float) -> None:
        write_json(self.layout.control, {**JsonFile(self.layout.control).read(), **changes})

    def _want(self, name: str, *, run: bool) -> None:
        names = self.part_names
        if name not in names:
            raise SettingsError(f"the sandbox has no part {name!r}; the parts are {', '.join(names)}")
        write_json(self.layout.wanted, {**JsonFile(self.layout.wanted).read(), name: run})

    def _await_part(self, name: str, reached: Callable[[], bool], timeout_s: float = PART_TIMEOUT_S) -> None:
        if not _wait(reached, timeout_s):
            raise SettingsError(f"sandbox part {name!r} did not follow within {timeout_s:g} s; see {self.folder}/keeper.log")

    def _wait_until_ready(self, keeper: subprocess.Popen[bytes]) -> None:
        def settled() -> bool:
            state = read_state(self.folder)
            return keeper.poll() is not None or (state is not None and (state.ready or state.error != ""))

        in_time = _wait(settled, START_TIMEOUT_S)
        state = read_state(self.folder)
        if state is not None and state.ready:
            return
        if state is not None and state.error:
            raise SettingsError(f"the sandbox could not start: {state.error}")
        lines = (self.folder / "keeper.log").read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        how = f"its keeper ended with {keeper.poll()}" if in_time else f"not ready after {START_TIMEOUT_S:g} s"
        raise SettingsError(f"the sandbox could not start, {how}: {said} (see {self.folder}/keeper.log)")


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _wait(reached: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
