"""Needs in plan time become questions in real time, and the answers come back in plan time."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.clock import PlanClock
from chrysalis.metrics.base import MetricSource, Query
from chrysalis.metrics.fetch import fetch
from gates.observation import Need, Observations, Selector, Series, Side, Unavailable
from tests.metrics.queries import reason, series

NOW_S = 1_700_000_000.0
NOW = datetime.fromtimestamp(NOW_S, UTC)
REAL = PlanClock(NOW_S - 3600, 1.0)


@dataclass(frozen=True)
class Metric:
    query: str | Mapping[Side, str] = "up"
    source: str = "recorder"
    unit: str = "ms"
    interval_s: float = 15.0
    sided: bool = True
    rate_window_s: float = 300.0


@dataclass
class Recorder:
    """A source that remembers what it was asked and answers with a sample at the end and one a step before."""

    min_step_s: float = 1.0
    scrape_interval_s: float = 1.0
    asked: list[list[Query]] = field(default_factory=list)

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        self.asked.append(list(queries))
        return [
            Series.of([(one.end_s - one.step_s, 1), (one.end_s, 2)], unit=one.unit, interval_s=one.step_s) for one in queries
        ]


def ask(
    *needs: Need, metric: Metric | None = None, clock: PlanClock = REAL, source: Recorder | None = None, **variables: str
) -> tuple[Observations, list[Query]]:
    recorder = source or Recorder()
    found = fetch(needs, {"p95": metric or Metric()}, {"recorder": recorder}, clock, NOW, variables=variables)
    return found, [query for call in recorder.asked for query in call]


def test_needs_of_one_series_are_one_question_over_the_largest_window() -> None:
    canary = Selector("p95", "canary")
    found, queries = ask(Need(canary, 60), Need(canary, 600), Need(canary, 120))
    assert [(query.start_s, query.end_s, query.step_s) for query in queries] == [(NOW_S - 600, NOW_S, 15)]
    assert list(found) == [canary]


def test_every_side_and_offset_is_a_question_of_its_own() -> None:
    selectors = [Selector("p95", "canary"), Selector("p95", "stable"), Selector("p95", "canary", 86400)]
    found, queries = ask(*[Need(selector, 60) for selector in selectors])
    assert [query.variables["side"] for query in queries] == ["canary", "stable", "canary"]
    assert set(found) == set(selectors)


def test_a_metric_without_sides_answers_for_whichever_is_asked() -> None:
    selectors = [Selector("p95", "canary"), Selector("p95", "stable"), Selector("p95")]
    found, queries = ask(*[Need(selector, 60) for selector in selectors], metric=Metric(sided=False))
    assert len(queries) == 1
    assert "side" not in queries[0].variables
    assert len({id(found[selector]) for selector in selectors}) == 1


def test_a_query_per_side_is_chosen_and_all_stands_in() -> None:
    metric = Metric(query={"canary": "new", "all": "both"})
    _, queries = ask(Need(Selector("p95", "canary"), 60), Need(Selector("p95", "stable"), 60), metric=metric)
    assert [query.text for query in queries] == ["new", "both"]


def test_a_side_without_a_query_is_unavailable() -> None:
    found, queries = ask(Need(Selector("p95", "stable"), 60), metric=Metric(query={"canary": "new"}))
    assert reason(found[Selector("p95", "stable")]) == "metric p95 has no query for the side stable"
    assert queries == []


@pytest.mark.parametrize(
    ("speed", "window_s", "span_s", "step_s", "window"),
    [
        pytest.param(1, 3600, 3600, 15, "300s", id="real time"),
        pytest.param(10, 3600, 360, 1.5, "30s", id="faster"),
        pytest.param(1000, 3600, 12, 1, "4s", id="no closer than the source samples, nor less than twelve"),
        pytest.param(1, 15, 15, 15, "300s", id="the newest sample alone"),
        pytest.param(40, 3600, 90, 1, "7500ms", id="a fraction of a second"),
    ],
)
def test_windows_are_scaled_to_what_can_be_measured(
    speed: float, window_s: float, span_s: float, step_s: float, window: str
) -> None:
    _, (query,) = ask(Need(Selector("p95"), window_s), clock=PlanClock(NOW_S - 60, speed))
    assert (NOW_S - query.start_s, query.step_s, query.variables["window"]) == pytest.approx((span_s, step_s, window))


def test_the_series_says_its_true_spacing_in_plan_time() -> None:
    clock = PlanClock(NOW_S - 60, 100)
    found, _ = ask(Need(Selector("p95"), 3600), clock=clock)
    assert series(found[Selector("p95")]).interval_s == 100
    assert series(found[Selector("p95")]).times_s.tolist() == [clock.to_plan(NOW_S) - 100, clock.to_plan(NOW_S)]


def test_samples_are_spread_over_a_window_that_is_too_short_in_real_time() -> None:
    clock = PlanClock(NOW_S - 60, 1000)
    found, (query,) = ask(Need(Selector("p95"), 3600), clock=clock)
    assert query.end_s - query.start_s == 12
    assert series(found[Selector("p95")]).interval_s == 3600 / 12
    assert series(found[Selector("p95")]).times_s.tolist() == [clock.to_plan(NOW_S) - 300, clock.to_plan(NOW_S)]


def test_a_series_of_some_time_ago_is_asked_then_and_aligned_with_now() -> None:
    clock = PlanClock(NOW_S - 60, 100)
    ago = Selector("p95", "canary", 86400)
    found, (query,) = ask(Need(ago, 6000), clock=clock)
    assert query.end_s == NOW_S - 864
    assert series(found[ago]).times_s.tolist() == [clock.to_plan(NOW_S) - 100, clock.to_plan(NOW_S)]


@given(st.floats(1, 1e5), st.floats(0, 6e6), st.floats(0, 1e6))
def test_no_sample_comes_to_lie_after_now(speed: float, age_s: float, offset_s: float) -> None:
    clock = PlanClock(NOW_S - age_s, speed)
    selector = Selector("p95", "canary", offset_s)
    found, _ = ask(Need(selector, 3600), clock=clock)
    np.testing.assert_array_less(series(found[selector]).times_s, np.nextafter(clock.to_plan(NOW_S), np.inf))


def test_the_version_is_the_canarys_and_never_passed_off_as_the_stable_one() -> None:
    needs = [Need(Selector("p95", side), 60) for side in ("canary", "stable")]
    _, queries = ask(*needs, service="maia", version="2.0")
    assert [query.variables.get("version") for query in queries] == ["2.0", None]
    _, queries = ask(*needs, service="maia", version="2.0", stable_version="1.9")
    assert [query.variables.get("version") for query in queries] == ["2.0", "1.9"]


@dataclass
class Broken:
    """A source with a fault of its own."""

    answers: list[Series | Unavailable] | None = None

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        if self.answers is None:
            raise RuntimeError("boom")
        return self.answers


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param(Broken(), "source other broke: RuntimeError: boom", id="it raises"),
        pytest.param(Broken([]), "source other gave 0 answers to 1 queries", id="it answers too little"),
    ],
)
def test_a_broken_source_spoils_only_its_own(broken: Broken, expected: str) -> None:
    metrics = {"p95": Metric(), "cost": Metric(source="other")}
    needs = [Need(Selector("p95"), 60), Need(Selector("cost"), 60)]
    found = fetch(needs, metrics, {"recorder": Recorder(), "other": broken}, REAL, NOW)
    assert len(series(found[Selector("p95")])) == 2
    assert reason(found[Selector("cost")]) == expected


@dataclass
class Stuck:
    """A source that does not answer until it is released."""

    release: threading.Event

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        self.release.wait()
        return [Unavailable("too late")] * len(queries)


def test_a_source_that_does_not_answer_is_not_waited_for_longer_than_the_deadline() -> None:
    release = threading.Event()
    metrics = {"p95": Metric(), "cost": Metric(source="stuck")}
    needs = [Need(Selector("p95"), 60), Need(Selector("cost"), 60)]
    sources: dict[str, MetricSource] = {"recorder": Recorder(), "stuck": Stuck(release)}
    found = fetch(needs, metrics, sources, REAL, NOW, deadline_s=0.3)
    release.set()
    assert len(series(found[Selector("p95")])) == 2
    assert reason(found[Selector("cost")]) == "source stuck: no answer within 0.3 s"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(Selector("cost"), "metric cost is not in the plan", id="unknown metric"),
        pytest.param(Selector("survey"), "its source manual cannot be asked from here", id="a source people fill"),
        pytest.param(Selector("p95", baseline="before"), "baseline before of p95 was not recorded", id="a baseline"),
    ],
)
def test_what_cannot_be_asked_is_unavailable_with_the_reason(selector: Selector, expected: str) -> None:
    metrics = {"p95": Metric(), "survey": Metric(source="manual")}
    found = fetch([Need(selector, 60)], metrics, {"recorder": Recorder()}, REAL, NOW)
    assert expected in reason(found[selector])


def test_each_source_is_asked_once_with_all_its_questions() -> None:
    recorder = Recorder()
    fetch([Need(Selector(name), 60) for name in "abc"], dict.fromkeys("abc", Metric()), {"recorder": recorder}, REAL, NOW)
    assert [len(call) for call in recorder.asked] == [3]


def test_no_needs_are_no_observations() -> None:
    assert fetch([], {}, {}, REAL, NOW) == {}


SPLIT = Selector("p95", "canary", constant_split=True)
WHOLE = Selector("p95", "canary")


def since_split(query: str, seconds_ago: float | None, *, clock: PlanClock = REAL) -> Observations:
    """Both selectors, asked over an hour of samples each second, the traffic last split so long ago."""

    class Seconds(Recorder):
        def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
            self.asked.append(list(queries))
            return [Series.of([(NOW_S - age, 1) for age in range(600)], unit="ms", interval_s=1.0) for _ in queries]

    source = Seconds()
    split_at = None if seconds_ago is None else datetime.fromtimestamp(NOW_S - seconds_ago, UTC)
    needs = [Need(SPLIT, 600), Need(WHOLE, 600)]
    found = fetch(needs, {"p95": Metric(query=query)}, {"recorder": source}, clock, NOW, split_at=split_at)
    assert len(source.asked[0]) == 1
    return found


def test_what_needs_a_constant_split_sees_nothing_from_before_the_last_change() -> None:
    found = since_split("up", 100)
    assert series(found[SPLIT]).times_s[0] == NOW_S - 99
    assert len(series(found[WHOLE])) == 600


def test_a_rate_counts_once_its_whole_window_lies_behind_the_change() -> None:
    assert series(since_split("rate(x[{window}])", 400)[SPLIT]).times_s[0] == NOW_S - 99


def test_without_a_change_all_is_seen() -> None:
    assert len(series(since_split("up", None)[SPLIT])) == 600


def test_on_a_fast_clock_it_is_cut_at_the_same_real_moment() -> None:
    found = since_split("up", 100, clock=PlanClock(NOW_S - 600, 60.0))
    assert len(series(found[SPLIT])) == 100
