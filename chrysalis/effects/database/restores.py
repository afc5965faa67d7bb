"""Puts a database back: to a backup, or to a point in time from a base backup and the archived log.

What is restored is made beside the database that serves, proven, and only then takes its name, in one transaction: killed at
any moment, either the old or the restored database serves, never a half of one. The old one is kept under another name, so
that nothing that was written since is lost. A point in time is reached in a server of our own (`scratch`), so that only this
database goes back and the others of the production server stay as they are.
"""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import sql

from chrysalis.effects.database.backups import (
    Backup,
    backups,
    check_stored,
    create_database,
    drop_database,
    fingerprint_of,
    load_dump,
    note_recovery,
)
from chrysalis.effects.database.fingerprint import Fingerprint, differences
from chrysalis.effects.database.programs import END_SESSIONS, Address, Programs
from chrysalis.effects.database.scratch import scratch_server
from chrysalis.errors import StepFailed

ARCHIVED_WITHIN_S = 60.0
POLL_S = 0.1
_NAME_LENGTH = 63
_EXISTS = "SELECT 1 FROM pg_database WHERE datname = %s"
_SETTINGS = """
SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
WHERE d.datname = %s AND s.setrole = 0"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `kept_as` is the database that served before."""

    backup: str
    to: datetime
    kept_as: str
    contents: Fingerprint

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.contents.values())


def newest(folder: Path, *, before: datetime | None = None, methods: Sequence[str] = ("dump", "base")) -> Backup:
    """The newest backup, or the newest that was taken at or before a moment. Raises StepFailed where there is none."""
    found = [one for one in backups(folder) if one.method in methods and (before is None or one.taken_at <= before)]
    if not found:
        when = "" if before is None else f" of {before:%F %T %Z} or before"
        raise StepFailed(f"no {' or '.join(methods)} backup{when} in {folder}; a back_up step must have made one")
    return found[-1]


def restore_backup(url: str, backup: Backup, *, key: str, programs: Programs) -> Restored:
    """The database as the backup holds it. `key` names this restore: repeated, what is done is not done again.

    Raises StepFailed, TargetUnavailable.
    """
    address = Address.parse(url)
    kept_as = _kept_name(address.name, key)
    if not _exists(address, kept_as):
        check_stored(backup)
        fresh = create_database(address, _fresh_name(address.name, key))
        try:
            _fill(fresh, backup, address.name, programs)
            if wrong := differences(backup.contents, fingerprint_of(fresh)):
                raise StepFailed(f"what was restored differs from the backup {backup.folder.name}: {'; '.join(wrong[:5])}")
        except BaseException:
            drop_database(fresh)
            raise
        _swap(address, fresh.name, kept_as)
    return Restored(backup.folder.name, backup.taken_at, kept_as, fingerprint_of(address))


def restore_to(url: str, backup: Backup, wal_archive: Path, *, to: datetime, key: str, programs: Programs) -> Restored:
    """The database as it was just before `to`, from a base backup and the archived log.

    Raises StepFailed (the log was not archived so far, the moment lies before the backup), TargetUnavailable.
    """
    address = Address.parse(url)
    kept_as = _kept_name(address.name, key)
    if not _exists(address, kept_as):
        if to < backup.taken_at:
            raise StepFailed(
                f"cannot go back to {to:%F %T %Z}: the backup {backup.folder.name} is of {backup.taken_at:%F %T}"
            )
        check_stored(backup)
        _archive_now(address)
        fresh = create_database(address, _fresh_name(address.name, key))
        try:
            with (
                tempfile.TemporaryDirectory(prefix="chrysalis-pitr-") as folder,
                scratch_server(backup.data, Path(folder), programs, wal_archive=wal_archive, to=to) as recovered,
            ):
                then = recovered.of(address.name)
                contents = fingerprint_of(then)
                _copy(then, fresh, Path(folder), programs)
            if wrong := differences(contents, fingerprint_of(fresh)):
                raise StepFailed(f"what was restored differs from the recovered server: {'; '.join(wrong[:5])}")
        except BaseException:
            drop_database(fresh)
            raise
        _swap(address, fresh.name, kept_as)
        note_recovery(backup, to)
    return Restored(backup.folder.name, to, kept_as, fingerprint_of(address))


def restore_test(url: str, backup: Backup, *, programs: Programs) -> int:
    """Restore into a scratch database and compare; the database that serves is not touched. Returns the rows it holds.

    Raises StepFailed, TargetUnavailable.
    """
    check_stored(backup)
    address = Address.parse(url)
    scratch = create_database(address, _fresh_name(address.name, f"test {backup.folder.name}"))
    try:
        _fill(scratch, backup, address.name, programs)
        found = fingerprint_of(scratch)
        if wrong := differences(backup.contents, found):
            raise StepFailed(f"the restore test of {backup.folder.name} found: {'; '.join(wrong[:5])}")
        return sum(rows for rows, _ in found.values())
    finally:
        drop_database(scratch)


def _fill(fresh: Address, backup: Backup, database: str, programs: Programs) -> None:
    if backup.method == "dump":
        load_dump(backup.data, fresh, programs)
        return
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-boot-") as folder,
        scratch_server(backup.data, Path(folder), programs) as booted,
    ):
        _copy(booted.of(database), fresh, Path(folder), programs)


def _copy(source: Address, fresh: Address, folder: Path, programs: Programs) -> None:
    dump = folder / "copy.dump"
    programs.run("pg_dump", "--format=custom", "--file", str(dump), "--dbname", source.conninfo, address=source)
    load_dump(dump, fresh, programs)


def _archive_now(address: Address) -> None:
    """Everything committed until now into the archive, and a commit after it, at which recovery can stop."""
    with address.connect() as connection:
        mode = connection.execute("SHOW archive_mode").fetchall()[0][0]
        if mode == "off":
            raise StepFailed(
                "a point in time needs the archived log, and archive_mode is off; set archive_mode and archive_command"
            )
        connection.execute("SELECT pg_logical_emit_message(true, 'chrysalis', 'restore')")
        last = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchall()[0][0]
        connection.execute("SELECT pg_switch_wal()")
        ends = time.monotonic() + ARCHIVED_WITHIN_S
        while time.monotonic() < ends:
            archived = connection.execute("SELECT coalesce(last_archived_wal, '') >= %s FROM pg_stat_archiver", (last,))
            if archived.fetchall()[0][0]:
                return
            time.sleep(POLL_S)
    raise StepFailed(f"the log {last} was not archived within {ARCHIVED_WITHIN_S:g} s; look at archive_command")


def _swap(address: Address, fresh: str, kept_as: str) -> None:
    """The fresh database takes the name; owner and settings go with the name. Sessions are ended: they connect anew."""
    live = sql.Identifier(address.name)
    with address.of("template1").connect() as admin:
        owner = admin.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (address.name,)
        ).fetchall()
        settings = [str(row[0]) for row in admin.execute(_SETTINGS, (address.name,)).fetchall()]
        admin.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(fresh), sql.Identifier(str(owner[0][0])))
        )
        for setting in settings:
            name, _, value = setting.partition("=")
            given = sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(fresh), sql.Identifier(name), sql.Literal(value)
            )
            admin.execute(given)
        admin.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(live))
        try:
            _end_sessions(admin, address.name)
            _end_sessions(admin, fresh)
            with admin.transaction():
                admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(live, sql.Identifier(kept_as)))
                admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(fresh), live))
        finally:
            old = kept_as if _exists(address, kept_as) else address.name
            admin.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(old)))


def _end_sessions(admin: Any, name: str) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends and admin.execute(END_SESSIONS, (name,)).fetchall():
        time.sleep(POLL_S)


def _exists(address: Address, name: str) -> bool:
    with address.of("template1").connect() as admin:
        return bool(admin.execute(_EXISTS, (name,)).fetchall())


def _kept_name(name: str, key: str) -> str:
    return _named(name, "before", key)


def _fresh_name(name: str, key: str) -> str:
    return _named(name, "fresh", key)


def _named(name: str, what: str, key: str) -> str:
    suffix = f"_{what}_{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    return name[: _NAME_LENGTH - len(suffix)] + suffix
