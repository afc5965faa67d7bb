"""PrometheusSource against a real Prometheus, and against servers that behave as Prometheus does on a bad day."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from time import time

import numpy as np
import pytest

from chrysalis.errors import SourceUnavailable
from chrysalis.metrics.base import Query
from chrysalis.metrics.prometheus import PrometheusSource
from tests.metrics.queries import query, reason, series
from tests.metrics.servers import Reply, serving

EMPTY = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
ONE = pytest.mark.parametrize("span_s", [pytest.param(1.0, id="one sample"), pytest.param(60.0, id="a window")])


@pytest.fixture
def source(prometheus_url: str) -> Iterator[PrometheusSource]:
    opened = PrometheusSource(prometheus_url, scrape_interval_s=0.2)
    yield opened
    opened.close()


def test_one_sample_is_as_of_the_end_of_the_window(source: PrometheusSource) -> None:
    end_s = time()
    text = 'coherence_ratio{service="{service}",side="{side}"}'
    found = series(source.fetch([query(text, end_s=end_s, service="maia", side="canary")])[0])
    assert found.values.tolist() == [0.75]
    assert end_s - 0.0011 <= found.times_s[0] <= end_s


def test_a_window_has_a_sample_at_its_end_and_at_each_step_before(source: PrometheusSource) -> None:
    end_s = 1_700_000_000.1239
    found = series(source.fetch([query("vector(7)", end_s=end_s, span_s=10)])[0])
    np.testing.assert_allclose(found.times_s, 1_700_000_000.123 - np.arange(9, -1, -1), atol=1e-6)
    assert found.window(start_s=end_s - 10, end_s=end_s).times_s.size == 10


def test_more_points_than_prometheus_answers_at_once_come_in_pages(source: PrometheusSource) -> None:
    found = series(source.fetch([query("time()", end_s=1_700_000_000, span_s=25_000)])[0])
    assert len(found) == 25_000
    np.testing.assert_array_equal(np.diff(found.times_s), 1)
    np.testing.assert_array_equal(found.values, found.times_s)


@ONE
def test_nan_stays_a_sample_without_a_value(source: PrometheusSource, span_s: float) -> None:
    found = series(source.fetch([query("undefined_ratio", span_s=span_s)])[0])
    assert len(found) >= 1
    assert np.isnan(found.values).all()


@ONE
def test_a_metric_that_does_not_exist_is_no_data(source: PrometheusSource, span_s: float) -> None:
    assert len(series(source.fetch([query("no_such_metric", span_s=span_s)])[0])) == 0


@ONE
def test_several_series_are_refused(source: PrometheusSource, span_s: float) -> None:
    said = reason(source.fetch([query("coherence_ratio", span_s=span_s)])[0])
    assert "query error: 3 series where one is expected; they differ in service, side" in said


@ONE
def test_bad_promql_says_what_prometheus_said(source: PrometheusSource, span_s: float) -> None:
    assert "query error: " in (said := reason(source.fetch([query("sum(", span_s=span_s)])[0]))
    assert "parse error" in said


def test_a_placeholder_without_a_value_asks_nothing(source: PrometheusSource) -> None:
    said = reason(source.fetch([query('up{version="{version}"}', side="canary")])[0])
    assert "{version} has no value here; those with one: side" in said


def test_a_value_cannot_end_the_string_it_stands_in(source: PrometheusSource) -> None:
    found = source.fetch([query('coherence_ratio{side="{side}"}', side='x"} or vector(1) or up{a="')])
    assert len(series(found[0])) == 0


def test_a_wrong_query_leaves_the_others_alone(source: PrometheusSource) -> None:
    wrong, right, many = source.fetch([query("sum("), query("vector(3)"), query("coherence_ratio")])
    assert series(right).values.tolist() == [3]
    assert "parse error" in reason(wrong)
    assert "3 series" in reason(many)


def test_the_connection_check_tells_prometheus_from_nothing(source: PrometheusSource, closed_port: int) -> None:
    source.check_connection()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        PrometheusSource(f"http://127.0.0.1:{closed_port}").check_connection()


@ONE
def test_out_of_reach_is_unavailable_and_shows_no_password(span_s: float, closed_port: int) -> None:
    said = reason(PrometheusSource(f"http://me:secret@127.0.0.1:{closed_port}").fetch([query("up", span_s=span_s)])[0])
    assert f"prometheus at http://127.0.0.1:{closed_port}: cannot be reached" in said
    assert "secret" not in said


@ONE
def test_an_answer_that_does_not_come_is_unavailable(span_s: float) -> None:
    release = threading.Event()
    with serving(lambda _: Reply(wait=release)) as server:
        source = PrometheusSource(server.url, timeout_s=0.1)
        assert reason(source.fetch([query("up", span_s=span_s)])[0])
        release.set()


@ONE
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply(503, b'{"error": "starting up"}'), "answered 503: starting up", id="starting up"),
        pytest.param(Reply(200, EMPTY[:-1] + b', "warnings": ["a store is down"]}'), "a store is down", id="partial"),
        pytest.param(Reply(200, b"hello"), "no JSON|cannot be reached", id="not JSON"),
        pytest.param(Reply(200, b"{}"), "no Prometheus answer", id="other JSON"),
    ],
)
def test_less_than_an_answer_is_unavailable(span_s: float, reply: Reply, expected: str) -> None:
    with serving(lambda _: reply) as server:
        said = reason(PrometheusSource(server.url).fetch([query("up", span_s=span_s)])[0])
    assert any(one in said for one in expected.split("|"))


def test_equal_questions_are_asked_once() -> None:
    with serving(lambda _: Reply(200, EMPTY)) as server:
        asked = [query("up", end_s=100), query("up", end_s=100), query("down", end_s=100)]
        assert len(PrometheusSource(server.url).fetch(asked)) == 3
        assert len(server.asked) == 2


def test_a_connection_that_the_server_ends_is_opened_again_once() -> None:
    replies = iter([Reply(200, EMPTY), Reply(silent=True), Reply(200, EMPTY), Reply(silent=True), Reply(silent=True)])
    with serving(lambda _: next(replies)) as server:
        source = PrometheusSource(server.url)
        assert [len(series(source.fetch([query("up")])[0])) for _ in range(2)] == [0, 0]
        assert "cannot be reached" in reason(source.fetch([query("up")])[0])


def test_a_header_for_the_tenant_is_sent_on_both_ways() -> None:
    with serving(lambda _: Reply(200, EMPTY)) as server:
        source = PrometheusSource(server.url, headers={"X-Scope-OrgID": "maia"})
        source.fetch([query("up"), query("up", span_s=60)])
        assert [one.headers["x-scope-orgid"] for one in server.asked] == ["maia", "maia"]


def test_the_ticks_path_imports_neither_the_client_nor_pandas(prometheus_url: str) -> None:
    program = (
        "import sys; from chrysalis.metrics.base import Query; from chrysalis.metrics.prometheus import PrometheusSource\n"
        f"found = PrometheusSource({prometheus_url!r}).fetch([Query('m', 'vector(1)', '', 'all', 9, 10, 1, {{}})])\n"
        "assert found[0].values.tolist() == [1]\n"
        "sys.exit(' '.join(name for name in ('pandas', 'requests', 'prometheus_api_client') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_query_with_no_step_asks_for_one_sample(source: PrometheusSource) -> None:
    asked = Query("m", "vector(1)", "", "all", 100.0, 100.0, 0.0, {})
    assert len(series(source.fetch([asked])[0])) == 1
