"""What runs besides: staging, with a service, load and Prometheus of its own, and the control of the versions.

memory.json              ports and URLs, written before anything starts
staging/                 settings, configuration and faults of staging; `prometheus.yml`, `prometheus/`
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from chrysalis.sandbox import postgres
from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.parts import Part, answers
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.settings import SandboxSettings

FILE = "memory.json"
STAGING = "staging"
STAGING_DATABASE = "memory_staging"
STAGING_RATE_RPS = 5.0
PREVIOUS, RELEASE = "2.x", "3.0.0"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the parts listen, all on 127.0.0.1."""

    folder: Path
    control_port: int
    staging_port: int
    staging_prometheus_port: int

    @classmethod
    def load(cls, folder: Path) -> "Environment":
        """As it was written when the sandbox started."""
        told = JsonFile(folder / FILE).read()
        return cls(folder, **told)

    @classmethod
    def make(cls, folder: Path) -> "Environment":
        """A new one, written down."""
        names = ("control_port", "staging_port", "staging_prometheus_port")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        write_json(folder / FILE, ports)
        return cls(folder, **ports)

    @property
    def staging(self) -> Path:
        return self.folder / STAGING

    @property
    def staging_url(self) -> str:
        return f"http://127.0.0.1:{self.staging_port}"

    @property
    def staging_prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self.staging_prometheus_port}"

    def control_url(self, environment: str) -> str:
        return f"http://127.0.0.1:{self.control_port}/{environment}"


def staging_database_uri(layout: Layout) -> str:
    """Staging's own database, on the sandbox's server."""
    return postgres.uri(layout).replace("/postgres?", f"/{STAGING_DATABASE}?")


def parts(layout: Layout, settings: SandboxSettings) -> list[Part]:
    """Staging's three processes and the control; called once, in the process that keeps them."""
    environment = Environment.make(layout.folder)
    folder = environment.staging
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "prometheus").mkdir()
    of_staging = replace(
        settings,
        service=f"{settings.service}-{STAGING}",
        canary_version=PREVIOUS,
        rate_rps=STAGING_RATE_RPS,
        database_uri=staging_database_uri(layout),
    )
    of_staging.save(folder)
    (folder / "prometheus.yml").write_text(json.dumps(_scrapes(environment, settings)), encoding="utf-8")
    port = environment.staging_port
    service = (sys.executable, "-m", "chrysalis.sandbox.service", str(folder), "canary", str(port))
    load = (sys.executable, "-m", "chrysalis.sandbox.load", str(folder), str(port))
    control = (sys.executable, "-m", "chrysalis.sandbox.profiles.memory.control", str(layout.folder))
    return [
        Part("staging", service, partial(answers, port, "/health")),
        Part("staging-prometheus", _prometheus(environment), _ready(environment.staging_prometheus_port, "/-/ready")),
        Part("staging-load", load, Layout(folder).load_log.exists),
        Part("control", control, _ready(environment.control_port, "/production/state")),
    ]


def _ready(port: int, path: str) -> Callable[[], bool]:
    return partial(answers, port, path)


def _prometheus(environment: Environment) -> tuple[str, ...]:
    return (
        str(ensure_prometheus().prometheus),
        f"--config.file={environment.staging / 'prometheus.yml'}",
        f"--storage.tsdb.path={environment.staging / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{environment.staging_prometheus_port}",
        "--log.level=warn",
    )


def _scrapes(environment: Environment, settings: SandboxSettings) -> dict[str, object]:
    interval = f"{round(settings.scrape_interval_s * 1000)}ms"
    target = {"targets": [f"127.0.0.1:{environment.staging_port}"]}
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{"job_name": "service", "static_configs": [target]}],
    }
