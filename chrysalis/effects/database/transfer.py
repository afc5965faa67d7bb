"""New data over a way back: what was written since a moment is written out, and what fits is brought back afterwards.

    EXPORT/
      manifest.json            since when, of which database; for each table its columns, rows, file and checksum
      public.system_health.jsonl   one row per line, as PostgreSQL's row_to_json gives it

Which rows are new is told by a column with the time at which a row was written. A table without one is named in the result
as left out, never silently. A table or column that the older version does not have is not compatible: its rows stay in
the export, counted and named, for people to bring over by hand.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from chrysalis.effects.database.fingerprint import tables
from chrysalis.effects.database.programs import Address
from chrysalis.errors import StepFailed

TIME_COLUMNS = ("updated_at", "created_at", "timestamp", "inserted_at", "at")
"""In which column a row's time is looked for, in this order, where the target names none."""
_COLUMNS = """
SELECT column_name, data_type
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""
_REQUIRED = """
SELECT column_name FROM information_schema.columns
WHERE table_schema = %s AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'"""
_TIMES = frozenset({"timestamp with time zone", "timestamp without time zone"})
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Exported:
    """Rows by table, and the tables that could not be told by time."""

    folder: Path
    rows: Mapping[str, int]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows by table: brought back, there already just so, another row in their place, and not compatible with the reason."""

    added: Mapping[str, int]
    present: Mapping[str, int]
    conflicting: Mapping[str, int]
    incompatible: Mapping[str, str]


def export_since(url: str, folder: Path, *, since: datetime, columns: Mapping[str, str] | None = None) -> Exported:
    """Write out every row written at or after `since`; one snapshot over all tables. Repeated, it is made anew.

    `columns` names the time column by table (`name` or `schema.name`). Raises TargetUnavailable.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    told: dict[str, Any] = {}
    left_out: list[str] = []
    with Address.parse(url).connect(autocommit=False) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for schema, name in tables(connection):
            table = f"{schema}.{name}"
            if name in ("schema_migrations", "alembic_version"):
                continue
            column = _time_column(connection, schema, name, columns or {})
            if column is None:
                left_out.append(table)
                continue
            told[table] = _write_table(connection, part, schema, name, column, since)
    manifest = {"since": since.isoformat(), "tables": told, "left_out": left_out}
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(part, folder)
    return Exported(folder, {table: one["rows"] for table, one in told.items()}, tuple(left_out))


def import_compatible(url: str, folder: Path) -> Imported:
    """Bring back what fits the tables as they are now. A row whose key is taken is left as it is, and counted.

    One transaction: all of it or nothing. Raises StepFailed (the export was changed), TargetUnavailable.
    """
    manifest = _read_manifest(folder)
    added: dict[str, int] = {}
    present: dict[str, int] = {}
    conflicting: dict[str, int] = {}
    incompatible: dict[str, str] = {}
    with Address.parse(url).connect(autocommit=False) as connection:
        here = {f"{schema}.{name}" for schema, name in tables(connection)}
        for table, one in manifest["tables"].items():
            if not one["rows"]:
                continue
            if table not in here:
                incompatible[table] = f"{one['rows']} rows: no such table now"
                continue
            rows = _read_rows(folder, table, one)
            schema, _, name = table.partition(".")
            fitting, why = _fitting(connection, schema, name, one["columns"])
            if why:
                incompatible[table] = f"{len(rows)} rows: {why}"
                continue
            if lost := [column for column in one["columns"] if column not in fitting]:
                incompatible[table] = f"column {', '.join(lost)} of {len(rows)} rows: no such column now"
            count = _insert(connection, schema, name, fitting, rows)
            other = _differing(connection, schema, name, fitting, rows)
            added[table], present[table] = count, len(rows) - count - other
            if other:
                conflicting[table] = other
            _advance_sequences(connection, schema, name, fitting)
        connection.commit()
    return Imported(added, present, conflicting, incompatible)


def _time_column(connection: psycopg.Connection[Any], schema: str, name: str, named: Mapping[str, str]) -> str | None:
    types = {str(row[0]): str(row[1]) for row in connection.execute(_COLUMNS, (schema, name)).fetchall()}
    given = named.get(f"{schema}.{name}") or named.get(name)
    if given is not None:
        if types.get(given) not in _TIMES:
            found = types.get(given, "no such column")
            raise StepFailed(f"export of {schema}.{name}: column {given} is {found}, expected a timestamp")
        return given
    return next((column for column in TIME_COLUMNS if types.get(column) in _TIMES), None)


def _write_table(
    connection: psycopg.Connection[Any], folder: Path, schema: str, name: str, column: str, since: datetime
) -> dict[str, Any]:
    columns = [str(row[0]) for row in connection.execute(_COLUMNS, (schema, name)).fetchall()]
    query = sql.SQL("SELECT row_to_json(t)::text FROM {table} AS t WHERE {column} >= {since}").format(
        table=sql.Identifier(schema, name), column=sql.Identifier(column), since=sql.Literal(since)
    )
    path, digest, rows = folder / f"{schema}.{name}.jsonl", hashlib.sha256(), 0
    with path.open("wb") as file, connection.cursor(name="export") as cursor:
        for (text,) in cursor.execute(query):
            line = str(text).encode() + b"\n"
            file.write(line)
            digest.update(line)
            rows += 1
        file.flush()
        os.fsync(file.fileno())
    return {"column": column, "columns": columns, "rows": rows, "file": path.name, "sha256": digest.hexdigest()}


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"export {folder}: its manifest cannot be read ({error}); an export_data step must come before"
        ) from error


def _read_rows(folder: Path, table: str, one: Mapping[str, Any]) -> list[str]:
    content = (folder / str(one["file"])).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != one["sha256"]:
        raise StepFailed(f"export of {table}: its checksum is {found[:12]}, expected {one['sha256'][:12]}; it was changed")
    return content.decode().splitlines()


def _fitting(connection: psycopg.Connection[Any], schema: str, name: str, exported: Sequence[str]) -> tuple[list[str], str]:
    here = [str(row[0]) for row in connection.execute(_COLUMNS, (schema, name)).fetchall()]
    required = [str(row[0]) for row in connection.execute(_REQUIRED, (schema, name)).fetchall()]
    if lacking := [column for column in required if column not in exported]:
        return [], f"the table wants {', '.join(lacking)}, which they do not have"
    return [column for column in exported if column in here], ""


def _insert(connection: psycopg.Connection[Any], schema: str, name: str, columns: Sequence[str], rows: Sequence[str]) -> int:
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    query = sql.SQL(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM "
        "json_populate_recordset(NULL::{table}, %s::json) ON CONFLICT DO NOTHING"
    ).format(table=sql.Identifier(schema, name), names=names)
    added = 0
    for first in range(0, len(rows), _BATCH):
        batch = "[" + ",".join(rows[first : first + _BATCH]) + "]"
        added += connection.execute(query, (batch,)).rowcount
    return added


def _differing(
    connection: psycopg.Connection[Any], schema: str, name: str, columns: Sequence[str], rows: Sequence[str]
) -> int:
    """How many of the rows are not in the table as they are: their key belongs to another row."""
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    query = sql.SQL(
        "SELECT count(*) FROM (SELECT row({names})::text FROM json_populate_recordset(NULL::{table}, %s::json) "
        "EXCEPT ALL SELECT row({names})::text FROM {table}) AS other"
    ).format(table=sql.Identifier(schema, name), names=names)
    return int(connection.execute(query, ("[" + ",".join(rows) + "]",)).fetchall()[0][0])


def _advance_sequences(connection: psycopg.Connection[Any], schema: str, name: str, columns: Sequence[str]) -> None:
    """Rows came with their numbers; the next one drawn must be new."""
    table = sql.Identifier(schema, name)
    for column in columns:
        found = connection.execute("SELECT pg_get_serial_sequence(%s, %s)", (table.as_string(connection), column)).fetchall()
        if (sequence := found[0][0]) is None:
            continue
        query = sql.SQL("SELECT setval(%s, greatest((SELECT max({column}) FROM {table}), nextval(%s) - 1, 1))").format(
            column=sql.Identifier(column), table=table
        )
        connection.execute(query, (sequence, sequence))
