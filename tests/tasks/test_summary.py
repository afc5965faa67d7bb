"""What the daily, weekly and executive summaries say of a rollout, from the ledger alone."""

from datetime import datetime, timedelta
from xml.etree import ElementTree

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import SettingsError
from chrysalis.plan.parts import Report
from tasks.course import marks, picture, weights
from tasks.notify import tell
from tasks.summarize import reaches_to, written
from tasks.summary import Kind, Section, concerned, section
from tests.tasks.conftest import NOW, TEXT, Bench, begin, rollout, with_plan
from tests.tasks.test_approve import sign, waiting

DAY = timedelta(days=1)


def told(bench: Bench, kind: Kind = "daily", *, since: datetime = NOW - DAY) -> Section:
    return section(bench, kind, since, NOW + DAY)


def found(bench: Bench, verdict: str, reason: str, *, after: timedelta = timedelta(0)) -> None:
    finding = {"name": "error rate", "verdict": verdict, "reason": reason}
    bench.ledger.record_findings(bench.rollout.id, "some.04.gate", findings=[finding], now=NOW + after)


def gate_waits(bench: Bench) -> None:
    begin(bench, "some.04.gate", "gate")
    bench.ledger.open_wait(
        bench.rollout.id, bench.token, step_id="some.04.gate", kind="gate", needed_s=None, detail={"said": "errors"}, now=NOW
    )


def test_one_that_nothing_is_wrong_with_may_go_on(bench: Bench) -> None:
    begin(bench, "some.02.set_weight", "set_weight", outcome="done", summary="weight 0 % → 30 %", percent=30)
    text = told(bench).text
    assert "**Nothing speaks against going on**" in text
    assert "some.02.set_weight done: weight 0 % → 30 %" in text
    assert "- Next: " in text


def test_what_speaks_against_going_on_is_named_with_its_reason(bench: Bench) -> None:
    gate_waits(bench)
    found(bench, "FAIL", "errors 3 % > 1 %")
    bench.ledger.request(bench.rollout.id, "pause", by="nadia", reason="lunch", now=NOW)
    tell(bench, "page", "errors fires", "", wait_s=5)
    text = told(bench).text
    assert "**Hold**: pause asked by nadia: lunch; errors 3 % > 1 %; page 1: [quick-1] errors fires" in text
    assert "- Page 1, nobody has it: [quick-1] errors fires" in text
    found(bench, "PASS", "errors 0 %", after=DAY)
    assert "errors 3 %" not in told(bench).text


def test_a_pending_sign_off_says_who_is_missing_and_who_may(bench: Bench) -> None:
    sign(waiting(bench), "dmitri")
    text = told(bench).text
    assert "waits for product_owner; who may: ada, dmitri, pia" in text
    assert "dmitri (devops_lead): approve" in text


def test_only_what_happened_since_is_told_and_nothing_new_is_no_change(bench: Bench) -> None:
    begin(bench, "some.01.set_flag", "set_flag", outcome="done", summary="configured")
    assert told(bench).changed
    later = told(bench, since=NOW + timedelta(hours=1))
    assert (later.changed, "configured" in later.text) == (False, False)


def test_the_executive_one_is_figures(bench: Bench) -> None:
    begin(bench, "some.02.set_weight", "set_weight", outcome="done", percent=30)
    at = NOW + timedelta(hours=1)
    bench.ledger.record_action(
        bench.rollout.id, None, actor="watch", action="make_safe", before={"t": 30}, after={"t": 0}, cause="errors", now=at
    )
    tell(bench, "page", "errors fires", "", wait_s=5)
    bench.ledger.acknowledge_notice(1, by="nadia", now=utc_now())
    text = told(bench, "executive").text
    assert "| Steps done | 1 of 8 |" in text
    assert "| Weight taken down | 1 times |" in text
    assert "| Pages | 1, acknowledged after 0s (median) |" in text


def test_a_plans_own_report_sets_title_audience_and_contents(bench: Bench) -> None:
    found(bench, "FAIL", "errors 3 % > 1 %")
    named = Report(title="Go/no-go", audience=("chat",), contents=("error_rate", "issues", "decision", "next week"))
    one = told(with_plan(bench, reports={"daily": named}))
    assert (one.title, one.audience) == ("Go/no-go: 0 %, pending", ("chat",))
    assert "- **error_rate**: errors 3 % > 1 % (fail, 21 Nov 12:00)" in one.text
    assert "- **issues**: errors 3 % > 1 %" in one.text
    assert "- **decision**: none yet" in one.text
    assert "- Not in the ledger, for people to tell: next week" in one.text
    assert "Go/no-go" not in told(with_plan(bench, reports={"daily": named}), "weekly").text


def test_those_that_ended_before_are_not_told_of(bench: Bench) -> None:
    bench.ledger.set_state(bench.rollout.id, bench.token, state="ended", outcome="completed", now=NOW)
    assert [one.id for one in concerned(bench.ledger, NOW - DAY)] == ["quick-1"]
    assert concerned(bench.ledger, NOW) == []


def test_all_on_one_page(bench: Bench) -> None:
    text = written("weekly", "100000d")
    assert text.startswith("# Weekly summary, ")
    assert "## quick-1: Quick 1" in text


def test_a_since_that_is_no_duration_is_refused() -> None:
    with pytest.raises(SettingsError, match="since: 'x' is not a duration"):
        reaches_to("daily", "x", NOW)
    assert reaches_to("daily", "2d", NOW) == NOW - 2 * DAY


def test_the_course_has_every_weight_and_who_changed_it(bench: Bench) -> None:
    begin(bench, "some.02.set_weight", "set_weight", outcome="done", percent=30)
    at = NOW + timedelta(hours=1)
    bench.ledger.record_action(
        bench.rollout.id, None, actor="watch", action="make_safe", before={"t": 30}, after={"t": 0}, cause="errors", now=at
    )
    assert [percent for _, percent in weights(bench)] == [0, 30, 0]
    for verdict in ("INCONCLUSIVE", "INCONCLUSIVE", "PASS"):
        found(bench, verdict, verdict)
    assert [mark.kind for mark in marks(bench)] == ["unknown", "pass", "action"]
    drawn = ElementTree.fromstring(picture(bench, NOW + DAY))  # noqa: S314 - our own output
    assert len([one for one in drawn.iter() if one.tag.endswith("circle")]) == 3


def test_a_rollout_of_a_plan_without_reports_uses_its_news_channels(home: object) -> None:
    assert told(rollout(TEXT)).audience == ()
