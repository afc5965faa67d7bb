"""What stands while others are killed, and how it is killed: sandbox, Prefect's server, ledger's database, nursery."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prefect.settings import PREFECT_API_URL, temporary_settings

from chrysalis.effects.database.own_server import run_as, server_user
from chrysalis.ledger import Ledger
from chrysalis.local.processes import descendants
from chrysalis.local.stack import Stack, StackSettings, sandbox_variables
from chrysalis.sandbox import postgres
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.settings import CHECKOUT
from tasks.workspace import settings
from tests.chaos.door import Door
from tests.chaos.nursery import ENGINE
from tests.chaos.signers import Signers

WATCH_TICK_MS = 100
START_TIMEOUT_S = 180.0


# The sandbox's own options give up a crash's last commits; a ledger keeps them.
_AS_A_LEDGER = ("-c", "synchronous_commit=on")


class LedgerDatabase:
    """A PostgreSQL of the ledger's own, which can be killed with all its processes and started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.layout = Layout(folder)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._server_url.replace("/postgres?", "/ledger?")

    @property
    def _server_url(self) -> str:
        return postgres.uri(self.layout)

    def create(self) -> None:
        """An empty cluster, started."""
        self.remove()
        postgres.make_data_folder(self.layout)
        self.start()
        self._run("CREATE DATABASE ledger")

    def copy(self, source: str, target: str) -> None:
        """Make one database a copy of another, whoever is connected to either."""
        self._run(
            f"DROP DATABASE IF EXISTS {target} WITH (FORCE)",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{source}'",
            f"CREATE DATABASE {target} TEMPLATE {source}",
            # A copied sequence says where it was, and not how far it may have given numbers out: killed before the next
            # checkpoint, the server would give the same numbers once more.
            "CHECKPOINT",
        )

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.layout.folder / "postgres.log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *postgres.command(self.layout, max_connections=80, archive=False),
                    *_AS_A_LEDGER,
                ],
                cwd=self.layout.postgres_data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **run_as(server_user()),
            )
        await_true(self._answers, "the ledger's database")

    def kill(self) -> None:
        """SIGKILL to the server and everything it forked, as a machine that loses its power."""
        if self._server is None:
            return
        forked = descendants(self._server.pid)
        for pid in [self._server.pid, *forked]:
            kill(pid)
        self._server.wait()
        self._server = None
        for pid in forked:
            # Handed to this process, which is the one that all below it are handed to (`chrysalis.local.processes`).
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def remove(self) -> None:
        self.kill()
        postgres.remove_folders(self.layout)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._server_url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True


@dataclass
class Nursery:
    """The process that forks the victims (`tests.chaos.nursery`)."""

    folder: Path
    environment: dict[str, str]
    plans: list[Path]
    ended: dict[int, int] = field(default_factory=dict)
    _born: "queue.Queue[int]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery", *map(str, self.plans)],
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.door = Door(self.folder)
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()

    def fork(self, job: str, wanted: Iterable[str], trace: Path, **order: Any) -> int:
        """Fork a process that stands still at the first of the `wanted` marks that it passes. Returns its id."""
        assert self._process.stdin is not None
        log, paths = str(self.folder / f"{job}.log"), {"door": str(self.door.path), "trace": str(trace)}
        given = {"job": job, "name": job, "wanted": sorted(wanted), "log": log, **paths, **order}
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()
        return self._born.get(timeout=START_TIMEOUT_S)

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        for pid in descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self.door.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "code" in said:
                self.ended[said["pid"]] = said["code"]
            else:
                self.ended.pop(said["pid"], None)  # of an earlier process with the same number
                self._born.put(said["pid"])


@dataclass
class World:
    """All of it, and who may be killed."""

    home: Path
    stack: Stack
    database: LedgerDatabase
    nursery: Nursery
    sandbox: Sandbox
    signers: Signers | None
    """Of the people file; None where the plans have none and nobody proves who they are."""
    engine: bool = False
    """Whether the flows run in Prefect's engine, against a server."""

    @property
    def ledger(self) -> Ledger:
        from tasks.workspace import open_ledger

        return open_ledger()

    def proof(self, person: str) -> tuple[str, str]:
        """What they prove who they are with; empty where nobody asks for it."""
        return ("", "") if self.signers is None else self.signers.proof(person)

    def kill_server(self) -> None:
        """SIGKILL to Prefect's server with what it forked; another is started at once and not waited for.

        So one that starts slower than the rollout comes to its next mark is killed while it starts.
        """
        pid = self.stack.processes.pid("prefect-server")
        for one in [pid, *descendants(pid)]:
            kill(one)
        os.waitpid(pid, 0)
        self.stack.start_server()

    def server_starts(self) -> bool:
        """Whether Prefect's server, started again, does not answer yet. Raises SettingsError when it has ended by itself."""
        if self.engine and not self.stack.server_answers():
            self.stack.processes.require_running("prefect-server")
            return True
        return False

    def kill_database(self) -> None:
        self.database.kill()
        self.database.start()

    def keep(self) -> "Snapshot":
        """The ledger and the targets as they stand now; nobody may work on them."""
        self.database.copy("ledger", "kept")
        layout = self.sandbox.layout
        return Snapshot(layout.route_file.read_bytes(), layout.service_config.read_bytes())

    def put_back(self, snapshot: "Snapshot", migrate: Callable[[], object]) -> None:
        """Make it so again."""
        self.database.copy("kept", "ledger")
        layout = self.sandbox.layout
        for path, content in ((layout.route_file, snapshot.routes), (layout.service_config, snapshot.configuration)):
            temporary = path.with_name(f".{path.name}.chaos")
            temporary.write_bytes(content)
            temporary.rename(path)
        migrate()


@dataclass(frozen=True)
class Snapshot:
    """Targets at one moment; the ledger's copy is a database beside it."""

    routes: bytes
    configuration: bytes


@contextmanager
def world(home: Path, plan: Path, *, keys: Path, rate_rps: float, speed: float, engine: bool) -> Iterator[World]:
    """Start it below `home` and stop it at the end. Sets this process's environment. `keys`: where people have theirs.

    With `engine` the flows run in Prefect's engine, against a server; without, as plain functions (`nursery`).
    """
    database = LedgerDatabase(home / "ledger")
    sandbox = SandboxSettings(rate_rps=rate_rps, plan_speed=speed, scrape_interval_s=0.5)
    before = dict(os.environ)
    with Stack(home, StackSettings(watch_interval_s=WATCH_TICK_MS / 1000, sandbox=sandbox)) as stack:
        try:
            database.create()
            if engine:
                stack.start_server_and_sandbox()
            else:
                stack.sandbox = Sandbox.start(home / "sandbox", settings=sandbox)
                stack.write_environment()
            assert stack.sandbox is not None
            own = {
                ENGINE: "1" if engine else "0",
                "CHRYSALIS_LEDGER_URL": database.url,
                "CHRYSALIS_PLANS": str(plan.parent.parent),
            }
            environment = {**stack.environment(), **sandbox_variables(stack.sandbox), **own}
            os.environ.update(environment)
            settings.cache_clear()
            Ledger.open(database.url).close()
            have_targets_log(stack.sandbox)
            signers = None if settings().people_file is None else Signers(keys)
            nursery = Nursery(home / "nursery", environment, [plan])
            try:
                with temporary_settings({PREFECT_API_URL: stack.api_url}):
                    yield World(home, stack, database, nursery, stack.sandbox, signers, engine)
            finally:
                nursery.stop()
        finally:
            database.remove()
            os.environ.clear()
            os.environ.update(before)
            settings.cache_clear()


def have_targets_log(sandbox: Sandbox) -> None:
    """Envoy logs each configuration that it takes, PostgreSQL each change of its schema; the service does by itself."""
    httpx.post(sandbox.state.urls["envoy_admin"] + "/logging?config=debug", timeout=5.0, trust_env=False).raise_for_status()
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'ddl'")
        connection.execute("SELECT pg_reload_conf()")


def kill(pid: int) -> None:
    """SIGKILL; nothing when it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def await_true(reached: Callable[[], Any], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.05)
