"""Notices: each channel for itself, tried again, never raised, always recorded."""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chrysalis.effects.notice import Notice
from chrysalis.effects.notices import channels_for, deliver, keep
from tests.metrics.servers import Reply, serving

NOTICE = Notice("page", "error rate", "3.1 % > at most 2 %", "crystal-7", "crystal-7:breach")


def test_every_channel_gets_the_notice_and_the_record_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda _: Reply(204)) as server, caplog.at_level(logging.INFO):
        addresses = {"chat": f"{server.url}/hook/secret", "file": f"file:{tmp_path / 'deep' / 'out.jsonl'}", "log": "log:"}
        found = [deliver(NOTICE, channel, address) for channel, address in addresses.items()]
        keep(tmp_path / "record.jsonl", NOTICE, found)
    assert [(one.channel, one.delivered, one.tries) for one in found] == [(name, True, 1) for name in addresses]
    (asked,) = server.asked
    posted = json.loads(asked.body)
    assert (posted["severity"], posted["rollout_id"], posted["dedupe_key"]) == ("page", "crystal-7", "crystal-7:breach")
    assert posted["text"] == "[page] error rate\n3.1 % > at most 2 %"
    assert asked.headers["idempotency-key"] == "crystal-7:breach"
    assert json.loads((tmp_path / "deep" / "out.jsonl").read_text())["title"] == "error rate"
    assert [one["delivered"] for one in json.loads((tmp_path / "record.jsonl").read_text())["deliveries"]] == [True] * 3
    assert [record.levelname for record in caplog.records if "error rate" in record.getMessage()] == ["ERROR"]


def test_a_passing_fault_is_tried_again() -> None:
    replies = iter([Reply(503), Reply(429), Reply(200)])
    with serving(lambda _: next(replies)) as server:
        assert (found := deliver(NOTICE, "chat", server.url)).delivered
    assert found.tries == 3


def test_a_refusal_is_not_tried_again_and_shows_no_secret() -> None:
    with serving(lambda _: Reply(404)) as server:
        found = deliver(NOTICE, "chat", f"{server.url}/hook/secret")
    assert (found.delivered, found.tries) == (False, 1)
    assert found.reason == "http://127.0.0.1 answered 404, expected 2xx"


def test_out_of_reach_ends_in_bounded_time_with_the_reason(closed_port: int) -> None:
    found = deliver(NOTICE, "chat", f"http://127.0.0.1:{closed_port}/secret", within_s=1)
    assert (found.delivered, found.reason) == (False, "http://127.0.0.1: ConnectError")
    assert found.tries > 1


def test_a_channel_that_does_not_answer_is_given_up_in_time() -> None:
    release = threading.Event()
    with serving(lambda _: Reply(wait=release)) as slow:
        found = deliver(NOTICE, "slow", slow.url, within_s=0.5)
        release.set()
    assert not found.delivered
    assert "no answer within" in found.reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("mailto:a@b.c", "no sender for addresses like mailto:", id="unknown scheme"),
        pytest.param("", "no sender", id="no address"),
        pytest.param("file:", "no sender", id="no path"),
        pytest.param("file:/proc/none/x", "/proc/none", id="a file that cannot be written"),
        pytest.param("http://127.0.0.1:x/", "InvalidURL", id="no URL"),
    ],
)
def test_what_cannot_be_delivered_is_a_delivery_that_says_why(address: str, reason: str) -> None:
    found = deliver(NOTICE, "chat", address)
    assert not found.delivered
    assert reason in found.reason


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: deliver(NOTICE, f"file{n}", f"file:{path}"), range(40)))
    assert all(one.delivered for one in found)
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 40


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        pytest.param("page", ("phone",), id="its own"),
        pytest.param("info", ("chat",), id="the next higher one"),
    ],
)
def test_a_severity_without_channels_takes_those_of_another(severity: str, expected: tuple[str, ...]) -> None:
    assert channels_for(severity, {"page": ("phone",), "warning": ("chat",), "info": ()}) == expected  # type: ignore[arg-type]


def test_a_page_without_channels_takes_the_next_lower_ones() -> None:
    assert channels_for("page", {"info": ("mail",), "warning": ("chat",)}) == ("chat",)
    assert channels_for("page", {}) == ()
