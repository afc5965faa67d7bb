"""Queries as the fetcher makes them, with what a test does not care about filled in."""

from time import time

from chrysalis.metrics.base import Query
from gates.observation import Series, Side, Unavailable


def query(text: str, *, end_s: float | None = None, span_s: float = 1.0, unit: str = "ratio", **variables: str) -> Query:
    """One sample, of now, unless a longer span is asked for."""
    end = time() if end_s is None else end_s
    side: Side = "canary" if variables.get("side") == "canary" else "all"
    return Query("a_metric", text, unit, side, end - span_s, end, 1.0, variables)


def series(answer: Series | Unavailable) -> Series:
    """The answer, which has to be a series."""
    assert isinstance(answer, Series), answer
    return answer


def reason(answer: Series | Unavailable) -> str:
    """Why there is no series, which has to be so."""
    assert isinstance(answer, Unavailable), answer
    return answer.reason
