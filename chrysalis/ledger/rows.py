"""From a row to a record: the fields of a record are columns of its table, selected by name and in the record's order."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Column, Row, Table

RecordT = TypeVar("RecordT")


@cache
def columns(table: Table, kind: type[Any]) -> tuple[Column[Any], ...]:
    """The columns to select so that a row is a `kind`."""
    return tuple(table.c[part.name] for part in fields(kind))


def record(kind: Callable[..., RecordT], row: Row[Any]) -> RecordT:
    """The row as a record."""
    return kind(*row)


def records(kind: Callable[..., RecordT], rows: Sequence[Row[Any]]) -> tuple[RecordT, ...]:
    """All rows as records."""
    return tuple(kind(*row) for row in rows)
