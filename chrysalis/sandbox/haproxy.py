"""HAProxy for the sandbox and for tests: found on PATH, else Debian's package unpacked; its configuration for two sides."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from chrysalis.sandbox import debian
from chrysalis.sandbox.install import PROJECT

UNPACKED = PROJECT / ".chrysalis" / "haproxy"
PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
ADVICE = "install HAProxy 2.6 or newer so that `haproxy` is on PATH (Debian: apt-get install haproxy)"
BACKEND = "split"


@dataclass(frozen=True, slots=True)
class HaproxyProgram:
    """The program, and the environment it needs."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)


def ensure_haproxy(unpacked: Path = UNPACKED) -> HaproxyProgram:
    """Raises SettingsError with what to install."""
    if found := shutil.which("haproxy"):
        return HaproxyProgram(Path(found))
    folder = debian.unpack(unpacked, PACKAGES, holds=("usr/sbin/haproxy",), advice=ADVICE)
    environment = {"LD_LIBRARY_PATH": debian.libraries(folder), "PATH": os.environ.get("PATH", "")}
    return HaproxyProgram(folder / "usr" / "sbin" / "haproxy", environment)


def write_configuration(folder: Path, *, port: int, stable: int, canary: int, header: str = "x-canary") -> Path:
    """`haproxy.cfg` in the folder, with its map of routes and its socket `admin.sock`; all on 127.0.0.1.

    It starts with nobody on the canary, whatever was set at run time before: a restart never adds traffic.
    """
    routes = folder / "routes.map"
    routes.write_text("header off\nstamp none\n")
    path = folder / "haproxy.cfg"
    path.write_text(
        f"""\
global
  stats socket {folder / "admin.sock"} mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend service
  bind 127.0.0.1:{port}
  acl header_on str(header),map({routes}) -m str on
  use_backend override if header_on {{ req.hdr({header}) -i on }}
  default_backend {BACKEND}
backend {BACKEND}
  balance roundrobin
  server canary 127.0.0.1:{canary} weight 0
  server stable 127.0.0.1:{stable} weight 100
backend override
  server canary 127.0.0.1:{canary}
"""
    )
    return path
