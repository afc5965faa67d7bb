"""A PostgreSQL of our own for a moment, booted from a copy of a base backup: to prove it, or to reach a point in time.

It listens on a unix socket in its own folder only, and ends with the block. The production server is not touched by it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psycopg

from chrysalis.effects.database.own_server import give_to_server, run_as, server_user
from chrysalis.effects.database.programs import Address, Programs
from chrysalis.errors import StepFailed, TargetUnavailable

START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "archive_mode": "off",
    "shared_buffers": "32MB",
    "logging_collector": "off",
    "shared_preload_libraries": "",
    "port": "5432",
}


@contextmanager
def scratch_server(
    base: Path, folder: Path, programs: Programs, *, wal_archive: Path | None = None, to: datetime | None = None
) -> Iterator[Address]:
    """The address of a server booted from a copy of `base`; with `to`, recovered from the archived log up to that moment.

    `folder` is empty, with a short path, and removed by the caller. Raises StepFailed when it does not come up.
    """
    data, socket = folder / "data", folder / "socket"
    folder.chmod(0o755)
    socket.mkdir()
    shutil.copytree(base, data, symlinks=True)
    data.chmod(0o700)
    settings = {**_SETTINGS, "unix_socket_directories": str(socket), "hba_file": str(data / "scratch_hba.conf")}
    (data / "scratch_hba.conf").write_text("local all all trust\n")
    for name in ("postgresql.auto.conf", "standby.signal", "postmaster.pid"):
        (data / name).unlink(missing_ok=True)
    (data / "postgresql.auto.conf").touch()
    if to is not None and wal_archive is not None:
        (data / "recovery.signal").touch()
        settings |= {
            "restore_command": f"cp {wal_archive}/%f %p",
            "recovery_target_time": to.isoformat(),
            "recovery_target_inclusive": "off",
            "recovery_target_action": "promote",
        }
    give_to_server(folder)
    address = Address({"host": str(socket), "port": "5432", "user": "postgres", "dbname": "postgres"}, None)
    process = _start(data, settings, programs)
    try:
        _await(process, address, data)
        yield address
    finally:
        process.send_signal(2)  # SIGINT: fast shutdown
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        if process.poll() is None:
            process.kill()
            process.wait()


def _start(data: Path, settings: dict[str, str], programs: Programs) -> subprocess.Popen[bytes]:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (data.parent / "server.log").open("wb") as log:
        return subprocess.Popen(
            [programs.path("postgres"), "-D", str(data), *options],
            cwd=data,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            **run_as(server_user()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await(process: subprocess.Popen[bytes], address: Address, data: Path) -> None:
    """Until it takes connections and recovery has ended."""
    ends = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise StepFailed(f"the backup does not boot: {_why(data)}")
        with suppress(TargetUnavailable, psycopg.Error), address.connect() as connection:
            if not connection.execute("SELECT pg_is_in_recovery()").fetchall()[0][0]:
                return
        time.sleep(POLL_S)
    raise StepFailed(f"the backup did not boot within {START_TIMEOUT_S:g} s: {_why(data)}")


def _why(data: Path) -> str:
    lines = (data.parent / "server.log").read_text(errors="replace").splitlines()
    told = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (told or lines or ["it wrote nothing"])[-1]
