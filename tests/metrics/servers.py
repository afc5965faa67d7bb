"""Real loopback servers for tests: Prometheus with an exporter, PostgreSQL, and an HTTP server that says what it is told."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from chrysalis.sandbox.ports import free_ports
from tests.postgres import embedded_postgres

CHECKOUT = Path(__file__).resolve().parents[2]
UNPACKED = CHECKOUT / ".chrysalis" / "prometheus" / "usr" / "bin" / "prometheus"
SCRAPE_INTERVAL_S = 0.2
START_DEADLINE_S = 30


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the server says, once `wait` is set; `silent` ends the connection instead."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    silent: bool = False


@dataclass(frozen=True)
class LoopbackServer:
    """Its address, and what it was asked so far."""

    url: str
    asked: list[Asked]


@contextmanager
def serving(reply: Callable[[Asked], Reply]) -> Iterator[LoopbackServer]:
    """An HTTP server on a free loopback port that answers with `reply(request)`."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            asked.append(request)
            said = reply(request)
            if said.wait is not None:
                said.wait.wait(START_DEADLINE_S)
            if said.silent:
                self.close_connection = True
                return
            try:
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield LoopbackServer(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def prometheus_program() -> str:
    """The installed Prometheus or the project's own. Without one a test is skipped, but never in CI."""
    found = shutil.which("prometheus") or (str(UNPACKED) if UNPACKED.exists() else None)
    if found is None:
        message = f"no prometheus on PATH and none at {UNPACKED}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def running_prometheus(exporter_url: str) -> Iterator[str]:
    """A Prometheus that scrapes the exporter five times a second; its address."""
    program, folder = prometheus_program(), Path(tempfile.mkdtemp(prefix="prom", dir="/tmp"))
    target = exporter_url.removeprefix("http://")
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {round(SCRAPE_INTERVAL_S * 1000)}ms, scrape_timeout: 200ms}}\n"
        f"scrape_configs: [{{job_name: exporter, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    arguments = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        until(lambda: _answers(url, 'up{job="exporter"} == 1'), f"{program} at {url}: see {folder / 'log'}")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str, query: str) -> bool:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=2)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and bool(answer.json()["data"]["result"])


def until(happened: Callable[[], bool], what: str) -> None:
    """Waits until it has happened; fails with `what` when it never does."""
    ends = monotonic() + START_DEADLINE_S
    while not happened():
        assert monotonic() < ends, f"waited {START_DEADLINE_S} s in vain: {what}"
        sleep(0.05)


@contextmanager
def running_postgres() -> Iterator[str]:
    """A PostgreSQL of its own; the URL of its database `postgres`."""
    with embedded_postgres() as server:
        yield server.get_uri()
