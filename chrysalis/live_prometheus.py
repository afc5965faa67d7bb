"""What Prometheus itself knows of the names in a query: whether they exist, and how far apart their samples really are.

A query's own answer cannot tell: `or vector(0)` hides a misspelt name, and each sample is carried on for five minutes.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np

from chrysalis.metrics.base import Query
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.plan.parts import Metric
from gates.observation import Series, Unavailable
from gates.units import format_duration

LOOK_BACK_S = 3600.0
INTERVALS_SEEN = 20
STEPS_LOOKED_AT = 3000
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_ASIDE = re.compile(
    r"\{[^{}]*\}|\[[^\[\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE
)
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:]*\s*\()")
_WORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}
    | {"group_left", "group_right", "inf", "nan", "start", "end", "atan2"}
)


class Sampling(NamedTuple):
    """How a metric's series are sampled: the seconds between two samples of its slowest one; None where not to be told."""

    text: str
    name: str = ""
    spacing_s: float | None = None


def names_in(query: str) -> list[str]:
    """The metric names in a PromQL text, placeholders included or not."""
    bare = _STRING.sub('""', query)
    while (shorter := _ASIDE.sub(" ", bare)) != bare:
        bare = shorter
    return [name for name in dict.fromkeys(_NAME.findall(bare)) if name.lower() not in _WORDS]


def missing_names(source: PrometheusSource, metric: Metric, now: datetime) -> Iterator[str]:
    """A message for each name that Prometheus has had no sample of lately."""
    names = _names(metric)
    asked = [_query(f"count(last_over_time({name}[{_seconds(LOOK_BACK_S)}]))", now) for name in names]
    for name, answer in zip(names, source.fetch(asked), strict=True):
        if isinstance(answer, Series) and not len(answer):
            span = format_duration(LOOK_BACK_S)
            yield f"Prometheus has had no series {name!r} in {span}, which the query names; is it misspelt?"


def sampling(source: PrometheusSource, metric: Metric, now: datetime) -> Sampling:
    """Of the slowest of the names; a subquery that looks at the samples' own times, as a range query carries them on."""
    names, text = _names(metric), " ".join(_texts(metric))
    window_s = max(300.0, INTERVALS_SEEN * metric.interval_s)
    step_s = window_s / STEPS_LOOKED_AT
    span = f"[{_seconds(window_s)}:{_seconds(step_s)}]"
    asked = [
        _query(
            f"min((max_over_time(timestamp({name}){span}) - min_over_time(timestamp({name}){span}))"
            f" / (count_over_time({name}[{_seconds(window_s)}]) - 1 > 0))",
            now,
        )
        for name in names
    ]
    found = {
        name: float(answer.values[-1])
        for name, answer in zip(names, source.fetch(asked), strict=True)
        if not isinstance(answer, Unavailable) and len(answer) and np.isfinite(answer.values[-1]) and answer.values[-1] > 0
    }
    if not found:
        return Sampling(text)
    slowest = max(found, key=lambda name: found[name])
    return Sampling(text, slowest, found[slowest])


def _texts(metric: Metric) -> list[str]:
    return [metric.query] if isinstance(metric.query, str) else list(metric.query.values())


def _names(metric: Metric) -> list[str]:
    return list(dict.fromkeys(name for text in _texts(metric) for name in names_in(text)))


def _query(text: str, now: datetime) -> Query:
    end_s = now.timestamp()
    return Query("plan check --live", text, "", "all", end_s - 1.0, end_s, 1.0, {})


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
