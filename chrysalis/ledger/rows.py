"""From a row to a record: the fields of a record are columns of its table, selected by name and in the record's order."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Row, Table, Text, cast, type_coerce

from chrysalis.ledger.columns import Json, UtcTime

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


class Unread(Generic[RecordT]):
    """Columns whose times and JSON are fetched as the text that the database keeps, and read into a `kind` afterwards.

    What is asked for again and again and mostly stays as it is need not be read again where the text is the same.
    """

    def __init__(self, kind: Callable[..., RecordT], wanted: Iterable[ColumnElement[Any]]) -> None:
        wanted = tuple(wanted)
        self.columns = tuple(_unread(column) for column in wanted)
        self._kind = kind
        self._readers = [(at, reader) for at, column in enumerate(wanted) if (reader := _reader(column)) is not None]

    def read(self, row: Sequence[Any]) -> RecordT:
        """The record of a row of `columns`."""
        values = list(row)
        for at, reader in self._readers:
            if values[at] is not None:
                values[at] = reader(values[at])
        return self._kind(*values)


def _unread(column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, UtcTime):
        return cast(column, Text)
    return type_coerce(column, Text) if isinstance(column.type, Json) else column


def _reader(column: ColumnElement[Any]) -> Callable[[str], Any] | None:
    if isinstance(column.type, UtcTime):
        return _moment
    return json.loads if isinstance(column.type, Json) else None


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
