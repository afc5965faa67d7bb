"""A base backup that came back: taken, and really recovered to a point in time on a scratch server."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from chrysalis.clock import utc_now
from chrysalis.effects.database.backups import Backup, take_backup
from chrysalis.effects.database.programs import Programs
from chrysalis.effects.database.scratch import scratch_server
from chrysalis.sandbox.sandbox import Sandbox

MOMENT = timedelta(milliseconds=200)


def recovered_base(sandbox: Sandbox, uri: str, folder: Path, programs: Programs) -> tuple[Backup, datetime]:
    """The backup, and the time to which it was recovered, a moment after it was taken."""
    made = take_backup(uri, folder, method="base", made_for="daily/base", programs=programs, now=utc_now())
    to = made.taken_at + MOMENT
    with psycopg.connect(uri, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT clock_timestamp(), pg_switch_wal()").fetchone()
            if row is not None and row[0] > to + MOMENT:
                break
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-drill-") as scratch,
        scratch_server(made.data, Path(scratch), programs, wal_archive=sandbox.layout.wal_archive, to=to),
    ):
        return made, to
