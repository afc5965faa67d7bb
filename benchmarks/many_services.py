"""A real Prometheus that scrapes a real exporter of many services: what the ticks of a busy watch ask about.

The exporter is a process of its own, `python -m benchmarks.many_services PORT SERVICES`, so that its work does not count as
the watch's. It renders its page once per scrape interval: counters that grow, gauges that stay.
"""

import http.server
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.ports import free_ports

SCRAPE_S = 5
READY_S = 300.0
SIDES = ("stable", "canary")


def service(number: int) -> str:
    """The name of one of the services."""
    return f"bench-{number:05d}"


class Served(NamedTuple):
    """A Prometheus that runs."""

    url: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def prometheus_with(services: int, folder: Path, *, jobs: Sequence[dict[str, Any]] = ()) -> Iterator[Served]:
    """Prometheus, with that many services scraped at least three times. `jobs` are scraped as well."""
    ports = free_ports(2)
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": f"{SCRAPE_S}s"},
        "scrape_configs": [
            {"job_name": "many", "static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]},
            *jobs,
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))
    url = f"http://127.0.0.1:{ports[1]}"
    exporter = [sys.executable, "-m", "benchmarks.many_services", str(ports[0]), str(services)]
    prometheus = [
        str(ensure_prometheus().prometheus),
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{ports[1]}",
        "--log.level=error",
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.extend(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for command in (exporter, prometheus)
        )
        _await_samples(url, services)
        yield Served(url, running[1].pid)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def _await_samples(url: str, services: int) -> None:
    text = 'count(count_over_time(bench_memory_bytes{side="canary"}[1m]) >= 3)'
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            found = httpx.get(url + "/api/v1/query", params={"query": text}, trust_env=False).json()["data"]["result"]
            if found and int(found[0]["value"][1]) >= services:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(0.5)
    raise SystemExit(f"Prometheus has not scraped {services} services within {READY_S:g} s")


def page(services: int, at_s: float) -> bytes:
    """What the exporter shows at a time: four kinds of series per service and side; a tenth of them had no error yet."""
    asked, failed = int(at_s * 50) % 10**9, int(at_s / 4) % 10**9
    lines = []
    for number in range(services):
        for side in SIDES:
            at = f'service="{service(number)}",side="{side}"'
            lines.append(f'bench_requests_total{{{at},code="200"}} {asked}')
            if number % 10:
                lines.append(f'bench_requests_total{{{at},code="500"}} {failed}')
            lines.append(f"bench_memory_bytes{{{at}}} 250000000")
            lines.append(f"bench_latency_ms{{{at}}} 120")
    return ("\n".join(lines) + "\n").encode()


def _export(port: int, services: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(services, time.time())
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    os.nice(5)
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    _export(int(sys.argv[1]), int(sys.argv[2]))
