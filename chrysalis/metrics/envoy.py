"""Measurements from the router itself: Envoy's counters, asked of its admin interface at every look, no scrape in between.

A breach shows here within one look (a quarter of a second), where Prometheus needs a scrape and a rate over several of
them. A query is a sum of counters (`cluster.canary.upstream_rq_5xx + cluster.canary.upstream_rq_pending_overflow`), which is
measured as so many a second, or a ratio of two sums: `(a + b) / c`. Both are taken of what the counters grew by over
`{window}`; a ratio looks back further, at most four windows, until its second sum grew by `min_requests`, and says nothing
when it did not: one error of two requests is no error rate of 50 %.

Envoy keeps no history, so this does: the counters as of the last looks, as far back as was asked for. A process that looks
for the first time looks twice. Counters that went back (Envoy was started again) begin a new history.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import httpx
import numpy as np

from chrysalis.errors import QueryError
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import fill, shown_url
from gates.observation import Series, Unavailable
from gates.units import parse_duration

LOOK_EVERY_S = 0.25
MOST_WINDOWS = 4
MAX_SNAPSHOTS = 10_000
FILTER_CHARACTERS = 20_000
"""Of one question's filter; Envoy takes 60 kB of headers."""
DEFAULT_WINDOW_S = 1.0
_COUNTER = re.compile(r"[\w.:-]+")
_MADE_WHEN_NEEDED = re.compile(r"(cluster\.[\w:.-]+)\.upstream_rq_(?:completed|[1-5]xx|[1-5]\d\d)")
"""Counters that Envoy makes at the first such response: of a cluster that exists, absent is a true zero."""


class Counted(NamedTuple):
    """A query: counters over counters, or counters alone."""

    above: tuple[str, ...]
    below: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.above, *self.below)


class Snapshot(NamedTuple):
    """The counters at one time (unix seconds)."""

    at_s: float
    totals: Mapping[str, int]


class EnvoySource:
    """One Envoy. Safe to use from several threads; keeps its connection and its history until `close`."""

    min_step_s = LOOK_EVERY_S
    scrape_interval_s = LOOK_EVERY_S

    def __init__(self, admin_url: str, *, timeout_s: float = 1.0, min_requests: int = 20) -> None:
        self._url = admin_url.rstrip("/")
        self._timeout_s = timeout_s
        self._min_requests = min_requests
        self._http = httpx.Client(timeout=timeout_s, trust_env=False)
        self._where = f"envoy at {shown_url(self._url)}"
        self._names: dict[str, None] = {}
        self._history: deque[Snapshot] = deque(maxlen=MAX_SNAPSHOTS)
        self._reach_s = 0.0
        self._turn = threading.Lock()

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The series for each query, in order; all of them from one look at the counters."""
        asked = [self._parsed(query) for query in queries]
        wanted = [one for one in asked if isinstance(one, Counted)]
        with self._turn:
            try:
                history = self._look(wanted, queries) if wanted else []
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                said = str(error) or type(error).__name__
                return [Unavailable(f"{self._where}: did not answer within {self._timeout_s:g} s ({said})")] * len(queries)
        found: dict[tuple[object, ...], Series | Unavailable] = {}
        answers: list[Series | Unavailable] = []
        for query, one in zip(queries, asked, strict=True):
            if isinstance(one, Unavailable):
                answers.append(one)
                continue
            window_s = _window_s(query)
            key = (one, window_s, query.start_s, query.end_s, query.unit, query.step_s)
            if key not in found:
                found[key] = self._series(query, one, window_s, history)
            answers.append(found[key])
        return answers

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def _parsed(self, query: Query) -> Counted | Unavailable:
        try:
            return parse(fill(query.text, query.variables, escape=str))
        except QueryError as error:
            return Unavailable(f"{self._where}: {query.metric}: {error}")

    def _look(self, wanted: Sequence[Counted], queries: Sequence[Query]) -> list[Snapshot]:
        self._names.update(dict.fromkeys(name for one in wanted for name in one.names))
        reach_s = max(MOST_WINDOWS * _window_s(query) + query.end_s - query.start_s for query in queries)
        self._reach_s = max(self._reach_s, reach_s)
        self._take()
        newest, before = self._history[-1], self._history[-2] if len(self._history) > 1 else None
        if before is None or not newest.totals.keys() <= before.totals.keys():
            time.sleep(LOOK_EVERY_S)
            self._take()
        return list(self._history)

    def _take(self) -> None:
        now = Snapshot(time.time(), self._counters())
        if self._history:
            before = self._history[-1].totals
            if any(now.totals.get(name, 0) < total for name, total in before.items()):
                self._history.clear()
        self._history.append(now)
        while self._history[0].at_s < now.at_s - self._reach_s:
            self._history.popleft()

    def _counters(self) -> dict[str, int]:
        """The counters by name; one that Envoy has not made yet is 0, one that it does not know is left out."""
        found: dict[str, int] = {}
        for names in _portions(self._names):
            clusters = {match[1] for name in names if (match := _MADE_WHEN_NEEDED.fullmatch(name))}
            there = [f"{cluster}.membership_total" for cluster in clusters]
            pattern = "^(" + "|".join(re.escape(name).replace("\\-", "-") for name in [*names, *there]) + ")$"
            answer = self._http.get(self._url + "/stats", params={"filter": pattern, "format": "json"})
            answer.raise_for_status()
            stats = {stat["name"]: int(stat["value"]) for stat in answer.json()["stats"] if "name" in stat}
            for name in names:
                made = _MADE_WHEN_NEEDED.fullmatch(name)
                if name in stats or (made and f"{made[1]}.membership_total" in stats):
                    found[name] = stats.get(name, 0)
        return found

    def _series(self, query: Query, one: Counted, window_s: float, history: Sequence[Snapshot]) -> Series | Unavailable:
        unknown = [name for name in one.names if name not in history[-1].totals]
        if unknown:
            return Unavailable(f"{self._where}: {query.metric}: no counter {', '.join(unknown)}; see {self._url}/stats")
        # A counter that was asked for later than others is not in the first looks.
        first = next(index for index, look in enumerate(history) if all(name in look.totals for name in one.names))
        history = history[first:]
        samples: list[tuple[float, float]] = []
        for index in range(len(history) - 1, 0, -1):
            at_s = min(history[index].at_s, query.end_s)
            if at_s <= query.start_s:
                break
            value = self._value(one, window_s, history, index)
            if value is not None:
                samples.append((at_s, value))
        samples.reverse()
        times, values = (
            np.array(column, dtype=np.float64) for column in (zip(*samples, strict=True) if samples else ((), ()))
        )
        return Series.from_arrays(times, values, unit=query.unit, interval_s=query.step_s)

    def _value(self, one: Counted, window_s: float, history: Sequence[Snapshot], index: int) -> float | None:
        now = history[index]
        for base in _bases(history, index, window_s):
            grown = sum(now.totals[name] - base.totals[name] for name in one.above)
            if not one.below:
                return grown / (now.at_s - base.at_s) if now.at_s > base.at_s else None
            of = sum(now.totals[name] - base.totals[name] for name in one.below)
            if of >= self._min_requests:
                return grown / of
        return None


def _bases(history: Sequence[Snapshot], index: int, window_s: float) -> Iterator[Snapshot]:
    """What to compare with: the newest look that is a window ago, and then the older ones; the oldest of a short history."""
    now_s = history[index].at_s
    oldest_s = now_s - MOST_WINDOWS * window_s
    found = False
    for base in range(index - 1, -1, -1):
        if history[base].at_s > now_s - window_s and base > 0:
            continue
        if found and history[base].at_s < oldest_s:
            return
        found = True
        yield history[base]


def _window_s(query: Query) -> float:
    window = query.variables.get("window")
    return DEFAULT_WINDOW_S if window is None else parse_duration(window).total_seconds()


def _portions(names: Mapping[str, None]) -> Iterator[list[str]]:
    portion: list[str] = []
    length = 0
    for name in names:
        if portion and length + len(name) > FILTER_CHARACTERS:
            yield portion
            portion, length = [], 0
        portion.append(name)
        length += 2 * len(name)
    if portion:
        yield portion


@lru_cache(maxsize=4096)
def parse(text: str) -> Counted:
    """The counters of a query. Raises QueryError."""
    parts = [part.strip().removeprefix("(").removesuffix(")") for part in text.split("/")]
    sums = [tuple(name.strip() for name in part.split("+")) for part in parts]
    for name in (name for names in sums for name in names):
        if not _COUNTER.fullmatch(name):
            raise QueryError(f"query error: found {name!r}, expected counters of Envoy: a + b, or (a + b) / c")
    if len(sums) > 2:
        raise QueryError(f"query error: {len(sums)} sums, expected one or a ratio of two")
    return Counted(sums[0], sums[1] if len(sums) == 2 else ())
