"""What a check of a plan finds, and the checks that several of its parts share: names, conditions, cron expressions."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache

from cronsim import CronSim, CronSimError

from chrysalis.plan.document import Location
from chrysalis.plan.model import Plan
from chrysalis.plan.parts import EnvoySource
from gates.condition import Condition, MetricFacts
from gates.conditions import CONDITIONS
from gates.observation import Selector
from gates.trigger import Trigger

Found = tuple[Location, str]

KEY_OF = {spec: key for key, spec in CONDITIONS.items()}
_LEAP_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
"""Where looking for the next time of a cron expression begins; any fixed day serves."""


def unknown(noun: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that is not defined, with those that are."""
    return f"found {name!r}, expected a defined {noun}: {', '.join(sorted(known)) or 'none is defined'}"


def each_known(at: Location, noun: str, names: Iterable[str], known: Iterable[str]) -> Iterator[Found]:
    """A finding for each name of a list that is not defined."""
    for index, name in enumerate(names):
        if name not in known:
            yield (*at, index), unknown(noun, name, known)


def metric_facts(plan: Plan) -> Mapping[str, MetricFacts]:
    """What conditions have to fit."""
    return {
        name: MetricFacts(metric.unit, metric.interval_s, metric.sided, metric.direction)
        for name, metric in plan.metrics.items()
    }


def condition_problems(plan: Plan, at: Location, condition: Condition) -> Iterator[Found]:
    """What does not fit the plan's metrics, each at the innermost condition that says it."""
    facts = metric_facts(plan)
    for where, part in innermost(at, condition):
        for message in part.problems(facts):
            yield where, message
        for selector in sorted({need.selector for need in part.needs()}, key=str):
            if missing := _no_query(plan, selector):
                yield where, missing
        yield from ((where, message) for message in _no_history(plan, part))


def innermost(at: Location, condition: Condition) -> Iterator[tuple[Location, Condition]]:
    """The conditions that look at metrics themselves, with their places; `at` is where the whole is written."""
    where = (*at, KEY_OF[type(condition)])
    parts = getattr(condition, "of", None)
    if parts is None:
        yield where, condition
        return
    for index, part in enumerate(parts):
        yield from innermost((*where, "of", index), part)


def placed_triggers(plan: Plan) -> Iterator[tuple[Location, str, Trigger]]:
    """Every trigger with its place and name: the plan's, those of its quotas, and those of the phases."""
    for name, trigger in plan.triggers.items():
        yield ("triggers", name), name, trigger
    for quota, spec in plan.quotas.items():
        for name, trigger in spec.triggers(quota).items():
            yield ("quotas", quota), name, trigger
    for index, phase in enumerate(plan.phases):
        for field, triggers in (("triggers", phase.triggers), ("triggers_here", phase.triggers_here)):
            for name, trigger in triggers.items():
                yield ("phases", index, field, name), name, trigger


@cache
def cron_problem(text: str) -> str | None:
    """Why this is no cron expression that ever fires, in words; None when it is one."""
    wanted = "minute, hour, day of month, month and day of week, such as `0 9 * * 1`"
    if len(text.split()) != 5:
        return f"found {text!r}, expected {wanted}"
    try:
        next(CronSim(text, _LEAP_YEAR))
    except StopIteration:
        return f"found {text!r}, which never comes; expected {wanted}"
    except (CronSimError, AssertionError, ValueError) as error:
        return f"found {text!r} ({error or 'cannot be read'}), expected {wanted}"
    return None


def _no_query(plan: Plan, selector: Selector) -> str | None:
    metric = plan.metrics.get(selector.metric)
    if metric is None or isinstance(metric.query, str) or selector.baseline is not None:
        return None
    if selector.side in metric.query or "all" in metric.query:
        return None
    return f"{selector.metric}: no query for side {selector.side}, found those for {', '.join(metric.query) or 'none'}"


def _no_history(plan: Plan, condition: Condition) -> Iterator[str]:
    for selector, window_s in condition.needs():
        metric = plan.metrics.get(selector.metric)
        if metric is None or not isinstance(plan.sources.get(metric.source), EnvoySource):
            continue
        if window_s > metric.interval_s or selector.offset_s or selector.baseline is not None:
            yield (
                f"{selector.metric}: the router's counters have no history to look back on, expected its value now "
                "(a trigger's `for` is kept by the watch); for windows and baselines ask Prometheus"
            )
