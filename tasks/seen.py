"""What a signer is shown, and whether it still holds: the newest findings of the phase before the sign-off."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Gate, Soak, Verify
from gates.condition import Condition
from gates.signoff import Seen
from gates.verdict import Finding, Mode, Verdict
from tasks.evaluate_gate import judge
from tasks.workspace import Workspace

Shown = list[dict[str, Any]]


def shown_findings(workspace: Workspace, planned: PlannedStep) -> Shown:
    """The newest findings of each gate of the phase so far, each with the step it belongs to."""
    return [
        {**finding, "step": step_id} for step_id, findings in _newest(workspace, planned).items() for finding in findings
    ]


def seen(workspace: Workspace, shown: Iterable[Mapping[str, Any]]) -> Seen:
    """What a decision is bound to, with the plan's hash as it is in the ledger now: not as it is said to be."""
    text = workspace.ledger.plan_text(workspace.rollout.id)
    release = workspace.ledger.get(workspace.rollout.id).version
    return Seen(hashlib.sha256(text.encode()).hexdigest(), release, verdicts(shown))


def verdicts(shown: Iterable[Mapping[str, Any]]) -> dict[str, Verdict]:
    """The worst verdict by step and name of the findings that count."""
    found: dict[str, Verdict] = {}
    for number, finding in enumerate(shown):
        if finding.get("mode", Mode.BLOCK) == Mode.BLOCK:
            name = f"{finding['step']}, {finding.get('name') or f'condition {number + 1}'}"
            found[name] = max(Verdict[str(finding["verdict"])], found.get(name, Verdict.PASS))
    return found


def shown_conditions(workspace: Workspace, planned: PlannedStep) -> list[Condition]:
    """What `look_again` judges."""
    return [one for step_id in _newest(workspace, planned) for one in _conditions(workspace.plan.step(step_id))]


def look_again(
    workspace: Workspace, planned: PlannedStep, judged: Callable[[Sequence[Condition]], Sequence[Finding]] | None = None
) -> bool:
    """Judge anew what was shown, and record what comes out differently. True when something did.

    `judged` gives a finding per condition; without it they are measured now.
    """
    changed = False
    for step_id, findings in _newest(workspace, planned).items():
        conditions = _conditions(workspace.plan.step(step_id))
        if not conditions:
            continue
        now = judge(workspace, conditions) if judged is None else judged(conditions)
        if [one.verdict.name for one in now] != [str(one["verdict"]) for one in findings]:
            as_json = [one.as_json() for one in now]
            workspace.ledger.record_findings(workspace.rollout.id, step_id, findings=as_json, now=utc_now())
            changed = True
    return changed


def _newest(workspace: Workspace, planned: PlannedStep) -> dict[str, Shown]:
    newest: dict[str, Shown] = {}
    for record in workspace.ledger.findings(workspace.rollout.id):
        if record.step_id.startswith(f"{planned.phase}.") and record.step_id < planned.id:
            newest[record.step_id] = record.findings
    return newest


def _conditions(planned: PlannedStep) -> Sequence[Condition]:
    match planned.spec:
        case Gate() | Verify():
            return planned.spec.conditions
        case Soak():
            return planned.spec.checkpoint
        case _:
            return ()
