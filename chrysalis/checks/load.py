"""Checks the summary that a load test wrote, one JSON object:

    {"ended_at": "2026-11-21T07:00:00Z", "users": 1000, "seconds": 300, "requests": 120000, "failures": 12,
     "client_errors": 40, "server_errors": 9, "timeouts": 3, "p50_ms": 150, "p95_ms": 320, "p99_ms": 460,
     "cpu": 0.55, "memory_growth": 0.01}

`failures`, `client_errors` (4xx), `server_errors` (5xx) and `timeouts` are numbers of requests; `cpu` and `memory_growth`
are ratios. What a bound asks about and the summary lacks is not known. Locust and k6 say all of this in their own summaries;
a line of jq turns one into this.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from chrysalis.checks.bounds import compare
from chrysalis.checks.reports import require_fresh, require_json
from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.plan.checklist import LoadResult
from gates.units import format_duration

_TIMES = ("p50", "p95", "p99")
_COUNTS = ("client_errors", "server_errors", "timeouts", "failures")
_RATIOS = ("cpu", "memory_growth")


def check_load_result(spec: LoadResult, context: Context) -> Verdict:
    """Everything the item asks, all that is wrong at once. Raises NotKnown."""
    path = context.path(spec.file)
    told = require_json(path)
    if not isinstance(told, Mapping):
        raise NotKnown(f"{path.name} is no load test summary: expected an object, found {type(told).__name__}")
    ended = _ended(told)
    require_fresh(path, [] if ended is None else [ended], spec.max_age, context.now)
    verdicts = [*_sizes(spec, told), *_bounds(spec, told)]
    wrong = [one for one in verdicts if not one.passed]
    shown = wrong or verdicts
    return Verdict(not wrong, ", ".join(one.found for one in shown), ", ".join(one.expected for one in shown))


def _sizes(spec: LoadResult, told: Mapping[str, Any]) -> list[Verdict]:
    """Users, requests and time are counted in whole, so they are told in whole."""
    asked = {"users": spec.users, "requests": spec.requests}
    sizes = [
        Verdict((found := _number(told, name)) >= limit, f"{name} {found:.0f}", f"at least {limit}")
        for name, limit in asked.items()
        if limit is not None
    ]
    if spec.lasting is not None:
        seconds = _number(told, "seconds")
        lasted, needed = format_duration(max(seconds, 0.0)), format_duration(spec.lasting)
        sizes.append(Verdict(seconds >= spec.lasting.total_seconds(), f"lasted {lasted}", f"at least {needed}"))
    return sizes


def _bounds(spec: LoadResult, told: Mapping[str, Any]) -> list[Verdict]:
    measures: list[tuple[tuple[str, ...], Callable[[str], float], str]] = [
        (_TIMES, lambda name: _number(told, f"{name}_ms"), "ms"),
        (_COUNTS, lambda name: _share(told, name), "ratio"),
        (_RATIOS, lambda name: _number(told, name), "ratio"),
    ]
    return [
        compare(name, measured(name), "below", bound, unit)
        for names, measured, unit in measures
        for name in names
        if (bound := getattr(spec, name)) is not None
    ]


def _number(told: Mapping[str, Any], name: str) -> float:
    value = told.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotKnown(f"the summary says nothing of {name}" if value is None else f"{name} is {value!r}, expected a number")
    return float(value)


def _share(told: Mapping[str, Any], name: str) -> float:
    requests = _number(told, "requests")
    if requests <= 0:
        raise NotKnown("the load test made no request, which shows nothing")
    return _number(told, name) / requests


def _ended(told: Mapping[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(told.get("ended_at")))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
