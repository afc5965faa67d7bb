"""Whether an optional phase is worth it, judged once before its first step. Skipped, every step of it says why."""

from chrysalis.clock import utc_now
from chrysalis.ledger import JournalEntry
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SkipWhen
from gates.verdict import Verdict
from tasks.evaluate_gate import judge, keep
from tasks.notify import tell
from tasks.step import Before, Done, Waiting, retry_later, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: SkipWhen, before: Before) -> Done | Waiting:
    """Skip the whole phase when the condition holds; not known waits, and is judged again."""
    reason = _began_to_skip(workspace, planned)
    if reason is None:
        (finding,) = judge(workspace, [spec.condition])
        keep(workspace, planned, [finding])
        if finding.verdict is Verdict.INCONCLUSIVE and not workspace.rollout.dry_run:
            return retry_later(workspace, planned, f"not known whether to skip {planned.phase}: {finding.reason}")
        if finding.verdict is not Verdict.PASS:
            return Done(f"{planned.phase} goes on: {finding.reason}")
        reason = f"{planned.phase} is skipped: {finding.reason}"
    for step in _others(workspace, planned):
        _skip(workspace, step, reason)
    tell(workspace, "info", f"{planned.phase} is skipped", reason, key=f"{workspace.rollout.id}:{planned.id}")
    return Done(reason)


def _others(workspace: Workspace, planned: PlannedStep) -> list[PlannedStep]:
    return [step for step in workspace.plan.itinerary if step.phase == planned.phase and step.id != planned.id]


def _began_to_skip(workspace: Workspace, planned: PlannedStep) -> str | None:
    """Why an earlier process had begun to skip; a phase is skipped as a whole, whatever is measured by now."""
    found = (_newest(workspace, step) for step in _others(workspace, planned))
    return next((str(one.detail["summary"]) for one in found if one is not None and one.event == "skipped"), None)


def _skip(workspace: Workspace, step: PlannedStep, reason: str) -> None:
    newest = _newest(workspace, step)
    if newest is not None and newest.event == "skipped":
        return
    ledger, row, token = workspace.ledger, workspace.rollout, workspace.token
    ledger.begin_step(row.id, token, step_id=step.id, kind=step.kind, detail={"does": "nothing"}, now=utc_now())
    ledger.end_step(row.id, token, step_id=step.id, outcome="skipped", detail={"summary": reason}, now=utc_now())


def _newest(workspace: Workspace, step: PlannedStep) -> JournalEntry | None:
    entries = workspace.ledger.journal(workspace.rollout.id, step_id=step.id)
    return entries[-1] if entries else None


skip_when = step_task("skip_when", run, always=True)
