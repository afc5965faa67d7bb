"""`plan check --live` against real sources: what is missing, mismeasured, or could never decide anything."""

from typing import Any

import pytest

from chrysalis.live_check import live_problems
from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.plan import Plan
from tests.metrics.servers import closed_port

SCRAPED = {"source": "prometheus", "interval": "1s"}
HISTORY = "SELECT at, ratio FROM health WHERE at > :start ORDER BY at"

Sources = dict[str, MetricSource]


def plan(metrics: dict[str, Any], *conditions: dict[str, Any], triggers: dict[str, Any] | None = None) -> Plan:
    steps: list[dict[str, Any]] = [{"gate": {"name": "fit", "all": list(conditions)}}] if conditions else [{"soak": "1m"}]
    return Plan.model_validate(
        {
            "chrysalis": 1,
            "name": "crystal",
            "service": "maia",
            "sources": {
                "prometheus": {"prometheus": {"url": "http://127.0.0.1:9"}},
                "database": {"sql": {"url": "postgresql://127.0.0.1/x"}},
                "people": {"manual": {}},
            },
            "metrics": metrics,
            "triggers": triggers or {},
            "phases": [{"name": "hybrid", "steps": steps}],
        }
    )


def found(sources: Sources, *parts: Any, **more: Any) -> list[str]:
    return [str(problem) for problem in live_problems(plan(*parts, **more), sources, {})]


LATENCY = {"latency": {**SCRAPED, "unit": "s", "query": 'latency{side="{side}"}'}}


def test_a_metric_that_is_there_in_its_unit_and_often_enough_is_no_problem(sources: Sources) -> None:
    held = {"threshold": {"metric": "latency", "at_most": "700ms", "held": "5s"}}
    history = {"history": {"source": "database", "unit": "ratio", "interval": "5m", "query": HISTORY}}
    mean = {"threshold": {"metric": "history", "at_least": "40%", "statistic": "mean", "over": "1h", "min_samples": 6}}
    assert found(sources, {**LATENCY, **history}, held, mean) == []


@pytest.mark.parametrize(
    ("query", "unit", "said"),
    [
        ('latency{side="neither"}', "s", "error: metrics.m: no data now: the query answers with nothing"),
        ("latencey", "s", "error: metrics.m: Prometheus has had no series 'latencey' in 1h"),
        ("(sum(eror_total) or vector(0)) / sum(requests_total)", "ratio", "no series 'eror_total' in 1h"),
        ("undefined", "", "error: metrics.m: no value now: its only sample is NaN"),
        ("latency", "s", "2 series where one is expected"),
        ("rate(latency", "s", "query error: "),
        ('share{side="stable"}', "ratio", "error: metrics.m: m is 37, above 1, which is no ratio; is it in %?"),
        ("minus", "ms", "error: metrics.m: m is -5, below 0, which is no ms"),
        ('only_stable{side="{side}"}', "", "warning: metrics.m: no data of canary now; right only while"),
        ("rate(requests_total{side='stable'}[{window}])", "/s", None),
    ],
)
def test_a_metric_is_asked_for_now(sources: Sources, query: str, unit: str, said: str | None) -> None:
    problems = found(sources, {"m": {**SCRAPED, "unit": unit, "query": query}})
    assert any(said in problem for problem in problems) if said else not problems, problems


def test_a_rate_over_less_than_two_samples_is_an_error(sources: Sources) -> None:
    rate = {**SCRAPED, "unit": "/s", "rate_over": "300ms", "query": "sum(rate(requests_total[{window}]))"}
    prometheus = sources["prometheus"]
    assert isinstance(prometheus, PrometheusSource)
    believed = prometheus.scrape_interval_s
    prometheus.scrape_interval_s = 0.01
    try:
        problems = found(sources, {"m": rate})
    finally:
        prometheus.scrape_interval_s = believed
    assert any("a rate needs two samples, so there would never be a value" in problem for problem in problems), problems


def test_samples_that_are_further_apart_than_said_are_counted_more_than_once(sources: Sources) -> None:
    often = {"m": {**SCRAPED, "interval": "50ms", "unit": "", "query": "minus"}}
    held = {"threshold": {"metric": "m", "at_most": 1, "held": "2s"}}
    (problem,) = found(sources, often, held)
    assert problem.startswith("warning: phases.hybrid.steps.fit.conditions[0]: m is sampled each ")
    assert "its interval says 50ms: in 2s the same sample counts " in problem


def test_one_value_as_of_now_cannot_fill_a_window(sources: Sources) -> None:
    now = {"m": {"source": "database", "unit": "ratio", "query": "SELECT avg(ratio) FROM health"}}
    held = {"threshold": {"name": "coherent", "metric": "m", "above": 0.4, "held": "10m"}}
    (problem,) = found(sources, now, held)
    assert problem.startswith("error: phases.hybrid.steps.fit.conditions[0]: coherent: m answers one value, as of now")
    assert "10m need at least 36 samples: this could never pass" in problem


@pytest.mark.parametrize(
    ("condition", "wrong"),
    [
        ({"threshold": {"metric": "m", "above": 0.4, "held": "1h"}}, True),
        ({"trend": {"metric": "m", "is": "flat", "within": "5pp", "over": "1h"}}, True),
        ({"count": {"metric": "m", "at_most": 3, "over": "1h"}}, True),
        ({"threshold": {"metric": "m", "above": 0.4, "statistic": "mean", "over": "1h", "min_samples": 20}}, True),
        ({"threshold": {"metric": "m", "above": 0.4, "statistic": "mean", "over": "1h", "min_samples": 10}}, False),
        ({"count": {"metric": "m", "above": 0.1, "over": "1h"}}, False),
    ],
)
def test_a_window_that_the_samples_never_fill_is_an_error(sources: Sources, condition: dict[str, Any], wrong: bool) -> None:
    """The table has a row each 5 min; the plan says one each minute."""
    history = {"m": {"source": "database", "unit": "ratio", "interval": "1m", "query": HISTORY}}
    problems = found(sources, history, condition)
    assert any("m is sampled each 5m: 1h hold 12 samples < at least" in problem for problem in problems) is wrong, problems


def test_a_limit_a_thousand_times_away_is_a_warning(sources: Sources) -> None:
    ms = {"latency": {**LATENCY["latency"], "unit": "ms"}}
    (problem,) = found(sources, ms, {"threshold": {"metric": "latency", "at_most": "700ms"}})
    assert "warning" in problem
    assert "latency is about 0.35 ms and its limit 700 ms: far apart; is it measured in 'ms'?" in problem


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"at_most": "150%"}, "could never fail"),
        ({"at_most": "100%"}, "could never fail"),
        ({"below": "100%"}, None),
        ({"above": "100%"}, "could never pass"),
        ({"at_least": "100%"}, None),
        ({"at_least": 0}, "could never fail"),
        ({"above": 0}, None),
        ({"below": 0}, "could never pass"),
        ({"at_most": 0}, None),
        ({"between": [0, 1]}, "could never fail"),
        ({"between": [0, 0.9]}, None),
        ({"between": [2, 3]}, "could never pass"),
        ({"above": 2, "statistic": "sum", "over": "10s"}, None),
    ],
)
def test_a_bound_outside_of_the_units_range_decides_nothing(
    sources: Sources, bound: dict[str, Any], said: str | None
) -> None:
    share = {"share": {**SCRAPED, "unit": "ratio", "query": 'share{side="canary"}'}}
    problems = found(sources, share, {"any": [{"threshold": {"metric": "share", **bound}}]})
    errors = [problem for problem in problems if "in 'ratio' it lies from 0 % to 100 %" in problem]
    assert [problem.endswith(f"so this {said}") for problem in errors] == ([True] if said else [])


@pytest.mark.parametrize(
    ("bound", "said"), [({"above": "150%"}, "could never fire"), ({"at_least": 0}, "would always fire")]
)
def test_a_trigger_that_could_never_fire_or_always_does_is_an_error(
    sources: Sources, bound: dict[str, Any], said: str
) -> None:
    share = {"share": {**SCRAPED, "unit": "ratio", "query": 'share{side="canary"}'}}
    recover = {"when": {"threshold": {"metric": "share", "at_least": 0}}}
    triggers = {"loss": {"when": {"threshold": {"metric": "share", **bound}}, "recover": recover}}
    problems = found(sources, share, triggers=triggers)
    assert problems[0].startswith("error: triggers.loss: share")
    assert problems[0].endswith(said)
    assert problems[1].startswith("error: triggers.loss.recover.when: share")
    assert problems[1].endswith("could never fail")


def test_nothing_to_compare_with_some_time_ago_is_a_warning(sources: Sources) -> None:
    compared = {"comparison": {"metric": "latency", "against": "24h ago", "at_most": "10%"}}
    assert found(sources, LATENCY, compared) == [
        "warning: metrics.latency: no data of canary 1d ago, with which it is compared"
    ]


def test_a_source_out_of_reach_is_an_error_and_what_people_enter_is_not_asked_for() -> None:
    entered = {"m": {"source": "people", "unit": "", "query": "net promoter score"}}
    with closed_port() as port:
        lost = PrometheusSource(f"http://127.0.0.1:{port}")
        problems = found({"prometheus": lost}, {**LATENCY, **entered})
        lost.close()
    assert len(problems) == 1
    assert problems[0].startswith(f"error: metrics.latency: prometheus at http://127.0.0.1:{port}: cannot be reached")


def test_a_source_that_is_not_given_is_an_error() -> None:
    (problem,) = found({}, LATENCY)
    assert "its source prometheus cannot be asked from here" in problem
