"""`chrysalis audit` and `chrysalis checklist`, as somebody types them, on a ledger of their own and without any server."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from chrysalis.cli_audit import kept_by_plans
from chrysalis.settings import CHECKOUT, Settings
from tasks.workspace import open_ledger
from tests.caches import forget
from tests.desk import Desk, Said
from tests.stack import PLANS

Say = Callable[..., Said]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    monkeypatch.setenv("CHRYSALIS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHRYSALIS_LEDGER_URL", raising=False)
    monkeypatch.setenv("CHRYSALIS_PLANS", str(PLANS))
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "200")
    forget()
    yield Desk(None).say  # type: ignore[arg-type]
    open_ledger().close()
    forget()


def test_what_is_attested_counts_and_what_gives_no_answer_does_not(say: Say) -> None:
    assert "attested by dmitri" in say("checklist", "attest", "runbook", "--as", "dmitri", "--evidence", "wiki").out
    ran = say("checklist", "run", "checked", "--section", "Before", "--as", "kim", "--json")
    (page,) = ran.json
    assert ran.code == 1
    assert (page["decision"], page["items"]) == ("not yet", {"not known": 1, "passed": 1})
    shown = say("checklist", "show", "checked", "--json").json[0]
    assert [one["status"] for one in shown["results"]] == ["not known", "passed", "not known"]
    assert "no answer" in shown["results"][0]["reason"]
    assert "checked 20" in shown["results"][0]["reason"]
    said = say("checklist", "attest", "runbook", "--as", "dmitri", "--withdraw", "--evidence", "it is wrong")
    assert "takes it back" in said.out
    assert "withdrawn by dmitri" in say("checklist", "show", "checked", "--markdown").out


def test_pages_stand_alone(say: Say) -> None:
    page = say("checklist", "show", str(PLANS / "checked" / "checklist.yaml"), "--html").out
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert not any(word in page for word in ("http://", "https://", "<script", "<link", "src="))
    assert "<code>runbook</code>" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere"), "no plan 'nowhere'"),
        (("run", "../etc"), "no plan '../etc'"),
        (("run", "quick"), "names no checklist"),
        (("run", "checked", "--section", "None"), "has no section 'None'; it has: Before, After"),
        (("run", "checked", "--phase", "none"), "has no phase 'none'"),
        (("run", "steps", "--phase", "all"), "names no checklist"),
        (("run", "checked", "--list", "other"), "has no checklist 'other'"),
        (("attest", "runbok", "--as", "dmitri", "--evidence", "x"), "has an item 'runbok'"),
        (("attest", "runbook", "--as", "pia", "--evidence", "x"), "'pia' may not attest runbook"),
        (("attest", "runbook", "--as", "dmitri", "--evidence", "x", "--expires", "soon"), "--expires"),
        (("attest", "runbook", "--as", "dmitri", "--evidence", "x", "--rollout", "none-1"), "no rollout 'none-1'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(say: Say, arguments: tuple[str, ...], said: str) -> None:
    assert said in say("checklist", *arguments).error
    assert open_ledger().audit() == ()


def test_the_record_is_verified_exported_and_archived(say: Say, tmp_path: Path) -> None:
    for _ in range(3):
        say("checklist", "attest", "runbook", "--as", "dmitri", "--evidence", "wiki")
    head = say("audit", "head").out.strip()
    assert say("audit", "verify", "--head", head).out == f"whole: 3 entries, head {head}\n"
    shown = say("audit", "show", "--json").json
    assert [(one["actor"], one["action"], one["origin"].split()[0]) for one in shown] == [("dmitri", "attested", "cli")] * 3
    exported = say("audit", "export", str(tmp_path / "a.jsonl"))
    assert f"--head {head}" in exported.out
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3
    assert "nothing is older than 365d" in say("audit", "retain", str(tmp_path / "b.jsonl")).out
    retained = say("audit", "retain", str(tmp_path / "b.jsonl"), "--older-than", "1ms", "--as", "kim")
    assert "entries 1 to 3" in retained.out, retained
    verified = say("audit", "verify", "--head", head)
    assert (verified.code, "what 1 to 3 say is in the archives" in verified.out) == (0, True)
    again = say("audit", "export", str(tmp_path / "c.jsonl")).out
    assert f"--after {head}" in again
    assert json.loads((tmp_path / "c.jsonl").read_text())["actor"] == "kim"


def test_a_changed_record_is_named_and_ends_with_1(say: Say) -> None:
    say("checklist", "attest", "runbook", "--as", "dmitri", "--evidence", "wiki")
    with open_ledger()._database.exclusive() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET actor = 'eve'"))
    said = say("audit", "verify")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("audit entry 1: its content hashes to")
    assert say("audit", "verify", "--json").json["whole"] is False
    assert "expected NUMBER:HASH" in say("audit", "verify", "--head", "x").error


def test_the_record_is_kept_as_long_as_the_documents_say() -> None:
    given = Settings.load({"CHRYSALIS_PLANS": str(CHECKOUT / "deployments")})
    assert kept_by_plans(given) == timedelta(days=365)
