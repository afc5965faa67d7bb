"""What the report counts as served, lost and exposed."""

import json
from pathlib import Path
from typing import Any

import pytest

from chrysalis.sandbox.load_log import read_requests, summarise


def line(t: float, *, code: int = 200, side: str = "stable", ms: float = 10.0, header: bool = False) -> str:
    row: dict[str, Any] = {"t": t, "ms": ms, "code": code, "side": side, "version": "v1", "header": header, "error": ""}
    return json.dumps(row) + "\n"


def test_an_absent_or_empty_log_is_nothing_served_and_no_moments(tmp_path: Path) -> None:
    """Nothing is made up."""
    summary = summarise(tmp_path / "load.jsonl")
    assert (summary.served, summary.lost, summary.first_canary_error_s, summary.exposure_ms) == (0, 0, None, None)


@pytest.mark.parametrize(("code", "lost"), [(200, 0), (404, 0), (429, 0), (500, 1), (503, 1), (0, 1)])
def test_lost_is_no_answer_or_5xx(tmp_path: Path, code: int, lost: int) -> None:
    """A refusal of the client is an answer."""
    log = tmp_path / "load.jsonl"
    log.write_text(line(1, code=code))
    assert (summarise(log).served, summarise(log).lost) == (1 - lost, lost)


def test_exposure_is_from_the_first_canary_error_to_the_last_canary_request(tmp_path: Path) -> None:
    """The error counts when its answer was there, the request when it was sent; the stable side's errors do not."""
    log = tmp_path / "load.jsonl"
    rows = [
        line(0.5, code=500, side="stable"),
        line(1.0, side="canary"),
        line(2.0, code=500, side="canary", ms=100),
        line(2.4, side="canary", header=True, ms=50),
        line(3.0, side="stable"),
    ]
    log.write_text("".join(rows))
    summary = summarise(log)
    assert summary.first_canary_error_s == pytest.approx(2.1)
    assert summary.last_canary_request_s == pytest.approx(2.4)
    assert summary.last_canary_answer_s == pytest.approx(2.45)
    assert summary.exposure_ms == pytest.approx(300)
    assert summary.lost_by_side == {"stable": 1, "canary": 1}


def test_a_request_that_nobody_answered_is_of_unknown_side(tmp_path: Path) -> None:
    """It is not blamed on either."""
    log = tmp_path / "load.jsonl"
    log.write_text(line(1, code=0, side=""))
    assert summarise(log).lost_by_side == {"unknown": 1}


def test_only_the_asked_time_counts_and_rotated_files_come_first(tmp_path: Path) -> None:
    """A line still being written is left for the next reading."""
    log = tmp_path / "load.jsonl"
    (tmp_path / "load.jsonl.1").write_text(line(1) + line(2))
    log.write_text(line(3) + line(4) + line(5).rstrip("\n")[:20])
    assert [each.t for each in read_requests(log, since_s=2, until_s=3)] == [2, 3]
