"""Debian's packages as plain folders: downloaded and unpacked, nothing installed, no root. Safe to run twice at once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.sandbox.programs import run

FETCH_TIMEOUT_S = 300.0


def unpack(folder: Path, packages: Sequence[str], *, holds: Sequence[str], advice: str, archive: Path | None = None) -> Path:
    """`folder` with the packages unpacked in it, fetched where it is not there yet.

    `holds` are the programs that must be in it (`usr/bin/prometheus`); `archive` is a .deb that is there already. Raises
    SettingsError, which ends with `advice`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not holds_all(folder, holds):
            _fetch(folder, packages, holds, advice, archive)
    return folder


def holds_all(folder: Path, programs: Sequence[str]) -> bool:
    """Whether each program is there and can be run."""
    return all(os.access(folder / program, os.X_OK) for program in programs)


def libraries(folder: Path) -> str:
    """LD_LIBRARY_PATH for a program whose libraries were unpacked beside it."""
    return os.pathsep.join(sorted({str(path.parent) for path in folder.rglob("*.so*")}))


def _fetch(folder: Path, packages: Sequence[str], holds: Sequence[str], advice: str, archive: Path | None) -> None:
    what = packages[0]
    for tool in ("dpkg",) if archive else ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise SettingsError(f"{what} is not on PATH and {tool} is not here to fetch Debian's package; {advice}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as work:
        root = Path(work) / "root"
        archives = [archive] if archive else _download(Path(work), packages, advice)
        for each in archives:
            run(["dpkg", "-x", each, root], Path(work), timeout_s=FETCH_TIMEOUT_S, told=1, advice=advice)
        if not holds_all(root, holds):
            raise SettingsError(f"{archives[0].name} does not hold {' and '.join(holds)}; {advice}")
        shutil.rmtree(folder, ignore_errors=True)
        root.rename(folder)


def _download(folder: Path, packages: Sequence[str], advice: str) -> list[Path]:
    # As root, apt drops to the user `_apt`, which may not write here; the sandbox option keeps it from trying.
    download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages]
    run(download, folder, timeout_s=FETCH_TIMEOUT_S, told=1, advice=advice)
    found = [path for package in packages for path in sorted(folder.glob(f"{package}_*.deb"))[-1:]]
    if len(found) != len(packages):
        raise SettingsError(f"apt-get download {' '.join(packages)} left {len(found)} packages; {advice}")
    return found
