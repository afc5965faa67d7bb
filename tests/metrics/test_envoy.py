"""The router's own counters, of a real Envoy in front of two real versions."""

from collections.abc import Iterator
from time import time

import pytest

from chrysalis.metrics.base import Query
from chrysalis.metrics.envoy import Counted, EnvoySource, parse
from chrysalis.sandbox.sandbox import Sandbox
from tests.metrics.queries import reason, series
from tests.metrics.servers import Reply, serving
from tests.sandbox.fixtures import new_stamp, running_sandbox, sandbox, until

ERRORS = "cluster.{side}.upstream_rq_5xx / cluster.{side}.upstream_rq_completed"
__all__ = ["running_sandbox", "sandbox"]


@pytest.fixture
def source(sandbox: Sandbox) -> Iterator[EnvoySource]:
    opened = EnvoySource(sandbox.state.urls["envoy_admin"], min_requests=10)
    yield opened
    opened.close()


def query(text: str, *, side: str = "canary", window: str = "1s", unit: str = "ratio") -> Query:
    now = time()
    return Query("errors_now", text, unit, "canary", now - 0.25, now, 0.25, {"side": side, "window": window})


def value(source: EnvoySource, asked: Query) -> float | None:
    """The newest value, None without one."""
    found = series(source.fetch([asked])[0])
    return float(found.values[-1]) if len(found) else None


def test_errors_show_as_a_ratio_within_a_few_looks(sandbox: Sandbox, source: EnvoySource) -> None:
    with sandbox.router() as router:
        router.write(50, new_stamp())
    until(lambda: value(source, query(ERRORS)) == 0.0)
    sandbox.fault("canary", error_rate=0.5)
    until(lambda: (value(source, query(ERRORS)) or 0.0) > 0.3)
    until(lambda: value(source, query(ERRORS, side="stable")) == 0.0)


def test_a_version_that_refuses_connections_counts_as_errors(sandbox: Sandbox, source: EnvoySource) -> None:
    with sandbox.router() as router:
        router.write(50, new_stamp())
    sandbox.stop_part("canary")
    try:
        until(lambda: value(source, query(ERRORS)) == 1.0)
    finally:
        sandbox.start_part("canary")


def test_without_requests_there_is_no_value(sandbox: Sandbox, source: EnvoySource) -> None:
    sandbox.set_load(rate_rps=0.0)
    until(lambda: value(source, query(ERRORS, side="stable")) is None)


def test_a_sum_of_counters_is_so_many_a_second(source: EnvoySource) -> None:
    both = "cluster.stable.upstream_rq_2xx + cluster.canary.upstream_rq_2xx"
    until(lambda: 30 < (value(source, query(both, unit="/s")) or 0) < 120)


def test_a_counter_that_envoy_does_not_know_is_no_zero(source: EnvoySource) -> None:
    found = source.fetch([query("cluster.canary.upstream_rq_5x / cluster.canary.upstream_rq_completed"), query(ERRORS)])
    assert "no counter cluster.canary.upstream_rq_5x" in reason(found[0])
    series(found[1])
    unknown = source.fetch([query("cluster.lost.upstream_rq_5xx / cluster.lost.upstream_rq_completed")])
    assert "no counter cluster.lost.upstream_rq_5xx, cluster.lost.upstream_rq_completed" in reason(unknown[0])


def test_no_sample_is_from_after_the_look_and_all_come_from_one_look(source: EnvoySource) -> None:
    until(lambda: value(source, query(ERRORS, side="stable")) is not None)
    asked = [query(ERRORS, side="stable")] * 2
    first, second = (series(one) for one in source.fetch(asked))
    assert first.times_s.tolist() == second.times_s.tolist()
    assert first.times_s[-1] == asked[0].end_s


def test_counters_that_went_back_begin_anew() -> None:
    """As after a restart of Envoy: what grew before it says nothing now."""
    totals = iter([(0, 0), (50, 100), (0, 0), (1, 100)])

    def answer() -> Reply:
        failed, asked = next(totals)
        stats = {
            "cluster.c.upstream_rq_5xx": failed,
            "cluster.c.upstream_rq_completed": asked,
            "cluster.c.membership_total": 1,
        }
        rows = ",".join(f'{{"name":"{name}","value":{count}}}' for name, count in stats.items())
        return Reply(body=f'{{"stats":[{rows}]}}'.encode())

    with serving(lambda _: answer()) as server:
        source = EnvoySource(server.url)
        text = "cluster.c.upstream_rq_5xx / cluster.c.upstream_rq_completed"
        assert value(source, query(text)) == 0.5
        assert value(source, query(text)) == 0.01
        source.close()


def test_out_of_reach_is_unavailable(closed_port: int) -> None:
    source = EnvoySource(f"http://127.0.0.1:{closed_port}")
    assert f"envoy at http://127.0.0.1:{closed_port}: did not answer within 1 s" in reason(source.fetch([query(ERRORS)])[0])
    source.close()


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("a.b", Counted(("a.b",), ())),
        ("a + b", Counted(("a", "b"), ())),
        ("a / b", Counted(("a",), ("b",))),
        ("(a + b) / (c + d)", Counted(("a", "b"), ("c", "d"))),
    ],
)
def test_what_a_query_says(text: str, counted: Counted) -> None:
    assert parse(text) == counted


@pytest.mark.parametrize("text", ["", "a / b / c", "a - b", "sum(rate(x[1m]))", "a +"])
def test_another_query_is_refused(text: str, closed_port: int) -> None:
    source = EnvoySource(f"http://127.0.0.1:{closed_port}")
    assert "query error" in reason(source.fetch([query(text)])[0])
    source.close()
