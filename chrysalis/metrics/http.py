"""Measurements that a service tells about itself: a JSON document, and the place of the value in it.

A query is a path below the source's address with a JSON pointer (RFC 6901) as its fragment: `/api/metrics#/coherence/now`.
There stands a number, a word (unit `category`), null (a sample without a value), or a list of [unix seconds, value] pairs
for a history. A value is as of now. Documents that several metrics share are asked for once.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, unquote

import httpx
from jsonpointer import JsonPointer, JsonPointerException

from chrysalis.errors import MetricError, QueryError, SourceUnavailable
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import fill, shown_url
from gates.observation import Series, Unavailable
from gates.units import CATEGORY

MAX_BODY_BYTES = 8 * 2**20
CONCURRENT_REQUESTS = 4
_QUERY_IS_WRONG = frozenset({400, 404, 405, 422})


class HttpSource:
    """One service. Safe to use from several threads; follows no redirects; keeps its connections until `close`."""

    min_step_s = 1.0

    def __init__(self, url: str, *, timeout_s: float = 5.0, headers: dict[str, str] | None = None) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=timeout_s, headers={"Accept": "application/json", **(headers or {})})
        self._where = f"http at {shown_url(self._url)}"

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The series for each query, in order."""
        asked = [self._asked(query) for query in queries]
        paths = list(dict.fromkeys(one[0] for one in asked if not isinstance(one, Unavailable)))
        with ThreadPoolExecutor(min(CONCURRENT_REQUESTS, max(1, len(paths))), thread_name_prefix="http-source") as pool:
            documents = dict(zip(paths, pool.map(self._document, paths), strict=True))
        return [self._answer(query, one, documents) for query, one in zip(queries, asked, strict=True)]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _asked(self, query: Query) -> "tuple[str, str] | Unavailable":
        try:
            filled = fill(query.text.strip(), query.variables, escape=lambda value: quote(value, safe=""))
        except QueryError as error:
            return Unavailable(f"{self._where}: {query.metric}: {error}")
        path, _, pointer = filled.partition("#")
        if path and not path.startswith("/"):
            return Unavailable(
                f"{self._where}: {query.metric}: query error: found {path!r}, expected a path that begins with /"
            )
        return path, unquote(pointer)

    def _document(self, path: str) -> Any:
        try:
            return self._get(path)
        except MetricError as error:
            return Unavailable(f"{self._where}: {error}")
        except httpx.TimeoutException:
            return Unavailable(f"{self._where}: no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unavailable(f"{self._where}: cannot be reached ({type(error).__name__}: {error})")

    def _get(self, path: str) -> Any:
        with self._http.stream("GET", self._url + path) as response:
            if response.status_code in _QUERY_IS_WRONG:
                raise QueryError(f"query error: GET {path} answered {response.status_code}")
            if response.status_code != 200:
                raise SourceUnavailable(f"GET {path} answered {response.status_code}, expected 200")
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise QueryError(f"query error: GET {path} answered over {MAX_BODY_BYTES >> 20} MB")
        try:
            return httpx.Response(200, content=bytes(body)).json()
        except ValueError as error:
            raise SourceUnavailable(f"GET {path} answered with something that is no JSON") from error

    def _answer(
        self, query: Query, asked: "tuple[str, str] | Unavailable", documents: dict[str, Any]
    ) -> Series | Unavailable:
        if isinstance(asked, Unavailable):
            return asked
        path, pointer = asked
        document = documents[path]
        if isinstance(document, Unavailable):
            return document
        try:
            return to_series(JsonPointer(pointer).resolve(document), query)
        except JsonPointerException as error:
            return Unavailable(
                f"{self._where}: {query.metric}: query error: nothing at {pointer!r} of {path or '/'} ({error})"
            )
        except QueryError as error:
            return Unavailable(f"{self._where}: {query.metric}: {error}")


def to_series(found: Any, query: Query) -> Series:
    """A number, word or null as of the query's end, or a list of [unix seconds, value]. Raises QueryError."""
    rows = found if isinstance(found, list) else [[query.end_s, found]]
    if not all(isinstance(row, list) and len(row) == 2 and isinstance(row[0], int | float) for row in rows):
        raise QueryError("query error: found a list of something else, expected [unix seconds, value] pairs")
    if query.unit == CATEGORY:
        words = [(float(time), _word(value)) for time, value in rows if value is not None]
        return Series.of_labels(words, unit=query.unit, interval_s=query.step_s)
    return Series.of([(time, _number(value)) for time, value in rows], unit=query.unit, interval_s=query.step_s)


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, int | float):
        return None if value is None else float(value)
    raise QueryError(f"query error: found {value!r}, expected a number; a metric of words has the unit {CATEGORY!r}")


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise QueryError(f"query error: found {value!r}, expected a word, as the unit is {CATEGORY!r}")
