"""A read replica of the sandbox's PostgreSQL: a base backup that follows the primary by streaming, as in production."""

import shlex
import signal

from chrysalis.effects.database.own_server import give_to_server, server_user
from chrysalis.sandbox import postgres
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.parts import Part

_OPTIONS = {"listen_addresses": "", "hot_standby": "on", "archive_mode": "off", "fsync": "off", "shared_buffers": "16MB"}


def part(layout: Layout) -> Part:
    """The replica's process; it waits for the primary, copies it, and follows."""
    data = layout.postgres_standby
    data.mkdir(mode=0o700, exist_ok=True)
    give_to_server(data)
    programs, folder, socket = postgres.programs(), shlex.quote(str(data)), shlex.quote(str(layout.postgres_socket))
    copy = f"{programs}/pg_basebackup -h {socket} -U postgres -D {folder} -R -X stream --checkpoint=fast --no-sync"
    options = {**_OPTIONS, "unix_socket_directories": str(data)}
    serve = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
    script = (
        f"until [ -e {folder}/standby.signal ] || {copy}; do rm -rf {folder}/*; sleep 0.2; done; "
        f"rm -f {folder}/.s.PGSQL.*; "  # the primary's, whose socket is in its data folder
        f"exec {programs}/postgres -D {folder} {serve}"
    )
    return Part(
        "standby",
        ("/bin/sh", "-c", script),
        lambda: postgres.is_ready(data),
        user=server_user(),
        end_signal=signal.SIGINT,
        orphan_signal=signal.SIGQUIT,
    )
