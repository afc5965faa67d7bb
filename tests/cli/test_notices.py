"""`chrysalis notices`, `ack` and `report`, as on-call sees them; no server is needed."""

import json
import sys
from pathlib import Path

import pytest

from chrysalis.cli import main
from tasks.notify import tell
from tests.tasks.conftest import TEXT, Bench, home, rollout

__all__ = ["home"]
CHANNELS = """
channels: {phone: {url: "file:${FOLDER}/phone.jsonl"}, lead: {url: "file:${FOLDER}/lead.jsonl"}}
notifications:
  routes: {page: [phone]}
  escalation: [{after: 15m, to: [lead]}]
"""


@pytest.fixture
def paged(home: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A rollout with one open page."""
    monkeypatch.setenv("FOLDER", str(home))
    bench = rollout(TEXT + CHANNELS)
    tell(bench, "page", "errors fires", "3 % > 2 %", wait_s=5)
    return bench


def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed, errors included."""
    monkeypatch.setattr(sys, "argv", ["chrysalis", *arguments])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_an_open_page_says_who_was_told_and_who_is_next(
    paged: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = say(capsys, monkeypatch, "notices")
    assert code == 0
    assert "page    [quick-1] errors fires" in shown
    assert "nobody has it, the next people are told in 1" in shown
    assert "`chrysalis ack 1 --as NAME`" in shown
    assert "phone                delivered at" in shown
    (row,) = json.loads(say(capsys, monkeypatch, "notices", "quick-1", "--json")[1])
    assert (row["rollout"], row["acknowledged_by"], row["deliveries"][0]["channel"]) == ("quick-1", None, "phone")


@pytest.mark.parametrize("target", ["1", "quick-1"])
def test_who_acknowledges_first_has_it(
    paged: Bench, target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say(capsys, monkeypatch, "ack", target, "--as", "nadia") == (0, "1: nadia has it: [quick-1] errors fires\n")
    code, shown = say(capsys, monkeypatch, "ack", target, "--as", "omar")
    assert code == 0
    assert shown.startswith("1: nadia has it already since ")
    assert "nadia has it since" in say(capsys, monkeypatch, "notices")[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ack", "99"), "the ledger has no notice 99"),
        (("ack", "nobody-1"), "the ledger has no rollout 'nobody-1'"),
        (("notices", "nobody-1"), "the ledger has no rollout 'nobody-1'"),
        (("notices", "--all"), "--all lists the notices of one rollout; name it"),
        (("report", "daily", "--since", "soon"), "since: 'soon' is not a duration"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    paged: Bench,
    arguments: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, shown = say(capsys, monkeypatch, *arguments)
    assert (code, shown.count("\n")) == (1, 1)
    assert says in shown


def test_the_summary_is_printed(paged: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, shown = say(capsys, monkeypatch, "report", "executive")
    assert code == 0
    assert shown.startswith("# Executive summary, ")
    assert "| Pages | 1 |" in shown
