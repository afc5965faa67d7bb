"""Measurements from Prometheus, or from what speaks its API (Thanos, Mimir, VictoriaMetrics).

Two ways to ask. Windows of several samples go through `prometheus-api-client` (`custom_query_range`), page by page below
the 11,000 points that Prometheus answers at once. It rounds times to whole seconds, takes no notice of warnings and shows
errors as text only; so exact times are given as parameters, and a hook of its session reads each answer first. It retries
for seconds by default, which the watch has no time for: here it does not. Windows of one sample, the many that the watch
asks at each tick, go as instant queries through one kept httpx connection pool, parsed straight into arrays: no pandas
frame (17 times the cost) and no import of the client on that path; it is imported when first needed.

4,000 triggers asked one by one took 7-32 s per tick, and 0.18 s as one query per kind grouped `by (service)`. So `fetch`
puts together what can be asked together (`prometheus_batches`), and answers for every query it was given: a service that is
missing from Prometheus's answer has an empty series, since it would otherwise never be judged.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import httpx

from chrysalis.errors import MetricError, QueryError, SourceUnavailable
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import shown_url
from chrysalis.metrics.prometheus_answer import Answer, check, from_result, parse
from chrysalis.metrics.prometheus_batches import Batch, Question, plan
from gates.observation import Series, Unavailable

MAX_POINTS = 10_000
"""Points per page; Prometheus refuses more than 11,000."""
MAX_BODY_BYTES = 64 * 2**20
CONCURRENT_QUERIES = 4


class _Refusal(NamedTuple):
    """Prometheus was reached and refused the question."""

    reason: str


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
        """The series for each query, in order. Equal questions are asked once, and those that differ in nothing but the
        service, version or side are asked together where that is exact (`promql_regroup`)."""
        answers: dict[int, Series | Unavailable] = {}
        batches = list(plan(queries))
        if len(batches) > 1:
            with ThreadPoolExecutor(min(CONCURRENT_QUERIES, len(batches)), thread_name_prefix="prometheus") as pool:
                for found in pool.map(lambda batch: self._asked(batch, queries), batches):
                    answers.update(found)
        else:
            for batch in batches:
                answers.update(self._asked(batch, queries))
        return [answers[index] for index in range(len(queries))]

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

    def _asked(self, batch: Batch, queries: Sequence[Query]) -> dict[int, Series | Unavailable]:
        """The answer to each query of the batch, by its index. A batch that is refused is asked in halves, so that one
        service with a fault of its own spoils no other's answer."""
        if batch.problem:
            return dict.fromkeys(batch.indexes, Unavailable(f"{self._where}: {batch.problem}"))
        answer = self._ask(batch.question)
        if isinstance(answer, _Refusal) and len(batch.members) > 1:
            return {index: one for half in batch.halves() for index, one in self._asked(half, queries).items()}
        if isinstance(answer, Unavailable | _Refusal):
            return dict.fromkeys(batch.indexes, Unavailable(answer.reason))
        try:
            return self._shared_out(batch, answer, queries)
        except QueryError as error:
            return dict.fromkeys(batch.indexes, Unavailable(f"{self._where}: {error}"))

    def _shared_out(self, batch: Batch, answer: Answer, queries: Sequence[Query]) -> dict[int, Series | Unavailable]:
        if batch.regrouped is None:
            return {index: self._series(queries[index], answer) for index in batch.indexes}
        parts = answer.by_labels(batch.labels, without=batch.regrouped.added)
        missing = Answer()
        lacking = [member for member in batch.members if member not in parts]
        if lacking and not batch.regrouped.vanishes:
            constant = self._ask(batch.alone(lacking[0]).question)
            if not isinstance(constant, Answer):
                return dict.fromkeys(batch.indexes, Unavailable(constant.reason))
            missing = constant
        return {
            index: self._series(queries[index], parts.get(member, missing))
            for member, indexes in batch.members.items()
            for index in indexes
        }

    def _ask(self, question: Question) -> "Answer | Unavailable | _Refusal":
        try:
            return self._instant(question) if question.points == 1 else self._range(question)
        except QueryError as error:
            return _Refusal(f"{self._where}: {error}")
        except MetricError as error:
            return Unavailable(f"{self._where}: {error}")
        except httpx.TimeoutException:
            return Unavailable(f"{self._where}: no answer within {self._timeout_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            # All that requests raises, below prometheus-api-client, is an OSError.
            return Unavailable(f"{self._where}: cannot be reached ({type(error).__name__}: {error})")

    def _instant(self, question: Question) -> Answer:
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

    def _range(self, question: Question) -> Answer:
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


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
