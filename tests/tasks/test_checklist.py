"""The checklist step: checked by a machine, attested by people, decided and recorded, and waited for."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from chrysalis.checks import Result
from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, PlanError, SettingsError, StepFailed
from chrysalis.plan import PlannedStep, parse_plan
from chrysalis.plan.steps import Checklist
from gates.checklist import Decision, Status
from tasks import checklist
from tasks.checklist_page import html, markdown
from tasks.step import Done, Waiting
from tasks.waits import Glance, settle
from tasks.workspace import settings
from tests.stack import PLANS
from tests.tasks.conftest import Bench, begin, rollout

READY, AFTER = "all.01.checklist", "all.03.checklist"
TEXT = (PLANS / "checked" / "plan.yaml").read_text()


class _Health(http.server.BaseHTTPRequestHandler):
    healthy = True

    def do_GET(self) -> None:
        self.send_response(200 if type(self).healthy and self.path != "/nowhere" else 503)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def bench(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A rollout of the plan `checked`, its service healthy; Prefect out of reach, so that pictures are not made."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("CHRYSALIS_PLANS", str(PLANS))
    monkeypatch.setenv("CHRYSALIS_SUSPEND_AFTER", "10ms")
    monkeypatch.setenv("SERVICE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("PAGE", "health")
    settings.cache_clear()
    _Health.healthy = True
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        yield rollout(TEXT)
    server.shutdown()
    server.server_close()
    thread.join()


def go(bench: Bench, step_id: str = READY) -> Done | Waiting:
    planned = bench.plan.step(step_id)
    assert isinstance(planned.spec, Checklist)
    if not any(entry.step_id == step_id for entry in bench.ledger.journal(bench.rollout.id)):
        begin(bench, step_id, "checklist")
    return checklist.run(bench, planned, planned.spec, {})


def attest(bench: Bench, person: str = "dmitri", item: str = "runbook", **more: object) -> None:
    named = checklist.list_of_plan(bench.plan, "ready", bench.settings)
    given: dict[str, object] = {"evidence": "https://wiki/runbook", **more}
    checklist.attest(bench.ledger, bench.plan, named, named.checklist.item(item), person=person, **given)  # type: ignore[arg-type]


def decisions(bench: Bench) -> list[str]:
    return [one.decision for one in bench.ledger.go_no_gos(bench.rollout.id)]


def test_it_goes_when_all_is_checked_and_attested(bench: Bench) -> None:
    attest(bench)
    outcome = go(bench)
    assert isinstance(outcome, Done)
    assert outcome.summary == "go: all 2 items are settled"
    assert decisions(bench) == ["go"]


def test_it_waits_for_the_last_attestation_and_the_watch_ends_the_wait(bench: Bench) -> None:
    waiting = go(bench)
    assert isinstance(waiting, Waiting)
    assert "runbook: nobody has attested it" in waiting.reason
    assert glance(bench) == ""
    attest(bench)
    assert glance(bench) == "attested"
    assert isinstance(go(bench), Done)
    assert decisions(bench) == ["not yet", "go"]


def glance(bench: Bench, *, later: timedelta = timedelta(0)) -> str:
    """What the watch made of the wait; empty while it is open."""
    wait = next(one for one in bench.ledger.waits(bench.rollout.id) if one.step_id == READY and one.is_open)
    settle(bench.ledger, Glance(bench, wait, "", utc_now() + later), 0.0)
    return next(one.outcome for one in bench.ledger.waits(bench.rollout.id) if one.id == wait.id) or ""


def test_what_fails_holds_and_is_checked_again_after_a_while(bench: Bench) -> None:
    attest(bench)
    _Health.healthy = False
    waiting = go(bench)
    assert isinstance(waiting, Waiting)
    assert "no-go" in waiting.reason
    assert "status 503, expected 200" in waiting.reason
    assert glance(bench, later=timedelta(days=99)) == ""
    assert glance(bench, later=timedelta(days=101)) == "check again"
    _Health.healthy = True
    assert isinstance(go(bench), Done)
    assert decisions(bench) == ["no-go", "go"]


def test_one_that_takes_too_long_is_told_once_and_holds(bench: Bench, home: Path) -> None:
    text = TEXT.replace("again: 100d}", "again: 100d, within: 2d}")
    bench = replace(bench, plan=parse_plan(text, "checked").plan)
    go(bench)
    for days in (1, 3, 4):
        assert glance(bench, later=timedelta(days=days)) == ""
    told = [notice for notice in bench.ledger.notices(bench.rollout.id) if notice.severity == "page"]
    assert len(told) == 1, told
    assert "runbook" in told[0].body


def test_what_the_plan_says_goes_back_does(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGE", "nowhere")
    with pytest.raises(StepFailed, match=r"no-go: 1 of 1 items are open .* reachable: status 503, expected 200"):
        go(bench, AFTER)
    assert decisions(bench) == ["no-go"]


def test_no_answer_is_not_a_no_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service out of reach holds; it never takes a healthy release back."""
    monkeypatch.setenv("SERVICE_URL", "http://127.0.0.1:1")
    assert isinstance(go(bench, AFTER), Waiting)
    assert decisions(bench) == ["not yet"]


@pytest.mark.parametrize(
    ("person", "more", "said"),
    [
        ("pia", {}, r"'pia' may not attest runbook: it needs devops_lead; that is dmitri"),
        ("mallory", {}, "'mallory' may not attest"),
        ("Dmitri", {}, "'Dmitri' may not attest"),
        ("", {}, "may not attest"),
        ("dmitri", {"evidence": "  "}, "needs evidence"),
        ("dmitri", {"expires": timedelta(days=8)}, "at most 7 days"),
        ("dmitri", {"expires": timedelta(0)}, "more than 0"),
        ("dmitri", {"item": "health"}, "checked by a machine"),
    ],
)
def test_an_attestation_that_does_not_count_is_refused_and_not_recorded(
    bench: Bench, person: str, more: dict[str, object], said: str
) -> None:
    with pytest.raises(NotAllowed, match=said):
        attest(bench, person, **more)
    assert bench.ledger.attestations("checked/checklist.yaml") == ()


def test_what_was_attested_before_the_phase_does_not_count_where_it_has_to_be_fresh(bench: Bench) -> None:
    attest(bench)
    begin(bench, READY, "checklist")
    planned = bench.plan.step(READY)
    assert isinstance(planned.spec, Checklist)
    fresh = planned.spec.model_copy(update={"fresh": True})
    began = utc_now()
    page = look(bench, planned, since=began)
    assert (fresh.fresh, page.decision) == (True, Decision.NOT_YET)
    assert "when the phase began" in page.reason
    attest(bench)
    assert look(bench, planned, since=began).decision is Decision.GO


def look(bench: Bench, planned: PlannedStep, **more: object) -> checklist.Page:
    named = checklist.list_of_plan(bench.plan, "ready", bench.settings)
    context = checklist.checks_context(bench.settings, bench.variables, utc_now())
    items = named.checklist.items_of(["Before"])
    return checklist.look(bench.ledger, named, items, context, **more)  # type: ignore[arg-type]


def test_a_list_outside_of_the_plans_folder_is_refused(bench: Bench) -> None:
    plan = bench.plan.model_copy(update={"checklists": {"ready": "../../../etc/checklist.yaml"}})
    with pytest.raises(SettingsError, match="outside of"):
        checklist.list_of_plan(plan, "ready", bench.settings)
    with pytest.raises(SettingsError, match="has no checklist 'other'"):
        checklist.list_of_plan(plan, "other", bench.settings)
    with pytest.raises(PlanError):
        checklist.list_of_plan(bench.plan.model_copy(update={"checklists": {"x": "none.yaml"}}), "x", bench.settings)


def test_what_people_write_is_shown_and_never_rendered(bench: Bench) -> None:
    attest(bench, evidence="<script>alert(1)</script> | [x](javascript:1) **bold**")
    page = look(bench, bench.plan.step(READY))
    assert "<script>" not in html(page)
    assert "&lt;script&gt;" in html(page)
    shown = markdown(page)
    assert "\\<script\\>" in shown
    assert "\\[x\\](javascript:1) \\*\\*bold\\*\\*" in shown


def test_a_page_names_every_item_with_its_status(bench: Bench) -> None:
    named = checklist.list_of_plan(bench.plan, "ready", bench.settings)
    context = checklist.checks_context(bench.settings, {}, utc_now())
    results = {"health": Result("health", Status.FAILED, "status 503", "200", "", 0.1)}
    page = checklist.look(bench.ledger, named, named.checklist.items, context, results=results)
    assert [(one["item"], one["status"]) for one in page.as_json()["results"]] == [
        ("health", "failed"),
        ("runbook", "open"),
        ("reachable", "not known"),
    ]
    assert page.to_attest == ["runbook"]
    for text in (html(page), markdown(page)):
        assert "Before: 0 of 2" in text
        assert "status 503, expected 200" in text
        assert "no-go" in text
