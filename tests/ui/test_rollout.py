"""A person rolls out from the Prefect UI alone: run form, sign-off with wrong entries first, and what can be read there."""

import re

from tests.stack import RunningStack, until
from tests.ui.page import Page

RESUME_FORM = "Provide input to resume"


def run_form(page: Page, stack: RunningStack) -> str:
    """Open the run form of `rollout/crystal`; returns its path."""
    path = f"/v2/deployments/deployment/{stack.call('GET', '/deployments/name/rollout/crystal')['id']}/run"
    page.open(path)
    page.see("Parameters", "Submit")
    return path


def open_resume_form(page: Page, run_id: str) -> None:
    page.open(f"/v2/runs/flow-run/{run_id}")
    page.click("Open menu")
    page.click("Resume", role="menuitem")
    page.see("Approver")


def artifact(page: Page, stack: RunningStack, key: str) -> None:
    """Open the newest artifact of that key."""
    wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    page.open(f"/v2/artifacts/artifact/{stack.call('POST', '/artifacts/filter', wanted)[0]['id']}")


def test_the_run_form_says_what_its_fields_mean_and_refuses_an_empty_one(page: Page, stack: RunningStack) -> None:
    """Version, reason, dry run and speed are fields of their own kind, with a sentence each."""
    path = run_form(page, stack)
    page.see("version", "reason", "dry_run", "speed", "What is rolled out, such as 2.1.0", "Why now; it stays in the record")
    page.click("Submit")
    page.see("'version' is a required property")
    page.shot("02-run-form-refused")
    assert path in page.url


def test_a_rollout_from_the_run_form_to_its_end(page: Page, stack: RunningStack) -> None:
    """Start by the form, sign off by the form after two wrong entries, see it complete, read its artifacts."""
    run_id = start_by_the_form(page, stack)
    rollout_id = stack.rollout_of(run_id).id
    page.see_at_last("Suspended")
    page.see("crystal 2.0.0", "service:maia", "plan:crystal", "version:2.0.0")
    page.shot("03-suspended")
    sign_without_a_decision(page, stack, run_id)
    sign_without_the_right(page, stack, run_id)
    sign(page, stack, run_id)
    read_the_run(page, run_id, rollout_id)
    read_the_artifacts(page, stack, rollout_id)


def start_by_the_form(page: Page, stack: RunningStack) -> str:
    """Returns the flow run's id."""
    path = run_form(page, stack)
    for label, text in {"version": "2.0.0", "reason": "May release", "started_by": "dmitri", "speed": "3600"}.items():
        page.fill(label, text)
    page.shot("01-run-form")
    page.click("Submit")
    page.leave(path)
    page.click("View run", role="button")
    return until(lambda: re.search(r"flow-run/([0-9a-f-]{36})", page.url), "the run's page")[1]


def sign_without_a_decision(page: Page, stack: RunningStack, run_id: str) -> None:
    """The server refuses it and says why; the run stays as it was."""
    open_resume_form(page, run_id)
    page.see("Go to 100 %?", "Still needed", "error rate", "response time", "coherence", "dmitri, pia")
    page.shot("04-sign-off")
    page.fill("Approver", "pia")
    page.click("Resume")
    page.see("'decision' is a required property")
    page.shot("05-decision-missing")
    assert stack.state(run_id)[1] == "Suspended"


def sign_without_the_right(page: Page, stack: RunningStack, run_id: str) -> None:
    """The entry is well formed, so the run wakes; it refuses, and asks again with the reason."""
    rollout_id = stack.rollout_of(run_id).id
    page.choose("Decision", "approve")
    page.fill("Approver", "ravi")
    page.click_until_gone("Resume", RESUME_FORM)
    until(lambda: [one for one in stack.ledger.waits(rollout_id) if one.pauses == 2], "the form to be asked again")
    stack.wait_for(run_id, "Suspended")
    open_resume_form(page, run_id)
    page.see("Not accepted", "'ravi' may not sign", "they are dmitri, pia")
    page.shot("06-not-listed")
    assert not stack.ledger.sign_offs(rollout_id)


def sign(page: Page, stack: RunningStack, run_id: str) -> None:
    """Who may sign does, and the rollout goes on to its end."""
    page.choose("Decision", "approve")
    page.fill("Approver", "pia")
    page.fill("Comment", "Ready for all")
    page.click_until_gone("Resume", RESUME_FORM)
    stack.wait_for(run_id, "Completed")
    signed = stack.ledger.sign_offs(stack.rollout_of(run_id).id)
    assert [(one.approver, one.comment, one.door) for one in signed] == [("pia", "Ready for all", "ui")]


def read_the_run(page: Page, run_id: str, rollout_id: str) -> None:
    """The run, its phases with their tags, and its artifacts."""
    page.open(f"/v2/runs/flow-run/{run_id}?tab=SubflowRuns")
    page.see("Completed", "hybrid", "crystal", "phase:hybrid", "phase:crystal")
    page.shot("07-completed")
    page.open(f"/v2/runs/flow-run/{run_id}?tab=Artifacts")
    page.see(f"{rollout_id}-timeline", f"{rollout_id}-report")
    page.shot("08-artifacts")


def read_the_artifacts(page: Page, stack: RunningStack, rollout_id: str) -> None:
    """Timeline, findings, progress and report say what they should."""
    artifact(page, stack, f"{rollout_id}-timeline")
    page.see("Phase 1: hybrid introduction", "set weight to 30 %", "Phase 2: full Crystal mode")
    page.shot("09-timeline")
    artifact(page, stack, f"{rollout_id}-hybrid-09-gate")
    page.see("condition", "verdict", "reason", "error rate", "✓ pass", "< 500 ms")
    page.shot("10-findings")
    artifact(page, stack, f"{rollout_id}-hybrid-08-soak")
    page.see("watched 2h of 2h")
    page.shot("11-soak")
    artifact(page, stack, f"{rollout_id}-report")
    page.see("completed", "Sign-offs", "pia", "Ready for all")
    page.shot("12-report")


def test_rollouts_are_found_by_their_tag_among_the_watchs_runs(page: Page, stack: RunningStack) -> None:
    """The runs list filtered by `rollout` holds rollouts and nothing else."""
    run_id = stack.start("9.9.9", dry_run=True)
    stack.wait_for(run_id, "Suspended", "Completed", "Refused")
    page.open("/v2/runs?tags=rollout")
    page.see("crystal 9.9.9")
    page.shot("13-runs")
    assert "watch /" not in page.text
