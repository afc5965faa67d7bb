"""Backups, restored into a real PostgreSQL."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chrysalis.checks import Context
from chrysalis.effects.database.transfer import export_since
from chrysalis.sandbox import postgres
from tests.checks.conftest import FAILED, NOT_KNOWN, PASSED, Check, said


@pytest.fixture
def backup(context: Context, database_url: str) -> Path:
    """A backup of an hour ago, made by pg_dump."""
    folder = context.backups / "one"
    folder.mkdir(parents=True)
    subprocess.run(
        [postgres.programs() / "pg_dump", "--format=custom", "--file", folder / "data.dump", "--dbname", database_url],
        check=True,
    )
    manifest(folder)
    return folder


def manifest(folder: Path, *, rows: int = 3, hours: float = 1, **more: object) -> None:
    taken_at = (datetime.now(UTC) - timedelta(hours=hours, seconds=30)).isoformat()
    told = {"database": "postgres", "taken_at": taken_at, "contents": {"public.health": [rows, "sum"]}, **more}
    (folder / "manifest.json").write_text(json.dumps(told))


def test_a_backup_is_restored_read_and_dropped_again(check: Check, backup: Path, database_url: str) -> None:
    spec = {"kind": "backup", "url": "${DB}", "max_age": "2h", "restore": True, "tables": ["health"], "within": "5m"}
    said(check(spec, DB=database_url), PASSED, "1h old", "1 tables, 3 rows")
    leftover = "SELECT count(*) FROM pg_database WHERE datname LIKE 'chrysalis_check%'"
    said(check({"kind": "sql", "url": "${DB}", "query": leftover, "equals": 0}, DB=database_url), PASSED)


def test_what_is_wrong_with_a_backup_is_told(check: Check, backup: Path, database_url: str) -> None:
    spec = {"kind": "backup", "url": "${DB}", "max_age": "2h", "restore": True}
    said(check({**spec, "max_age": "30m"}, DB=database_url), FAILED, "1h old", "at most 30m")
    said(check({**spec, "tables": ["orders"]}, DB=database_url), FAILED, "orders came back with no such table")
    said(check({**spec, "point_in_time": True}, DB=database_url), NOT_KNOWN, "no recovery to a point in time")
    manifest(backup, recovered_to="2026-11-21T06:00:00+00:00")
    said(check({**spec, "point_in_time": True}, DB=database_url), PASSED, "recovered to 2026-11-21T06:00")
    manifest(backup, rows=4)
    said(check(spec, DB=database_url), FAILED, "3 rows", "4 rows")
    (backup / "data.dump").write_bytes(b"rubbish")
    said(check(spec, DB=database_url), FAILED, "pg_restore ended with 1")
    (backup / "data.dump").unlink()
    said(check(spec, DB=database_url), NOT_KNOWN, "no data.dump")


def test_data_that_was_exported_beside_the_backups_is_none_of_them(check: Check, backup: Path, database_url: str) -> None:
    export_since(database_url, backup.parent / "exports" / "one", since=datetime.now(UTC))
    said(check({"kind": "backup", "url": "${DB}", "max_age": "2h"}, DB=database_url), PASSED, "1h old")


def test_without_a_backup_it_is_not_known(check: Check, database_url: str) -> None:
    said(check({"kind": "backup", "url": "${DB}", "max_age": "1d"}, DB=database_url), NOT_KNOWN, "no backup of postgres")
