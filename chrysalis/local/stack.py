"""A Prefect server, a worker, the deployments, the watch and the sandbox, on free loopback ports, below one folder."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from chrysalis.errors import SettingsError
from chrysalis.local import prefect_database
from chrysalis.local.prefect_database import PrefectDatabase
from chrysalis.local.processes import Processes
from chrysalis.sandbox import postgres, service_tool
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.profiles import Profile
from chrysalis.sandbox.programs import git
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.settings import CHECKOUT

DATABASE_TIMEOUT_S = 60.0
SERVER_TIMEOUT_S = 240.0
DEPLOY_TIMEOUT_S = 300.0
WATCH_TIMEOUT_S = 600.0
POOL = "chrysalis"
WORKER = "local"
PREFECT = str(Path(sys.executable).with_name("prefect"))

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackSettings:
    """`watch_interval_s`: the watch's tick. `suspend_after_s`: longest wait inside a process. Real seconds."""

    watch_interval_s: float = 0.25
    suspend_after_s: float = 20.0
    sandbox: SandboxSettings | None = None
    profile: Profile | None = None
    """The system whose sandbox it is; its own settings count unless `sandbox` is given."""


def sandbox_variables(sandbox: Sandbox) -> dict[str, str]:
    """The variables that plans name, for this sandbox."""
    state = sandbox.state
    return {
        "ENVOY_ADMIN_URL": state.urls["envoy_admin"],
        "ENVOY_ROUTE_FILE": state.paths["route_file"],
        "SERVICE_URL": state.urls["service"],
        "SERVICE_DATABASE_URL": state.postgres["uri"],
        "SERVICE_WAL_ARCHIVE": str(sandbox.layout.wal_archive),
        **_fleet_variables(sandbox),
        "POSTGRES_PROGRAMS": str(postgres.programs()),
        "SERVICE_COMMAND": str(service_tool.script(sandbox)),
        "SERVICE_REPORTS": str(sandbox.reports),
        "SERVICE_REPOSITORY": str(_repository(sandbox.folder / "repository")),
        "PROMETHEUS_URL": state.urls["prometheus"],
        "SCRAPE_INTERVAL_S": str(SandboxSettings.load_from(sandbox.folder).scrape_interval_s),
    }


def _fleet_variables(sandbox: Sandbox) -> dict[str, str]:
    if not SandboxSettings.load_from(sandbox.folder).instances:
        return {}
    fleet = sandbox.fleet
    targets = {f"{target.upper()}_URL": f"{fleet.control_url}/{target}" for target in ("layers", "versions", "regions")}
    return targets | {f"TRIAD_{name.upper()}_URL": fleet.url(name) for name in fleet.ports}


def _repository(folder: Path) -> Path:
    """A repository of the service's own, with one commit, for what a plan tags and archives."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet")
        git(folder, "commit", "--quiet", "--allow-empty", "-m", "Begin")
    return folder


class Stack:
    """Everything, started together and stopped together."""

    def __init__(self, home: Path, settings: StackSettings) -> None:
        self.home = home.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.port = free_ports(1)[0]
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        self.ui_url = f"http://127.0.0.1:{self.port}"
        self.sandbox: Sandbox | None = None
        self.database = PrefectDatabase(self.home)
        self.processes = Processes(self.home / "logs", self.environment())

    def environment(self) -> dict[str, str]:
        """What every process below needs to find the others, and to call nobody outside."""
        local = {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database.url,
            "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
            "PREFECT_API_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
            # Of each schedule only the next run or two: nobody looks further ahead here.
            "PREFECT_API_SERVICES_SCHEDULER_MIN_RUNS": "1",
            "PREFECT_API_SERVICES_SCHEDULER_MAX_RUNS": "2",
            "DO_NOT_TRACK": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "CHRYSALIS_HOME": str(self.home),
            "CHRYSALIS_WATCH_INTERVAL": f"{self.settings.watch_interval_s * 1000:g}ms",
            "CHRYSALIS_SUSPEND_AFTER": f"{self.settings.suspend_after_s * 1000:g}ms",
        }
        return {**os.environ, **local}

    def start(self, say: Say = lambda _: None) -> None:
        """Start all and wait until the watch ticks. Raises SettingsError with what could not start, and why."""
        self.start_server_and_sandbox(say)
        say(f"Prefect's UI is at {self.ui_url}; registering the deployments, starting the worker and the watch")
        pool = [PREFECT, "work-pool", "create", POOL, "--type", "process", "--overwrite"]
        self.processes.run("work-pool", pool, folder=CHECKOUT, timeout_s=DEPLOY_TIMEOUT_S)
        self.processes.run("deploy", [PREFECT, "deploy", "--all"], folder=CHECKOUT, timeout_s=DEPLOY_TIMEOUT_S)
        self.start_worker()
        first = [PREFECT, "deployment", "run", "watch/watch"]
        self.processes.run("first-watch", first, folder=CHECKOUT, timeout_s=DEPLOY_TIMEOUT_S)
        self._until(self._watch_ticks, WATCH_TIMEOUT_S, "worker")

    def start_server_and_sandbox(self, say: Say = lambda _: None) -> None:
        """Only what answers, without a worker: for programs that run flows themselves."""
        for name in ("prefect", "ledger.db", "ledger.db-wal", "ledger.db-shm", "environment.json", "logs", "notices.jsonl"):
            path = self.home / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.processes.logs.mkdir(parents=True, exist_ok=True)
        say("starting Prefect's server, and the sandbox: Envoy, Prometheus, PostgreSQL, two versions of the service, load")
        self.database.start(self.processes)
        self._until(self.database.answers, DATABASE_TIMEOUT_S, prefect_database.NAME)
        self.start_server()
        profile = self.settings.profile
        chosen = self.settings.sandbox or (None if profile is None else profile.sandbox_settings)
        self.sandbox = Sandbox.start(self.home / "sandbox", settings=chosen, anew=True)
        self.write_environment()
        self._until(self.server_answers, SERVER_TIMEOUT_S, "prefect-server")

    def start_server(self) -> None:
        """Prefect's server, on the same port and folder every time; returns before it answers."""
        server = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self.processes.start("prefect-server", server, folder=self.home)

    def server_answers(self) -> bool:
        """Whether Prefect's server takes requests."""
        try:
            return httpx.get(f"{self.api_url}/health", timeout=1.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def start_worker(self) -> None:
        """The worker of the pool, by the same name every time; returns before it asks for runs."""
        worker = [PREFECT, "worker", "start", "--pool", POOL, "--name", WORKER]
        self.processes.start("worker", worker, folder=CHECKOUT)

    def write_environment(self) -> None:
        """What `${NAME}` in a plan stands for here."""
        assert self.sandbox is not None  # noqa: S101 - called after it was started
        own = {} if self.settings.profile is None else self.settings.profile.prepare(self.sandbox)
        path = self.home / "environment.json"
        path.touch(mode=0o600)  # whoever uses the sandbox may put secrets into it
        path.write_text(json.dumps({**sandbox_variables(self.sandbox), **own}, indent=2))

    def stop(self) -> None:
        """End everything; safe to repeat."""
        try:
            if self.sandbox is not None:
                self.sandbox.stop()
        finally:
            # Also when the sandbox cannot say what it started, because its folder was deleted under it.
            self.processes.stop()
            self.database.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _watch_ticks(self) -> bool:
        from chrysalis.ledger import Ledger

        path = self.home / "ledger.db"
        if not path.exists():
            return False
        with Ledger.open(f"sqlite:///{path}") as ledger:
            return ledger.last_beat("watch") is not None

    def _until(self, reached: Callable[[], bool], timeout_s: float, name: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached():
            self.processes.require_running(name)
            if time.monotonic() > deadline:
                raise SettingsError(f"{name} is not ready after {timeout_s:g} s: {self.processes.last_line(name)}")
            time.sleep(0.2)
