"""A real sandbox, and a home folder of its own for each test."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chrysalis.errors import TargetUnavailable
from chrysalis.local.stack import sandbox_variables
from chrysalis.sandbox.layout import SIDES
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import Clusters, Routing, render
from tasks.workspace import open_ledger
from tests.caches import forget
from tests.outages.scene import LedgerServer
from tests.sandbox.fixtures import running_sandbox, until
from tests.stack import PLANS

__all__ = ["running_sandbox"]


FRESH = "sandbox:0:start"


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The running sandbox with all its parts up, no faults, and a route that no rollout has written."""
    _reset(running_sandbox)
    yield running_sandbox
    _reset(running_sandbox)


def _reset(sandbox: Sandbox) -> None:
    for side in SIDES:
        sandbox.clear_faults(side)  # type: ignore[arg-type]
    for part in ("prometheus", "envoy"):
        if part not in sandbox.state.pids:
            sandbox.start_part(part)
    route_file = sandbox.layout.route_file
    fresh = route_file.with_name(".fresh")
    fresh.write_text(json.dumps(render(Routing(0), FRESH, Clusters())))
    fresh.rename(route_file)
    with sandbox.router() as router:
        until(lambda: _stamp(router) == FRESH)
    until(lambda: _quiet(sandbox))


def _quiet(sandbox: Sandbox) -> bool:
    """Whether what an earlier test had fail is out of every window that a trigger looks at."""
    query = 'sum(increase(envoy_cluster_upstream_rq_xx{envoy_response_code_class="5"}[3s])) or vector(0)'
    try:
        answer = httpx.get(f"{sandbox.state.urls['prometheus']}/api/v1/query", params={"query": query}, timeout=2.0)
        return float(answer.json()["data"]["result"][0]["value"][1]) == 0.0
    except (httpx.HTTPError, LookupError):
        return False


def _stamp(router: EnvoyRouter) -> str:
    try:
        return str(router.read().stamp)
    except TargetUnavailable:
        return ""


@pytest.fixture
def home(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder with what plans name, and SQLite as its ledger."""
    yield from at_home(sandbox, tmp_path / "home", monkeypatch)


def at_home(sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch, url: str = "") -> Iterator[Path]:
    home.mkdir(exist_ok=True)
    (home / "environment.json").write_text(json.dumps(sandbox_variables(sandbox)))
    monkeypatch.setenv("CHRYSALIS_HOME", str(home))
    monkeypatch.setenv("CHRYSALIS_WATCH_INTERVAL", "100ms")
    monkeypatch.setenv("CHRYSALIS_PLANS", str(PLANS))
    if url:
        monkeypatch.setenv("CHRYSALIS_LEDGER_URL", url)
    else:
        monkeypatch.delenv("CHRYSALIS_LEDGER_URL", raising=False)
    _forget()
    try:
        yield home
    finally:
        open_ledger().close()
        _forget()


def _forget() -> None:
    from tasks import workspace

    forget()
    workspace._ledger.cache_clear()


@pytest.fixture(scope="session")
def ledger_server() -> Iterator[LedgerServer]:
    """One for the session; each test takes an empty database of it."""
    folder = Path(tempfile.mkdtemp(prefix="led", dir="/tmp"))
    folder.chmod(0o711)
    server = LedgerServer(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        for path in (server.layout.postgres_data, server.layout.postgres_short, folder):
            shutil.rmtree(path, ignore_errors=True)
