"""What conditions need, in plan time, turned into questions to sources, in real time, and the answers back again.

Needs are grouped: one question per metric, side and offset, over the largest window asked for; every source is asked once,
with all its questions, in a thread of its own, so that the slowest one sets the time and a broken one spoils nothing but
its own. Whatever goes wrong is an Unavailable with the reason under each selector concerned; nothing is raised.

With a scaled clock (`speed`) a window of 48 h may last two real minutes, or less than the spacing of the samples. A
question is therefore never asked over less than twelve samples, samples are never asked closer than the source takes them,
and the series says its true spacing: real step x speed. Judges see plan time only. A series of 24 h ago is asked at its
own time and comes back aligned with now.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from time import monotonic
from typing import NamedTuple, Protocol

from chrysalis.metrics.base import MetricSource, Query
from chrysalis.secrets import redact
from gates.observation import Need, Observations, Selector, Series, Side, Unavailable

MIN_SAMPLES = 12
"""A real window is never shorter than this many samples: enough for every kind of condition, a trend included."""
MIN_SCRAPES = 4
"""A rate's `{window}` is never shorter than this many scrapes."""
DEFAULT_MIN_STEP_S = 1.0
DEADLINE_S = 15.0


class MetricDefinition(Protocol):
    """What a plan says of a metric; times in plan seconds. `query` is one text, or one per side."""

    @property
    def source(self) -> str: ...
    @property
    def query(self) -> "str | Mapping[Side, str]": ...
    @property
    def unit(self) -> str: ...
    @property
    def interval_s(self) -> float: ...
    @property
    def sided(self) -> bool: ...
    @property
    def rate_window_s(self) -> float: ...


class Clock(Protocol):
    """The plan's clock: linear, `speed` times as fast as the real one. All in unix seconds."""

    @property
    def speed(self) -> float: ...
    def to_plan(self, real_s: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class _Moment:
    """When and for what is asked; `now_s` in real unix seconds."""

    clock: Clock
    now_s: float
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Group:
    """Selectors that one question answers."""

    metric: str
    side: Side
    offset_s: float


def fetch(
    needs: Sequence[Need],
    metrics: Mapping[str, MetricDefinition],
    sources: Mapping[str, MetricSource],
    clock: Clock,
    now: datetime,
    *,
    variables: Mapping[str, str] | None = None,
    split_at: datetime | None = None,
    deadline_s: float = DEADLINE_S,
) -> Observations:
    """A Series or an Unavailable for every selector needed, at the real time `now`; never raises.

    `split_at` is the real time at which the traffic was last split anew; None is never. A selector with `constant_split`
    is served from then on, a rate from when its whole window lies behind it.

    `variables` fill `{service}` and `{version}`; `stable_version`, where given, is the version of the stable side. A
    recorded baseline is not a measurement: the caller puts its own in place of the Unavailable.
    """
    moment = _Moment(clock, now.timestamp(), variables or {})
    windows: dict[_Group, float] = {}
    groups: dict[Selector, _Group] = {}
    reaches: dict[_Group, _Reach] = {}
    answers: dict[_Group, Series | Unavailable] = {}
    observations: dict[Selector, Series | Unavailable] = {}
    for selector, window_s in needs:
        definition = metrics.get(selector.metric)
        if selector.baseline is not None:
            observations[selector] = Unavailable(f"baseline {selector.baseline} of {selector.metric} was not recorded")
        elif definition is None:
            observations[selector] = Unavailable(f"metric {selector.metric} is not in the plan")
        else:
            group = _Group(selector.metric, selector.side if definition.sided else "all", selector.offset_s)
            groups[selector] = group
            windows[group] = max(windows.get(group, 0.0), window_s)

    by_source: dict[str, dict[_Group, Query]] = {}
    for group, window_s in windows.items():
        definition = metrics[group.metric]
        source = sources.get(definition.source)
        text = _text(definition.query, group.side)
        if source is None:
            answers[group] = Unavailable(f"metric {group.metric}: its source {definition.source} cannot be asked from here")
        elif text is None:
            answers[group] = Unavailable(f"metric {group.metric} has no query for the side {group.side}")
        else:
            reaches[group] = _reach(definition, source, window_s, clock.speed)
            query = _query(group, definition, reaches[group], text, moment)
            by_source.setdefault(definition.source, {})[group] = query

    clipped: dict[_Group, Series | Unavailable] = {}
    for name, replies in _ask(by_source, sources, deadline_s).items():
        for (group, query), reply in zip(by_source[name].items(), replies, strict=True):
            pace = _pace(metrics[group.metric], query, windows[group], clock.speed)
            answers[group] = _in_plan_time(reply, query, moment, pace)
            clipped[group] = _in_plan_time(_since(reply, query, reaches[group], split_at), query, moment, pace)
    for selector, group in groups.items():
        observations[selector] = clipped.get(group, answers[group]) if selector.constant_split else answers[group]
    return observations


def _text(query: "str | Mapping[Side, str]", side: Side) -> str | None:
    return query if isinstance(query, str) else query.get(side, query.get("all"))


def _since(reply: Series | Unavailable, query: Query, reach: "_Reach", split_at: datetime | None) -> Series | Unavailable:
    if isinstance(reply, Unavailable) or split_at is None:
        return reply
    settles_s = reach.rate_window_s if "{window}" in query.text else 0.0
    return reply.window(start_s=split_at.timestamp() + settles_s, end_s=query.end_s)


class _Reach(NamedTuple):
    """How far back and how densely a source is asked; real seconds."""

    span_s: float
    step_s: float
    rate_window_s: float


def _reach(definition: MetricDefinition, source: MetricSource, window_s: float, speed: float) -> _Reach:
    step_s = max(definition.interval_s / speed, float(getattr(source, "min_step_s", DEFAULT_MIN_STEP_S)))
    scrape_s = float(getattr(source, "scrape_interval_s", 0.0))
    # One interval or less asks for the newest sample alone, which is answered fastest.
    newest_alone = window_s <= definition.interval_s
    span_s = step_s if newest_alone else max(window_s / speed, MIN_SAMPLES * step_s)
    return _Reach(span_s, step_s, max(definition.rate_window_s / speed, MIN_SCRAPES * scrape_s))


def _query(group: _Group, definition: MetricDefinition, reach: _Reach, text: str, moment: _Moment) -> Query:
    end_s = moment.now_s - group.offset_s / moment.clock.speed
    filled = {**moment.variables, "window": _promql_range(reach.rate_window_s), "speed": f"{moment.clock.speed:g}"}
    if group.side == "stable":
        filled.pop("version", None)
        if "stable_version" in moment.variables:
            filled["version"] = moment.variables["stable_version"]
    if definition.sided and group.side != "all":
        filled["side"] = group.side
    return Query(group.metric, text, definition.unit, group.side, end_s - reach.span_s, end_s, reach.step_s, filled)


def _promql_range(seconds: float) -> str:
    ms = max(1, ceil(round(seconds * 1000, 3)))
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def _pace(definition: MetricDefinition, query: Query, window_s: float, speed: float) -> float:
    """How many plan seconds a real second of the answer stands for.

    That is the clock's speed, unless its window is so short in real time that it would hold fewer samples than
    `MIN_SAMPLES`: then the samples that were asked for are spread over the window, so that a fast clock changes how long a
    window takes and not whether it can be judged. At speed 1 it is always 1.
    """
    asked_s = query.end_s - query.start_s
    if speed == 1.0 or window_s <= definition.interval_s or asked_s <= 0:
        return speed
    return min(speed, window_s / asked_s)


def _in_plan_time(reply: Series | Unavailable, query: Query, moment: _Moment, pace: float) -> Series | Unavailable:
    if isinstance(reply, Unavailable):
        return Unavailable(redact(reply.reason))
    # Counted from now, not from the clock's origin: at high speeds the difference of two large numbers would lose seconds.
    # An answer of some time ago ends at now in the same way, which is what aligns it.
    times = moment.clock.to_plan(moment.now_s) + (reply.times_s - query.end_s) * pace
    return Series(times, reply.values, reply.unit, reply.interval_s * pace, reply.labels)


_Replies = list[Series | Unavailable]


def _ask(
    by_source: Mapping[str, Mapping[_Group, Query]], sources: Mapping[str, MetricSource], deadline_s: float
) -> dict[str, _Replies]:
    done: queue.SimpleQueue[tuple[str, _Replies]] = queue.SimpleQueue()
    for name, queries in by_source.items():
        asked = (name, sources[name], list(queries.values()), done)
        # A daemon, so that a source that never answers holds up neither the caller nor the end of the process.
        threading.Thread(target=_ask_one, args=asked, name=f"source-{name}", daemon=True).start()
    replies: dict[str, _Replies] = {}
    ends = monotonic() + deadline_s
    while len(replies) < len(by_source):
        try:
            name, found = done.get(timeout=max(0.0, ends - monotonic()))
        except queue.Empty:
            break
        replies[name] = found
    for name, queries in by_source.items():
        late = Unavailable(f"source {name}: no answer within {deadline_s:g} s")
        replies.setdefault(name, [late] * len(queries))
    return replies


def _ask_one(name: str, source: MetricSource, queries: list[Query], done: "queue.SimpleQueue[tuple[str, _Replies]]") -> None:
    try:
        replies = source.fetch(queries)
    except Exception as error:  # an adapter's own fault must not take the other sources' answers with it
        replies = [Unavailable(f"source {name} broke: {type(error).__name__}: {error}")] * len(queries)
    if len(replies) != len(queries):
        replies = [Unavailable(f"source {name} gave {len(replies)} answers to {len(queries)} queries")] * len(queries)
    done.put((name, replies))
