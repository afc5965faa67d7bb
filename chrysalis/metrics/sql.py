"""Measurements from the service's own PostgreSQL.

All queries of one call see the same snapshot: one read-only REPEATABLE READ transaction, a statement timeout, and a
savepoint around each, so that a wrong one leaves the others alone. Values reach the database as bound parameters, never as
text: `:start`, `:end` (timestamptz), `:window_s` (float), `:window` (interval), `:side`, `:version`, `:service`; the
placeholders of other sources mean the same, quoted or not: `'{side}'`, `interval '{window}'`. The lasting protection
against a query that writes is a role that may only read.

An answer is one value, which is as of now, or rows of (time, value). A word is a value where the metric's unit is
`category`. NULL is a sample without a value; no row is no data.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, TextClause, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from chrysalis.errors import QueryError, SettingsError
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import PLACEHOLDER, value_of
from gates.observation import Series, Unavailable
from gates.units import CATEGORY

MAX_ROWS = 100_000
_INTERVAL = re.compile(r"(?i)(?:\binterval\s*)?'\{window\}'|\{window\}")
_QUOTED = re.compile(r"'(\{\w+\})'")


class SqlSource:
    """One PostgreSQL database. Safe to use from several threads; keeps at most two connections."""

    min_step_s = 1.0
    scrape_interval_s = 1.0
    """How often the service writes; `{window}` is at least four of them."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        """Connects on the first query. Raises SettingsError for a URL that is not PostgreSQL's."""
        self._url = postgres_url(url)
        self._timeout_s = timeout_s
        waits = {"connect_timeout": max(2, math.ceil(timeout_s)), "tcp_user_timeout": math.ceil(timeout_s * 1000)}
        self._engine = create_engine(
            self._url, pool_size=2, max_overflow=0, pool_pre_ping=True, pool_timeout=timeout_s, connect_args=waits
        )
        self._where = f"sql at {self._url.host or self._url.query.get('host', 'localhost')}/{self._url.database or ''}"

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The series for each query, in order, all from one snapshot."""
        answers: list[Series | Unavailable] = []
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                connection.execute(text(f"SET LOCAL statement_timeout = {math.ceil(self._timeout_s * 1000)}"))
                answers.extend(self._answer(connection, query) for query in queries)
        except SQLAlchemyError as error:
            lost = Unavailable(f"{self._where}: cannot be reached ({self._said(error)})")
            return [*answers, *[lost] * (len(queries) - len(answers))]
        return answers

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _answer(self, connection: Connection, query: Query) -> Series | Unavailable:
        try:
            statement, values = bind(query)
            with connection.begin_nested():
                result = connection.execute(statement, values)
                rows = [tuple(row) for row in result.fetchmany(MAX_ROWS + 1)] if result.returns_rows else None
            return to_series(rows, query)
        except QueryError as error:
            return Unavailable(f"{self._where}: {query.metric}: {error}")
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            return Unavailable(f"{self._where}: {query.metric}: SQL error: {self._said(error)}")

    def _said(self, error: SQLAlchemyError) -> str:
        """The database's own first line, without the statement, its values and the password."""
        cause = getattr(error, "orig", None) or error
        first = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        password = self._url.password
        return first.replace(str(password), "***") if password else first


def postgres_url(url: str) -> URL:
    """The URL with psycopg as driver. Raises SettingsError, without repeating a password, for another kind."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("the URL of a database cannot be read; expected postgresql://user:password@host/name") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(f"found a {parsed.drivername} URL, expected postgresql://user:password@host/name")
    return parsed.set(drivername="postgresql+psycopg")


def bind(query: Query) -> tuple[TextClause, dict[str, Any]]:
    """The statement and its values. Raises QueryError for a parameter that has no value here."""
    variables: Mapping[str, Any] = {
        **query.variables,
        "start": datetime.fromtimestamp(query.start_s, UTC),
        "end": datetime.fromtimestamp(query.end_s, UTC),
        "window_s": query.end_s - query.start_s,
    }
    with_interval = _INTERVAL.sub("CAST(:window AS interval)", query.text)
    statement = text(PLACEHOLDER.sub(r":\1", _QUOTED.sub(r"\1", with_interval)))
    return statement, {name: value_of(name, variables) for name in statement.compile().params}


def to_series(rows: list[tuple[Any, ...]] | None, query: Query) -> Series:
    """Rows of (time, value), or one single value as of the query's end. Raises QueryError for anything else."""
    if rows is None:
        raise QueryError("query error: the statement returns no rows; expected a SELECT")
    if len(rows) > MAX_ROWS:
        raise QueryError(f"query error: over {MAX_ROWS} rows; aggregate them")
    widths = {len(row) for row in rows}
    if widths == {1} and len(rows) == 1:
        rows = [(query.end_s, rows[0][0])]
    elif widths - {2}:
        raise QueryError(
            f"query error: {len(rows)} rows of {max(widths)} columns; expected one value, or rows of (time, value)"
        )
    samples = [(_time_s(time), value) for time, value in rows]
    if query.unit == CATEGORY:
        words = [(time, str(value)) for time, value in samples if value is not None]
        return Series.of_labels(words, unit=query.unit, interval_s=query.step_s)
    return Series.of([(time, _number(value)) for time, value in samples], unit=query.unit, interval_s=query.step_s)


def _time_s(value: Any) -> float:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise QueryError("query error: a time without time zone; cast it with AT TIME ZONE 'UTC'")
        return value.timestamp()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    raise QueryError(f"query error: found {value!r} as time, expected a timestamptz or unix seconds")


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, int | float | Decimal):
        return None if value is None else float(value)
    raise QueryError(f"query error: found {value!r}, expected a number; a metric of words has the unit {CATEGORY!r}")
