"""Whether the newest backup is young enough and can be restored: it is put into an empty database, read, and dropped.

A backup is a folder with a `manifest.json` (`taken_at`, `database`, and `contents`: table to rows and checksum) and a
`data.dump` in pg_dump's custom format. The database that serves is only asked where its server is; the empty one is made
beside it. A point in time is reached from a base backup and the log after it; that a machine has shown it is asked of the
manifest's own `recovered_to`, written by a restore to a point in time.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.effects.command import last, run_to_end
from chrysalis.effects.database.backups import create_database, drop_database
from chrysalis.effects.database.fingerprint import tables
from chrysalis.effects.database.own_server import bundled_programs
from chrysalis.effects.database.programs import Address
from chrysalis.errors import StepFailed, TargetUnavailable
from chrysalis.metrics.sql import postgres_url
from chrysalis.plan.checklist import Backup
from gates.units import format_duration

RESTORE_LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Stored:
    folder: Path
    taken_at: datetime
    told: Mapping[str, Any]


def check_backup(spec: Backup, context: Context) -> Verdict:
    """Age first, then the restore. Raises NotKnown without a backup, or where the restore cannot be tried."""
    name = postgres_url(context.fill(spec.url)).database or "postgres"
    stored = _newest(context.backups, name, with_dump=spec.restore)
    age = context.now - stored.taken_at
    found = f"the newest backup of {name} is {_rounded(age.total_seconds())} old"
    expected = f"at most {format_duration(spec.max_age)}"
    if age > spec.max_age or not (spec.restore or spec.point_in_time):
        return Verdict(age <= spec.max_age, found, expected, stored.folder.name)
    if spec.point_in_time:
        recovered = [one for one in _stored(context.backups, name) if one.told.get("recovered_to")]
        if not recovered:
            raise NotKnown(f"no recovery to a point in time is on record for {stored.folder.name} or any other")
        proven = max(recovered, key=lambda one: one.taken_at)
        found += f", {proven.folder.name} recovered to {proven.told['recovered_to']}"
        if not (stored.folder / "data.dump").is_file():
            return Verdict(True, found, expected, stored.folder.name)
    rows, seconds = _restore(context.fill(spec.url), stored, _program(context.variables))
    recorded = {_bare(table): int(one[0]) for table, one in dict(stored.told.get("contents") or {}).items()}
    wrong = [
        f"{table} came back with {_said(rows.get(table))}, recorded were {_said(recorded.get(table))}"
        for table in spec.tables or sorted(recorded)
        if rows.get(table) is None or rows.get(table) != recorded.get(table)
    ]
    found += f"; restored in {seconds:.1f} s, {len(rows)} tables, {sum(rows.values())} rows"
    if spec.within is not None:
        expected += f", restored in less than {format_duration(spec.within)}"
    in_time = spec.within is None or seconds < spec.within.total_seconds()
    if wrong:
        return Verdict(False, "; ".join(wrong), "the rows that were recorded", found)
    return Verdict(in_time, found, expected, stored.folder.name)


def _newest(folder: Path, database: str, *, with_dump: bool) -> _Stored:
    found = _stored(folder, database)
    if not found:
        raise NotKnown(f"there is no backup of {database} in {folder}; set BACKUPS to where they are")
    dumps = [one for one in found if (one.folder / "data.dump").is_file()]
    return max(dumps if with_dump and dumps else found, key=lambda one: one.taken_at)


def _stored(folder: Path, database: str) -> list[_Stored]:
    """Those that are whole, in this folder or below; what is still being made ends in `.part`."""
    found = []
    for manifest in folder.glob("**/manifest.json"):
        if manifest.parent.suffix == ".part":
            continue
        try:
            told = json.loads(manifest.read_text(encoding="utf-8"))
            exported = "since" in told  # by `export_data`, which keeps what it wrote beside the backups
            if not exported and told["database"] == database:
                found.append(_Stored(manifest.parent, datetime.fromisoformat(told["taken_at"]), told))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotKnown(f"{manifest}: cannot be read ({error})") from error
    return found


def _restore(url: str, stored: _Stored, program: str) -> tuple[dict[str, int], float]:
    """Rows by table of the restored database, and the seconds that the restore took."""
    dump = stored.folder / "data.dump"
    if not dump.is_file():
        raise NotKnown(f"{stored.folder.name} has no data.dump to restore")
    try:
        scratch = create_database(Address.parse(url), f"chrysalis_check_{uuid4().hex[:12]}")
        try:
            started = monotonic()
            _load(scratch, dump, program)
            seconds = monotonic() - started
            with scratch.connect() as restored:
                return _count(restored), seconds
        finally:
            drop_database(scratch)
    except (psycopg.Error, TargetUnavailable) as error:
        raise NotKnown(f"the restore could not be tried: {str(error).splitlines()[0]}") from error


def _load(scratch: Address, dump: Path, program: str) -> None:
    """The password goes by the environment: a command line is everybody's to read."""
    secret = {"PGPASSWORD": scratch.password} if scratch.password else {}
    arguments = [program, "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    arguments += ["--dbname", scratch.conninfo]
    try:
        ended = run_to_end([*arguments, str(dump)], cwd=dump.parent, timeout_s=RESTORE_LIMIT_S, secrets=secret)
    except StepFailed as error:
        raise NotKnown(str(error)) from error
    if ended.code is None:
        raise NotKnown(f"pg_restore was still running after {RESTORE_LIMIT_S:g} s, ended{last(ended.tail)}")
    if "unsupported version" in ended.tail:
        raise NotKnown(f"{program} is too old for this backup; set POSTGRES_PROGRAMS{last(ended.tail)}")
    if ended.code != 0:
        raise NotRestored(f"pg_restore ended with {ended.code}{last(ended.tail)}")


class NotRestored(StepFailed):
    """The backup is there and cannot be restored."""


def _program(variables: Mapping[str, str]) -> str:
    """pg_restore of POSTGRES_PROGRAMS, else of the sandbox's PostgreSQL where that is installed, else of the PATH.

    In this order because a newer one reads what an older one wrote, and not the other way.
    """
    for folder in (variables.get("POSTGRES_PROGRAMS"), bundled_programs(), os.environ.get("PATH")):
        if folder and (found := shutil.which("pg_restore", path=folder)) is not None:
            return found
    raise NotKnown("pg_restore is not installed here; install PostgreSQL's client programs or set POSTGRES_PROGRAMS")


def _count(connection: psycopg.Connection[Any]) -> dict[str, int]:
    counts = {}
    for schema, table in tables(connection):
        asked = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        counts[str(table)] = int(connection.execute(asked).fetchall()[0][0])
    return counts


def _bare(table: str) -> str:
    return table.rpartition(".")[2].strip('"')


def _said(rows: int | None) -> str:
    return "no such table" if rows is None else f"{rows} rows"


def _rounded(seconds: float) -> str:
    return format_duration(max(seconds, 0.0) // 60 * 60)
