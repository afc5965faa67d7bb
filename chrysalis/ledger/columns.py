"""Column types that read back exactly what was written, on SQLite as on PostgreSQL.

JSON is kept as its canonical text: both databases hold the same bytes, and what was hashed is what is stored.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from chrysalis.errors import LedgerError
from chrysalis.ledger.canonical import canonical_json, clean

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits; SQLite numbers rows by itself only where the type is called INTEGER."""


def utc(moment: datetime) -> datetime:
    """`moment` in UTC. Raises LedgerError for one without a time zone: nobody knows when that was."""
    if moment.tzinfo is None:
        raise LedgerError(f"the time {moment.isoformat()} has no time zone; pass one in UTC, such as datetime.now(UTC)")
    return moment.astimezone(UTC)


class UtcTime(TypeDecorator[datetime]):
    """A moment, to the microsecond; naive ones are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = utc(value)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text, with what no database can keep replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class Json(TypeDecorator[Any]):
    """A JSON value as its canonical text; SQL NULL is None."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return {} if value == "{}" else json.loads(value)
