"""Judge a gate on what is measured now. PASS goes on, FAIL does what the plan says, not known holds."""

import time
from collections.abc import Sequence

from chrysalis.clock import utc_now
from chrysalis.errors import StepFailed
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Gate, Verify
from gates.combine import judge_one
from gates.condition import Condition
from gates.verdict import Finding, Verdict, worst
from tasks.artifacts import artifact_key, show_findings
from tasks.step import Before, Done, Waiting, log, open_wait, step_task
from tasks.waiting import linger
from tasks.workspace import Workspace

SETTLE_AT_LEAST_S = 15.0
"""Real seconds that measurements are given to come back to normal, however fast the plan's clock runs."""


def run(workspace: Workspace, planned: PlannedStep, spec: Gate, before: Before) -> Done | Waiting:
    """Judge; while not known, wait for the watch to see a verdict, and judge again. Raises StepFailed on FAIL."""
    while True:
        findings = judge(workspace, spec.conditions)
        keep(workspace, planned, findings)
        verdict = worst(findings)
        if verdict is Verdict.PASS or workspace.rollout.dry_run:
            return Done(said(findings), {"findings": [finding.as_json() for finding in findings]})
        if verdict is Verdict.FAIL and spec.on_fail == "roll_back":
            raise StepFailed(said(findings))
        wait = open_wait(workspace, planned, "gate", needed_s=None, detail={"verdict": verdict.name, "said": said(findings)})
        if not wait.is_open:
            workspace.ledger.begin_step(
                workspace.rollout.id, workspace.token, step_id=planned.id, kind="gate", detail={"before": {}}, now=utc_now()
            )
            continue
        log().info("%s waits: %s", planned.id, said(findings))
        wait = linger(workspace, wait.id, 0.0)
        if wait.is_open:
            return Waiting("gate", said(findings), wait.id)


def judge(workspace: Workspace, conditions: Sequence[Condition]) -> list[Finding]:
    """A finding per condition, on measurements taken now."""
    now = utc_now()
    measured = workspace.observe(conditions, now)
    return [
        judge_one(condition, measured.of(condition), workspace.clock.to_plan(now.timestamp())) for condition in conditions
    ]


def keep(workspace: Workspace, planned: PlannedStep, findings: Sequence[Finding]) -> None:
    """Write the findings to the ledger, and show them in the UI."""
    as_json = [finding.as_json() for finding in findings]
    workspace.ledger.record_findings(workspace.rollout.id, planned.id, findings=as_json, now=utc_now())
    show_findings(artifact_key(workspace.rollout.id, planned.id), findings, f"{planned.phase}: {planned.title}")


def said(findings: Sequence[Finding]) -> str:
    """The findings that decide, in a line: those that fail, else those not known, else all."""
    decisive = [finding for finding in findings if finding.mode.value == "block" and finding.verdict is worst(findings)]
    return f"{worst(findings).name}: " + "; ".join(finding.reason for finding in decisive)


def run_verify(workspace: Workspace, planned: PlannedStep, spec: Verify, before: Before) -> Done:
    """Judge again and again until all hold, at most `within` (plan time). Raises StepFailed.

    A dry run changed nothing that could hold: there it is judged once and shown.
    """
    if workspace.rollout.dry_run:
        findings = judge(workspace, spec.conditions)
    else:
        findings = judge_until(workspace, spec.conditions, workspace.clock.real_span_s(spec.within))
    keep(workspace, planned, findings)
    if worst(findings) is not Verdict.PASS and not workspace.rollout.dry_run:
        raise StepFailed(said(findings))
    return Done(said(findings), {"findings": [finding.as_json() for finding in findings]})


def judge_until(workspace: Workspace, conditions: Sequence[Condition], within_s: float) -> list[Finding]:
    """Judge every half second until all pass, at most `within_s` real seconds and at least as long as samples take."""
    deadline = time.monotonic() + max(within_s, SETTLE_AT_LEAST_S)
    while True:
        findings = judge(workspace, conditions)
        if worst(findings) is Verdict.PASS or time.monotonic() >= deadline:
            return findings
        time.sleep(0.5)


gate = step_task("gate", run, always=True)
verify = step_task("verify", run_verify, always=True)
