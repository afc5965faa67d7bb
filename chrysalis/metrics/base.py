"""Where measurements come from. A source answers queries with series; what it cannot answer is an error, never a zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gates.observation import Series, Side, Unavailable


@dataclass(frozen=True, slots=True)
class Query:
    """One question: the text in the source's own language, for one side, over a window that ends at `end_s`.

    `text` may hold the placeholders `{side}` (canary, stable), `{version}`, `{service}` and `{window}` (a range such as
    `300s`); the source fills them. Times in unix seconds of the real clock, windows in real seconds.
    """

    metric: str
    text: str
    unit: str
    side: Side
    start_s: float
    end_s: float
    step_s: float
    variables: Mapping[str, str]


class MetricSource(Protocol):
    """Something that can be measured."""

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The series for each query, in order. An unreachable source or a refused query is an Unavailable with the
        reason, never an exception and never an empty series."""
