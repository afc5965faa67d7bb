"""A real load test by locust against a server on loopback: what is counted, what fails, and that nothing is rounded away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chrysalis.effects.load_test import Load, LoadResult, run_load
from chrysalis.errors import StepFailed
from chrysalis.plan.steps import LoadTest
from gates.verdict import Verdict, worst
from tasks.load_test import judge
from tests.metrics.servers import Asked, Reply, serving


def small(url: str, **given: Any) -> Load:
    return Load(**{"url": url, "users": 3, "duration_s": 1.0, "pause_at_least_s": 0.02, "pause_at_most_s": 0.03, **given})


@contextmanager
def voice() -> Iterator[str]:
    """Answers as the service does: one header and a body."""

    def reply(asked: Asked) -> Reply:
        headers = {"x-orchestrator": "spiralogic"}
        match asked.path:
            case "/broken":
                return Reply(status=500, headers=headers)
            case "/moved":
                return Reply(status=302, headers={"Location": "/elsewhere"})
            case _:
                return Reply(body=b'{"message": "hello"}', headers=headers)

    with serving(reply) as server:
        yield server.url


def test_every_request_is_counted_and_bodies_are_posted() -> None:
    """As many as the server saw; with all of the bodies that the plan names."""
    said = threading.Lock()
    seen: list[bytes] = []

    def reply(asked: Asked) -> Reply:
        with said:
            seen.append(asked.body)
        return Reply(body=b"{}")

    with serving(reply) as server:
        result = run_load(small(server.url + "/chat", bodies=({"element": "air"}, {"element": "fire"})))
    assert {bytes(body) for body in seen} == {b'{"element": "air"}', b'{"element": "fire"}'}
    assert len(seen) - 3 <= result.requests <= len(seen)
    assert (result.failed, result.first_token_p95_ms) == (0, None)
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms


@pytest.mark.parametrize(
    ("path", "expected", "why"),
    [
        ("/broken", {}, "status 500, expected 200"),
        ("/moved", {}, "status 302, expected 200"),
        (
            "/fine",
            {"expect_headers": {"X-Orchestrator": "^baseline$"}},
            "header x-orchestrator is 'spiralogic', expected ^baseline$",
        ),
        ("/fine", {"contains": "goodbye"}, "the body does not contain 'goodbye'"),
    ],
)
def test_what_is_not_as_expected_is_a_failure_with_its_reason(path: str, expected: dict[str, Any], why: str) -> None:
    """Every request of them."""
    with voice() as url:
        result = run_load(small(url + path, **expected))
    assert result.failure_ratio == 1
    assert list(result.failures) == [why]


def test_what_is_under_way_at_once_is_counted() -> None:
    """The server answers nobody before all three asked."""
    all_of_them = threading.Barrier(3)

    def reply(_: Asked) -> Reply:
        all_of_them.wait(20)
        return Reply(body=b"{}")

    with serving(reply) as server:
        result = run_load(small(server.url, ramp_s=0.5, pause_at_least_s=60.0, pause_at_most_s=60.0))
    assert (result.requests, result.failed, result.most_at_once) == (3, 0, 3)


def test_users_come_one_after_the_other() -> None:
    """Of three users, who come over as many minutes, the first alone is there in two seconds."""
    with voice() as url:
        result = run_load(small(url, ramp_s=180.0, timeout_s=1.0, pause_at_least_s=60.0, pause_at_most_s=60.0))
    assert result.requests == 1


def test_nobody_listens(closed_port: int) -> None:
    """Each try is a failure, and the test ends in time."""
    result = run_load(small(f"http://127.0.0.1:{closed_port}/"))
    assert result.failure_ratio == 1
    assert "no answer" in next(iter(result.failures))


class Talker(BaseHTTPRequestHandler):
    """An event stream whose second event comes a good while after the first."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in (b": open\n\n", b"data: first\n\n", b"data: second\n\n"):
            if b"second" in event:
                self.server.pause.wait(0.4)  # type: ignore[attr-defined]
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    protocol_version = "HTTP/1.1"


def test_the_first_token_of_an_event_stream_is_timed_when_it_comes() -> None:
    """Not when the stream ends; and a comment is no token."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talker)
    server.pause = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        result = run_load(small(f"http://127.0.0.1:{server.server_address[1]}/stream"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert result.failed == 0
    assert result.first_token_p95_ms is not None
    assert 0 < result.first_token_p95_ms < result.p50_ms
    assert result.p50_ms >= 400


class Dripper(BaseHTTPRequestHandler):
    """An event stream that does not end by itself."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(OSError):
            while not self.server.over.wait(0.1):  # type: ignore[attr-defined]
                self.wfile.write(b": wait\n\n")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_what_the_end_cuts_off_is_a_failure() -> None:
    """An answer that goes on and on is not forgotten."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripper)
    server.over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        result = run_load(small(f"http://127.0.0.1:{server.server_address[1]}/", ramp_s=0.5, timeout_s=0.5))
    finally:
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()
    assert (result.requests, dict(result.failures)) == (3, {"no whole answer within 0.5 s": 3})


def test_a_user_that_cannot_be_is_told() -> None:
    with pytest.raises(StepFailed, match="exit code 1"):
        run_load(small("http://127.0.0.1:1/", expect_headers={"x": "("}))


def result(**changes: Any) -> LoadResult:
    given = {
        "p50_ms": 100.0,
        "p95_ms": 704.0,
        "p99_ms": 900.0,
        "first_token_p95_ms": None,
        "failures": {},
        "most_at_once": 10,
        **changes,
    }
    return LoadResult(requests=1000, failed=10, seconds=10.0, **given)


@pytest.mark.parametrize(
    ("limits", "verdict", "reason"),
    [
        ({"p95": "700ms"}, Verdict.FAIL, "p95 704 ms > 700 ms"),
        ({"p95": "0.704s"}, Verdict.PASS, "p95 704 ms <= 704 ms"),
        ({"failures": "1%"}, Verdict.PASS, "failures 1 % <= 1 %"),
        ({"failures": "0.9%"}, Verdict.FAIL, "failures 1 % > 0.9 %"),
        ({"first_token": "800ms"}, Verdict.INCONCLUSIVE, "first token p95: no event stream came back, nothing was measured"),
    ],
)
def test_thresholds_are_kept_exactly(limits: dict[str, str], verdict: Verdict, reason: str) -> None:
    """What was not measured does not pass."""
    spec = LoadTest.model_validate({"url": "http://x", "users": 1, "duration": "1s", **limits})
    findings = list(judge(spec, result()))
    assert worst(findings) is verdict
    assert [finding.reason for finding in findings] == [reason]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "without a threshold cannot fail"),
        ({"p95": "1%"}, "p95 is 1%, expected a time"),
        ({"failures": "3ms"}, "failures is 3ms, expected a share"),
        ({"p95": "1s", "pause_at_least": "2s", "pause_at_most": "1s"}, "pause_at_most is less"),
        ({"p95": "1s", "ramp": "2s"}, "ramp must be more than 0s and at most the duration"),
        ({"p95": "1s", "ramp": "0s"}, "ramp must be more than 0s and at most the duration"),
    ],
)
def test_a_load_test_that_makes_no_sense_is_refused(fields: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LoadTest.model_validate({"url": "http://x", "users": 1, "duration": "1s", **fields})
