"""Smoke tests against a real loopback server."""

import json
import threading
from dataclasses import replace
from itertools import count

import pytest

from chrysalis.effects.smoke import SmokeRequest, smoke_test
from chrysalis.errors import StepFailed
from tests.metrics.servers import Asked, Reply, serving

HEALTHY = Reply(200, json.dumps({"status": "ok", "ready": True, "layers": [1, 2]}).encode(), {"X-Route": "canary; v=2"})


def said(*requests: SmokeRequest, tries: int = 1, timeout_s: float = 5.0) -> str:
    with pytest.raises(StepFailed) as failed:
        smoke_test(requests, tries=tries, timeout_s=timeout_s)
    return str(failed.value)


def test_everything_as_expected_passes() -> None:
    with serving(lambda _: HEALTHY) as server:
        request = SmokeRequest(
            server.url,
            expect_headers={"x-route": r"canary.*"},
            expect_json={"/status": "ok", "/ready": True, "/layers/1": 2.0},
            expect_contains="ready",
        )
        assert smoke_test([request, replace(request, expect_headers={"X-Route": "canary; v=2"})])[0].tries == 1


def test_method_headers_and_body_are_sent() -> None:
    with serving(lambda _: Reply(201)) as server:
        smoke_test([SmokeRequest(server.url, "POST", {"X-Canary": "on"}, {"a": 1}, expect_status=201)])
        (asked,) = server.asked
    assert (asked.method, asked.headers["x-canary"], json.loads(asked.body)) == ("POST", "on", {"a": 1})


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        pytest.param({"expect_status": 204}, "status 200, expected 204", id="status"),
        pytest.param({"expect_headers": {"x-none": "a"}}, "header x-none is missing, expected 'a'", id="no header"),
        pytest.param(
            {"expect_headers": {"x-route": "stable"}}, "header x-route is 'canary; v=2', expected 'stable'", id="header"
        ),
        pytest.param({"expect_headers": {"x-route": "can["}}, "expected 'can['", id="not a regular expression"),
        pytest.param({"expect_contains": "degraded"}, "expected it to contain 'degraded'", id="body"),
        pytest.param({"expect_json": {"/status": "down"}}, "/status is 'ok', expected 'down'", id="value"),
        pytest.param({"expect_json": {"/ready": 1}}, "/ready is True, expected 1", id="true is not 1"),
        pytest.param({"expect_json": {"/none": 1}}, "/none is missing, expected 1", id="no such field"),
        pytest.param({"expect_json": {"none": 1}}, "'none' is no JSON pointer", id="no pointer"),
    ],
)
def test_a_difference_is_shown_with_both_operands(expected: dict[str, object], message: str) -> None:
    with serving(lambda _: HEALTHY) as server:
        assert message in said(SmokeRequest(server.url, **expected))  # type: ignore[arg-type]


def test_all_failures_are_reported_at_once(closed_port: int) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(500, b"<html>") if asked.path.startswith("/b") else HEALTHY

    with serving(answer) as server:
        text = said(
            SmokeRequest(f"{server.url}/a"),
            SmokeRequest(f"{server.url}/b?token=hunter2", expect_json={"/status": "ok"}),
            SmokeRequest(f"http://127.0.0.1:{closed_port}/c"),
        )
    assert "2 of 3 requests failed" in text
    assert "/b (1 tries): status 500, expected 200 (body: <html>); body is no JSON: <html>" in text
    assert "/c (1 tries): no answer (ConnectError" in text
    assert "hunter2" not in text


def test_a_request_is_tried_again_while_it_fails() -> None:
    number = count(1)
    with serving(lambda _: Reply(200 if next(number) == 2 else 503)) as server:
        (result,) = smoke_test([SmokeRequest(server.url)], tries=3)
    assert result.tries == 2


def test_a_redirect_is_an_answer() -> None:
    with serving(lambda _: Reply(302, headers={"Location": "http://127.0.0.1:1/"})) as server:
        smoke_test([SmokeRequest(server.url, expect_status=302)])


def test_an_answer_that_does_not_come_is_a_failure() -> None:
    release = threading.Event()
    with serving(lambda _: Reply(wait=release)) as server:
        assert "no answer within 0.1 s" in said(SmokeRequest(server.url), timeout_s=0.1)
        release.set()


def test_a_test_without_requests_shows_nothing() -> None:
    assert "no requests" in said()
