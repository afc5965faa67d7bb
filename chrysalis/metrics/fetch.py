"""What conditions need, in plan time, turned into questions to sources, in real time, and the answers back again.

Needs are grouped: one question per metric, side and offset, over the largest window asked for; every source is asked once,
with all the questions of all who ask (`ask`), in a thread of its own, so that the slowest one sets the time and a broken one
spoils nothing but its own. Whatever goes wrong is an Unavailable with the reason; nothing is raised.

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
MOST_AT_ONCE = 32
"""Sources asked at the same time."""


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


class _Group(NamedTuple):
    """Selectors that one question answers."""

    metric: str
    side: Side
    offset_s: float


class _Asked(NamedTuple):
    """One question without its time; `pace` is how many plan seconds a real second of the answer stands for."""

    group: _Group
    source: MetricSource
    source_name: str
    text: str
    unit: str
    before_s: float
    """How long before now the window ends."""
    reach: "_Reach"
    variables: Mapping[str, str]
    pace: float

    def at(self, now_s: float) -> Query:
        end_s = now_s - self.before_s
        metric, side, _ = self.group
        step_s = self.reach.step_s
        return Query(metric, self.text, self.unit, side, end_s - self.reach.span_s, end_s, step_s, self.variables)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What one asker needs, as questions without a time; made by `prepare`, answered by `ask`, again and again."""

    clock: Clock
    groups: Mapping[Selector, _Group]
    """Selectors to the question that answers them."""
    asked: tuple[_Asked, ...]
    unasked: Mapping[_Group, Unavailable]
    unmeasured: Mapping[Selector, Unavailable]

    @property
    def asks_since_split(self) -> bool:
        """Whether it matters when the traffic was last split anew."""
        return any(selector.constant_split for selector in self.groups)


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
    inquiry = prepare(needs, metrics, sources, clock, variables=variables)
    return ask([inquiry], now, split_at=[split_at], deadline_s=deadline_s)[0]


def prepare(
    needs: Sequence[Need],
    metrics: Mapping[str, MetricDefinition],
    sources: Mapping[str, MetricSource],
    clock: Clock,
    *,
    variables: Mapping[str, str] | None = None,
) -> Inquiry:
    """The questions of one asker, for `ask`; arguments as of `fetch`."""
    windows: dict[_Group, float] = {}
    groups: dict[Selector, _Group] = {}
    unmeasured: dict[Selector, Unavailable] = {}
    for selector, window_s in needs:
        definition = metrics.get(selector.metric)
        if selector.baseline is not None:
            unmeasured[selector] = Unavailable(f"baseline {selector.baseline} of {selector.metric} was not recorded")
        elif definition is None:
            unmeasured[selector] = Unavailable(f"metric {selector.metric} is not in the plan")
        else:
            group = _Group(selector.metric, selector.side if definition.sided else "all", selector.offset_s)
            groups[selector] = group
            windows[group] = max(windows.get(group, 0.0), window_s)

    asked: list[_Asked] = []
    unasked: dict[_Group, Unavailable] = {}
    for group, window_s in windows.items():
        definition = metrics[group.metric]
        source = sources.get(definition.source)
        text = _text(definition.query, group.side)
        if source is None:
            why = f"metric {group.metric}: its source {definition.source} cannot be asked from here"
            unasked[group] = Unavailable(why)
        elif text is None:
            unasked[group] = Unavailable(f"metric {group.metric} has no query for the side {group.side}")
        else:
            reach = _reach(definition, source, window_s, clock.speed)
            asked.append(
                _Asked(
                    group,
                    source,
                    definition.source,
                    text,
                    definition.unit,
                    group.offset_s / clock.speed,
                    reach,
                    _variables(group, definition, reach, clock, variables or {}),
                    _pace(definition, reach, window_s, clock.speed),
                )
            )
    return Inquiry(clock, groups, tuple(asked), unasked, unmeasured)


def ask(
    inquiries: Sequence[Inquiry],
    now: datetime,
    *,
    split_at: Sequence[datetime | None] | None = None,
    deadline_s: float = DEADLINE_S,
) -> list[Observations]:
    """The observations of each asker at the real time `now`, in order. A source that several need is asked once, for all.

    `split_at` has an entry for each asker, as of `fetch`; left out, nothing was ever split anew.
    """
    now_s = now.timestamp()
    by_source: dict[int, _Errand] = {}
    for number, inquiry in enumerate(inquiries):
        for one in inquiry.asked:
            errand = by_source.get(id(one.source))
            if errand is None:
                errand = by_source[id(one.source)] = _Errand(one.source_name, one.source, [], [])
            errand.queries.append(one.at(now_s))
            errand.whose.append((number, one))
    answers: list[dict[_Group, Series | Unavailable]] = [dict(inquiry.unasked) for inquiry in inquiries]
    clipped: list[dict[_Group, Series | Unavailable]] = [{} for _ in inquiries]
    plan_now = [inquiry.clock.to_plan(now_s) for inquiry in inquiries]
    for errand, replies in _ask(list(by_source.values()), deadline_s):
        for (number, one), query, reply in zip(errand.whose, errand.queries, replies, strict=True):
            answers[number][one.group] = _in_plan_time(reply, query, plan_now[number], one.pace)
            if inquiry_split := split_at and split_at[number]:
                since = _since(reply, query, one.reach, inquiry_split)
                clipped[number][one.group] = _in_plan_time(since, query, plan_now[number], one.pace)
    return [
        {
            **inquiry.unmeasured,
            **{
                selector: since.get(group, answer[group]) if selector.constant_split else answer[group]
                for selector, group in inquiry.groups.items()
            },
        }
        for inquiry, answer, since in zip(inquiries, answers, clipped, strict=True)
    ]


def _text(query: "str | Mapping[Side, str]", side: Side) -> str | None:
    return query if isinstance(query, str) else query.get(side, query.get("all"))


def _since(reply: Series | Unavailable, query: Query, reach: "_Reach", split_at: datetime) -> Series | Unavailable:
    if isinstance(reply, Unavailable):
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


def _variables(
    group: _Group, definition: MetricDefinition, reach: _Reach, clock: Clock, given: Mapping[str, str]
) -> Mapping[str, str]:
    filled = {**given, "window": _promql_range(reach.rate_window_s), "speed": f"{clock.speed:g}"}
    if group.side == "stable":
        filled.pop("version", None)
        if "stable_version" in given:
            filled["version"] = given["stable_version"]
    if definition.sided and group.side != "all":
        filled["side"] = group.side
    return filled


def _promql_range(seconds: float) -> str:
    ms = max(1, ceil(round(seconds * 1000, 3)))
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def _pace(definition: MetricDefinition, reach: _Reach, window_s: float, speed: float) -> float:
    """How many plan seconds a real second of the answer stands for.

    That is the clock's speed, unless its window is so short in real time that it would hold fewer samples than
    `MIN_SAMPLES`: then the samples that were asked for are spread over the window, so that a fast clock changes how long a
    window takes and not whether it can be judged. At speed 1 it is always 1.
    """
    if speed == 1.0 or window_s <= definition.interval_s or reach.span_s <= 0:
        return speed
    return min(speed, window_s / reach.span_s)


def _in_plan_time(reply: Series | Unavailable, query: Query, plan_now_s: float, pace: float) -> Series | Unavailable:
    if isinstance(reply, Unavailable):
        return Unavailable(redact(reply.reason))
    # Counted from now, not from the clock's origin: at high speeds the difference of two large numbers would lose seconds.
    # An answer of some time ago ends at now in the same way, which is what aligns it.
    times = (reply.times_s - query.end_s) * pace + plan_now_s
    return Series(times, reply.values, reply.unit, reply.interval_s * pace, reply.labels)


_Replies = list[Series | Unavailable]


class _Errand(NamedTuple):
    """All that one source is asked, and which question of which inquiry each answer belongs to."""

    name: str
    source: MetricSource
    queries: list[Query]
    whose: list[tuple[int, _Asked]]


def _ask(errands: list[_Errand], deadline_s: float) -> list[tuple[_Errand, _Replies]]:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, _Replies]] = queue.SimpleQueue()
    for number in range(len(errands)):
        waiting.put(number)
    for _ in range(min(MOST_AT_ONCE, len(errands))):
        # A daemon, so that a source that never answers holds up neither the caller nor the end of the process.
        threading.Thread(target=_run, args=(errands, waiting, done), name="sources", daemon=True).start()
    replies: dict[int, _Replies] = {}
    ends = monotonic() + deadline_s
    while len(replies) < len(errands):
        try:
            number, found = done.get(timeout=max(0.0, ends - monotonic()))
        except queue.Empty:
            break
        replies[number] = found
    return [(errand, replies.get(number) or _late(errand, deadline_s)) for number, errand in enumerate(errands)]


def _late(errand: _Errand, deadline_s: float) -> _Replies:
    return [Unavailable(f"source {errand.name}: no answer within {deadline_s:g} s")] * len(errand.queries)


def _run(errands: list[_Errand], waiting: "queue.SimpleQueue[int]", done: "queue.SimpleQueue[tuple[int, _Replies]]") -> None:
    while True:
        try:
            number = waiting.get_nowait()
        except queue.Empty:
            return
        done.put((number, _ask_one(errands[number])))


def _ask_one(errand: _Errand) -> _Replies:
    try:
        replies = errand.source.fetch(errand.queries)
    except Exception as error:  # an adapter's own fault must not take the other sources' answers with it
        replies = [Unavailable(f"source {errand.name} broke: {type(error).__name__}: {error}")] * len(errand.queries)
    if len(replies) != len(errand.queries):
        gave = f"source {errand.name} gave {len(replies)} answers to {len(errand.queries)} queries"
        return [Unavailable(gave)] * len(errand.queries)
    return replies
