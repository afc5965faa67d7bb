"""What is in a database, in few numbers: rows and a checksum for each table. Two that agree hold the same data.

The checksum is the sum of PostgreSQL's 64-bit hash of each row's text: it does not depend on the order of the rows, needs
one pass and no memory, and sees a changed, lost, doubled or added row. It is against accidents, not against forgery.
"""

from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg import sql

Fingerprint = Mapping[str, tuple[int, str]]
"""Table (`schema.name`) to its rows and their checksum."""
_TABLES = """
SELECT schemaname, tablename FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"""
_SUM = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {table} AS t"


def tables(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Every table of the database as (schema, name)."""
    return cast("list[tuple[str, str]]", connection.execute(_TABLES).fetchall())


def fingerprint(connection: psycopg.Connection[Any]) -> Fingerprint:
    """Of every table, as the connection's transaction sees it."""
    found: dict[str, tuple[int, str]] = {}
    for schema, name in tables(connection):
        query = sql.SQL(_SUM).format(table=sql.Identifier(schema, name))
        rows, checksum = connection.execute(query).fetchall()[0]
        found[f"{schema}.{name}"] = (int(rows), str(checksum))
    return found


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """What differs, a line each with both operands; empty when both hold the same."""
    told: list[str] = []
    for table in sorted({*expected, *found}):
        wanted, got = expected.get(table), found.get(table)
        if wanted == got:
            continue
        if got is None:
            told.append(f"{table} is missing, expected {wanted[0] if wanted else 0} rows")
        elif wanted is None:
            told.append(f"{table} has {got[0]} rows, expected no such table")
        elif wanted[0] != got[0]:
            told.append(f"{table} has {got[0]} rows, expected {wanted[0]}")
        else:
            told.append(f"{table} has {got[0]} rows as expected, with other content")
    return told
