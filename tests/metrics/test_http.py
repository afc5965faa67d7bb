"""HttpSource against a real loopback server."""

import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from chrysalis.metrics.http import HttpSource
from tests.metrics.queries import query, reason, series
from tests.metrics.servers import Asked, LoopbackServer, Reply, serving

DOCUMENT = {
    "coherence": {"now": 0.7, "by side": {"canary": 0.6}},
    "weather": "flowing",
    "unknown": None,
    "history": [[20, 2], [10, 1], [30, None]],
    "weathers": [[10, "still"], [20, "flowing"]],
    "list": [1, 2],
}


def answer(asked: Asked) -> Reply:
    match asked.path:
        case "/metrics" | "/metrics?side=a%26b":
            return Reply(200, json.dumps(DOCUMENT).encode())
        case "/number":
            return Reply(200, b"5")
        case "/broken":
            return Reply(200, b"<html>")
        case "/moved":
            return Reply(302, headers={"Location": "/metrics"})
        case "/down":
            return Reply(503)
    return Reply(404)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with serving(answer) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("/metrics#/coherence/now", 0.7, id="pointer"),
        pytest.param("/metrics#/coherence/by%20side/canary", 0.6, id="escaped pointer"),
        pytest.param("/number", 5.0, id="the whole document"),
    ],
)
def test_a_number_is_as_of_the_end(server: LoopbackServer, text: str, value: float) -> None:
    found = series(HttpSource(server.url).fetch([query(text, end_s=50)])[0])
    assert (found.times_s.tolist(), found.values.tolist()) == ([50], [value])


def test_null_is_a_sample_without_a_value(server: LoopbackServer) -> None:
    assert np.isnan(series(HttpSource(server.url).fetch([query("/metrics#/unknown")])[0]).values).tolist() == [True]


def test_a_history_is_a_list_of_pairs(server: LoopbackServer) -> None:
    found = series(HttpSource(server.url).fetch([query("/metrics#/history")])[0])
    assert found.times_s.tolist() == [10, 20, 30]
    np.testing.assert_array_equal(found.values, [1, 2, np.nan])


def test_words_are_labels_where_the_unit_is_category(server: LoopbackServer) -> None:
    one, many = HttpSource(server.url).fetch(
        [query("/metrics#/weather", unit="category"), query("/metrics#/weathers", unit="category")]
    )
    assert (series(one).labels, series(many).labels) == (("flowing",), ("still", "flowing"))


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        pytest.param("/metrics#/coherence/then", "ratio", "nothing at '/coherence/then' of /metrics", id="no such field"),
        pytest.param("/metrics#coherence", "ratio", "nothing at 'coherence'", id="no pointer"),
        pytest.param("/metrics#/weather", "ratio", "found 'flowing', expected a number", id="a word"),
        pytest.param("/number", "category", "found 5, expected a word", id="a number"),
        pytest.param("/metrics#/list", "ratio", "expected [unix seconds, value] pairs", id="a plain list"),
        pytest.param("/metrics#/coherence", "ratio", "expected a number", id="an object"),
        pytest.param("/nowhere", "ratio", "query error: GET /nowhere answered 404", id="no such path"),
        pytest.param("/moved", "ratio", "answered 302, expected 200", id="a redirect is not followed"),
        pytest.param("/down", "ratio", "answered 503, expected 200", id="down"),
        pytest.param("/broken", "ratio", "no JSON", id="no JSON"),
        pytest.param("http://127.0.0.1:1/", "ratio", "expected a path that begins with /", id="another server"),
        pytest.param("/metrics?side={side}", "ratio", "{side} has no value here", id="not sided"),
    ],
)
def test_what_is_no_number_or_word_says_so(server: LoopbackServer, text: str, unit: str, expected: str) -> None:
    assert expected in reason(HttpSource(server.url).fetch([query(text, unit=unit)])[0])


def test_a_document_that_several_share_is_asked_for_once(server: LoopbackServer) -> None:
    answers = HttpSource(server.url).fetch([query("/metrics#/coherence/now"), query("/metrics#/gone"), query("/number")])
    assert [len(series(answers[0])), len(series(answers[2]))] == [1, 1]
    assert sorted(one.path for one in server.asked) == ["/metrics", "/number"]


def test_a_variable_is_escaped_into_the_path(server: LoopbackServer) -> None:
    assert len(series(HttpSource(server.url).fetch([query("/metrics?side={side}#/coherence/now", side="a&b")])[0])) == 1


def test_out_of_reach_is_unavailable_and_shows_no_password(closed_port: int) -> None:
    said = reason(HttpSource(f"http://me:hunter2@127.0.0.1:{closed_port}").fetch([query("/")])[0])
    assert "cannot be reached" in said
    assert "hunter2" not in said


def test_an_answer_that_does_not_come_is_unavailable() -> None:
    release = threading.Event()
    with serving(lambda _: Reply(wait=release)) as slow:
        assert "no answer within 0.1 s" in reason(HttpSource(slow.url, timeout_s=0.1).fetch([query("/")])[0])
        release.set()


def test_nothing_asked_is_nothing_answered(server: LoopbackServer) -> None:
    assert HttpSource(server.url).fetch([]) == []
