"""Finds Prometheus and promtool, which PyPI does not have, and fetches Debian's package where none is installed.

An installed one on PATH comes first. Else Debian's package is downloaded and unpacked below the project: nothing is
installed, root is not needed, and a second call finds the first one's result. Anything else is one line of advice.
Run as a program (`python -m chrysalis.sandbox.install`) it prints the folder it found.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.sandbox import debian

PROJECT = Path(__file__).resolve().parents[2]
UNPACKED = PROJECT / ".chrysalis" / "prometheus"
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
    holds = ("usr/bin/prometheus", "usr/bin/promtool")
    folder = debian.unpack(unpacked, ("prometheus",), holds=holds, advice=ADVICE, archive=package)
    return PrometheusFiles(folder / holds[0], folder / holds[1])


def _both_in(folder: Path) -> PrometheusFiles | None:
    files = PrometheusFiles(folder / "prometheus", folder / "promtool")
    return files if debian.holds_all(folder, ("prometheus", "promtool")) else None


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
