"""Finds Prometheus and promtool, which PyPI does not have, and fetches Debian's package where none is installed.

An installed one on PATH comes first. Else Debian's package is downloaded and unpacked below the project: nothing is
installed, root is not needed, and a second call finds the first one's result. Anything else is one line of advice.
Run as a program (`python -m chrysalis.sandbox.install`) it prints the folder it found.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chrysalis.errors import SettingsError

PROJECT = Path(__file__).resolve().parents[2]
UNPACKED = PROJECT / ".chrysalis" / "prometheus"
FETCH_TIMEOUT_S = 300
ADVICE = (
    "install Prometheus 2.42 or newer so that `prometheus` and `promtool` are on PATH (Debian: apt-get install prometheus), "
    "or set CHRYSALIS_PROMETHEUS to the folder that holds both"
)


@dataclass(frozen=True, slots=True)
class PrometheusFiles:
    """The two programs."""

    prometheus: Path
    promtool: Path


def find_prometheus(unpacked: Path = UNPACKED) -> PrometheusFiles | None:
    """Both programs, from CHRYSALIS_PROMETHEUS, from PATH or from the package unpacked before; None where there are none.

    Raises SettingsError when CHRYSALIS_PROMETHEUS names a folder without them.
    """
    if named := os.environ.get("CHRYSALIS_PROMETHEUS"):
        if found := _both_in(Path(named)):
            return found
        raise SettingsError(f"CHRYSALIS_PROMETHEUS={named} holds no prometheus and promtool; {ADVICE}")
    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if prometheus and promtool:
        return PrometheusFiles(Path(prometheus), Path(promtool))
    return _both_in(unpacked / "usr" / "bin")


def ensure_prometheus(unpacked: Path = UNPACKED, *, package: Path | None = None) -> PrometheusFiles:
    """The same, fetched first where there are none; safe to repeat and to run twice at once.

    `package` is a .deb that is there already. Raises SettingsError with what to install.
    """
    if found := find_prometheus(unpacked):
        return found
    unpacked.parent.mkdir(parents=True, exist_ok=True)
    with (unpacked.parent / ".prometheus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find_prometheus(unpacked) or _fetch(unpacked, package)


def _both_in(folder: Path) -> PrometheusFiles | None:
    files = PrometheusFiles(folder / "prometheus", folder / "promtool")
    usable = all(os.access(path, os.X_OK) for path in (files.prometheus, files.promtool))
    return files if usable else None


def _fetch(unpacked: Path, package: Path | None) -> PrometheusFiles:
    for tool in ("dpkg",) if package else ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise SettingsError(f"prometheus is not on PATH and {tool} is not here to fetch Debian's package; {ADVICE}")
    with tempfile.TemporaryDirectory(dir=unpacked.parent, prefix=".prometheus-") as work:
        archive = package or _download(Path(work))
        _run(["dpkg", "-x", str(archive), str(Path(work) / "root")], Path(work))
        found = _both_in(Path(work) / "root" / "usr" / "bin")
        if found is None:
            raise SettingsError(f"{archive.name} does not hold usr/bin/prometheus and usr/bin/promtool; {ADVICE}")
        shutil.rmtree(unpacked, ignore_errors=True)
        (Path(work) / "root").rename(unpacked)
    return PrometheusFiles(unpacked / "usr" / "bin" / "prometheus", unpacked / "usr" / "bin" / "promtool")


def _download(folder: Path) -> Path:
    # As root, apt drops to the user `_apt`, which may not write here; the sandbox option keeps it from trying.
    _run(["apt-get", "-o", "APT::Sandbox::User=root", "download", "prometheus"], folder)
    packages = sorted(folder.glob("prometheus_*.deb"))
    if not packages:
        raise SettingsError(f"apt-get download prometheus left no prometheus_*.deb; {ADVICE}")
    return packages[-1]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as slow:
        raise SettingsError(f"`{' '.join(command)}` took longer than {FETCH_TIMEOUT_S} s; {ADVICE}") from slow
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingsError(f"`{' '.join(command)}` ended with {done.returncode} ({said}); {ADVICE}")


def main() -> int:
    """Print the folder of the programs; 1 and one line on stderr where they cannot be had."""
    try:
        sys.stdout.write(f"{ensure_prometheus().prometheus.parent}\n")
    except SettingsError as error:
        sys.stderr.write(f"chrysalis: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
