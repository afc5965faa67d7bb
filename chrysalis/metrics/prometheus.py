"""Measurements from Prometheus, or from what speaks its API (Thanos, Mimir, VictoriaMetrics).

Two ways to ask. Windows of several samples go through `prometheus-api-client` (`custom_query_range`), page by page below
the 11,000 points that Prometheus answers at once. It rounds times to whole seconds, takes no notice of warnings and shows
errors as text only; so exact times are given as parameters, and a hook of its session reads each answer first. It retries
for seconds by default, which the watch has no time for: here it does not. Windows of one sample, the many that the watch
asks at each tick, go as instant queries through one kept httpx connection pool, parsed straight into arrays: no pandas
frame (17 times the cost) and no import of the client on that path; it is imported when first needed.

4,000 triggers asked one by one took 7-32 s per tick, and 0.18 s as one query per kind grouped `by (service)`:
`fetch_by_service` does the latter, and answers for every service it was asked about, since one that is missing from
Prometheus's answer would otherwise never be judged.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

import httpx

from chrysalis.errors import MetricError, QueryError, SourceUnavailable
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import fill, shown_url
from chrysalis.metrics.prometheus_answer import Answer, check, from_result, parse
from gates.observation import Series, Unavailable

MAX_POINTS = 10_000
"""Points per page; Prometheus refuses more than 11,000."""
MAX_BODY_BYTES = 64 * 2**20
CONCURRENT_QUERIES = 4


class _Question(NamedTuple):
    """What is asked, in whole milliseconds so that no sample comes to lie after the end."""

    text: str
    end_ms: int
    step_ms: int
    points: int

    @classmethod
    def of(cls, query: Query, names: Mapping[str, str]) -> "_Question":
        """Samples at the end and every step before it, back to the start, which is not in the window itself."""
        step_ms = max(1, round(query.step_s * 1000))
        end_ms = int(query.end_s * 1000)
        points = max(1, ceil((end_ms - query.start_s * 1000) / step_ms - 1e-6))
        return cls(fill(query.text, {**query.variables, **names}, escape=_in_string), end_ms, step_ms, points)


class PrometheusSource:
    """One Prometheus. Safe to use from several threads; keeps its connections until `close`.

    `scrape_interval_s` is how often Prometheus reads the targets: samples are never asked closer than that, and
    `{window}` is at least four of them. `headers` carry a tenant or a token.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        scrape_interval_s: float = 1.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.scrape_interval_s = scrape_interval_s
        self.min_step_s = scrape_interval_s
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = dict(headers or {})
        self._http = httpx.Client(timeout=timeout_s, headers=self._headers)
        self._where = f"prometheus at {shown_url(self._url)}"

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The series for each query, in order. Equal questions are asked once."""
        return [self._series(query, answer) for query, answer in zip(queries, self._answers(queries, {}), strict=True)]

    def fetch_by_service(
        self, queries: Sequence[Query], services: Sequence[str], *, label: str = "service"
    ) -> dict[str, list[Series | Unavailable]]:
        """For every service the series of each query, in order; each query is asked once for all of them.

        The queries group `by (service)`; `{services}` in them becomes an alternation for `service=~"{services}"`. A
        service that the answer lacks has an empty series.
        """
        names = {"services": "|".join(re.escape(service) for service in services)}
        split = [
            self._split(query, answer, services, label)
            for query, answer in zip(queries, self._answers(queries, names), strict=True)
        ]
        return {service: [one[service] for one in split] for service in services}

    def check_connection(self) -> None:
        """Raises SourceUnavailable where no Prometheus answers at the address."""
        try:
            self._client.custom_query("vector(1)")
        except MetricError as error:
            raise SourceUnavailable(f"{self._where}: {error}; check the source's url") from error
        except (OSError, KeyError, TypeError) as error:
            raise SourceUnavailable(f"{self._where}: cannot be reached ({error}); check the source's url") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> Any:
        from prometheus_api_client import PrometheusConnect
        from requests import Session
        from urllib3.util.retry import Retry

        session = Session()
        session.hooks["response"].append(lambda response, **_: check(response.status_code, response.content))
        return PrometheusConnect(
            self._url, headers=self._headers, session=session, timeout=self._timeout_s, retry=Retry(0), method="POST"
        )

    def _answers(self, queries: Sequence[Query], names: Mapping[str, str]) -> list[Answer | Unavailable]:
        asked: list[_Question | Unavailable] = []
        for query in queries:
            try:
                asked.append(_Question.of(query, names))
            except QueryError as error:
                asked.append(Unavailable(f"{self._where}: {error}"))
        different = list(dict.fromkeys(one for one in asked if isinstance(one, _Question)))
        if len(different) > 1:
            with ThreadPoolExecutor(min(CONCURRENT_QUERIES, len(different)), thread_name_prefix="prometheus") as pool:
                found = dict(zip(different, pool.map(self._ask, different), strict=True))
        else:
            found = {one: self._ask(one) for one in different}
        return [found[one] if isinstance(one, _Question) else one for one in asked]

    def _ask(self, question: _Question) -> Answer | Unavailable:
        try:
            return self._instant(question) if question.points == 1 else self._range(question)
        except MetricError as error:
            return Unavailable(f"{self._where}: {error}")
        except httpx.TimeoutException:
            return Unavailable(f"{self._where}: no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            # All that requests raises, below prometheus-api-client, is an OSError.
            return Unavailable(f"{self._where}: cannot be reached ({type(error).__name__}: {error})")

    def _instant(self, question: _Question) -> Answer:
        form = {"query": question.text, "time": _seconds(question.end_ms), "timeout": f"{round(self._timeout_s * 1000)}ms"}
        try:
            return self._post(form)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection that the server has closed meanwhile; a question may be repeated.
            return self._post(form)

    def _post(self, form: Mapping[str, str]) -> Answer:
        with self._http.stream("POST", f"{self._url}/api/v1/query", data=form) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise QueryError(f"query error: the answer is over {MAX_BODY_BYTES >> 20} MB; aggregate it")
        return parse(response.status_code, bytes(body))

    def _range(self, question: _Question) -> Answer:
        pages = Answer()
        for first in range(question.points - 1, -1, -MAX_POINTS):
            last = max(first - MAX_POINTS + 1, 0)
            start_ms, end_ms = (question.end_ms - steps * question.step_ms for steps in (first, last))
            exact = {"start": _seconds(start_ms), "end": _seconds(end_ms), "timeout": f"{round(self._timeout_s * 1000)}ms"}
            start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start_ms, end_ms))
            try:
                result = self._client.custom_query_range(question.text, start, end, _seconds(question.step_ms), params=exact)
            except (KeyError, TypeError) as error:
                raise SourceUnavailable("answered with something that is no Prometheus answer") from error
            pages = pages.joined(from_result(result))
        return pages

    def _series(self, query: Query, answer: Answer | Unavailable) -> Series | Unavailable:
        if isinstance(answer, Unavailable):
            return answer
        try:
            return answer.series(unit=query.unit, interval_s=query.step_s)
        except QueryError as error:
            return Unavailable(f"{self._where}: {error}")

    def _split(
        self, query: Query, answer: Answer | Unavailable, services: Sequence[str], label: str
    ) -> dict[str, Series | Unavailable]:
        if isinstance(answer, Unavailable):
            return dict.fromkeys(services, answer)
        try:
            by_service = answer.by_label(label)
        except QueryError as error:
            return dict.fromkeys(services, Unavailable(f"{self._where}: {error}"))
        return {service: self._series(query, by_service.get(service, Answer())) for service in services}


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _in_string(value: str) -> str:
    """For use inside a quoted PromQL string: a version or service name cannot end it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'").replace("\n", "\\n")
