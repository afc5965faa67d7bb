"""Sign-offs: who may sign, what has been signed, and the one function that every door ends in."""

from dataclasses import dataclass

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, NotAllowed
from chrysalis.ledger import SignOff, canonical_hash
from chrysalis.ledger.records import Decision, Door
from chrysalis.plan import Plan, PlannedStep
from chrysalis.plan import steps as kinds
from chrysalis.plan.parts import SignOffRule
from tasks.artifacts import findings_markdown
from tasks.step import Before, Done, Waiting, open_wait, step_task
from tasks.workspace import Workspace


class Rejected(ChrysalisError):
    """Somebody who may refuse did; the rollout goes back and ends as rejected."""

    rejected = True


def run(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff, before: Before) -> Done | Waiting:
    """Done when enough people have approved. Raises Rejected when one refused."""
    tally = count(workspace, planned, spec)
    if tally.rejected_by:
        raise Rejected(f"rejected by {tally.rejected_by}: {tally.comment or 'no comment'}")
    if not tally.missing:
        return Done(f"approved by {', '.join(tally.approved_by)}")
    reason = f"{planned.title} waits for: {', '.join(tally.missing)}"
    wait = open_wait(workspace, planned, "sign_off", needed_s=None, detail={"rule": spec.rule, "reason": reason})
    return Waiting("sign_off", reason, wait.id)


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a sign-off stands."""

    approved_by: tuple[str, ...]
    missing: tuple[str, ...]
    rejected_by: str | None
    comment: str


def count(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff) -> Tally:
    """Who has signed, and which roles or how many people are still missing."""
    rule = workspace.plan.sign_offs[spec.rule]
    signed = workspace.ledger.sign_offs(workspace.rollout.id, planned.id)
    refused = next((one for one in signed if one.decision == "reject"), None)
    approved = tuple(one for one in signed if one.decision == "approve")
    names = tuple(one.approver for one in approved)
    if rule.quorum is not None:
        lacking = rule.quorum - len(names)
        missing = tuple(f"{lacking} more of {', '.join(rule.roles)}" for _ in range(lacking > 0))
    else:
        covered = {one.role for one in approved}
        missing = tuple(role for role in rule.roles if role not in covered)
    return Tally(names, missing, refused.approver if refused else None, refused.comment if refused else "")


def sign(
    workspace: Workspace,
    step_id: str,
    approver: str,
    *,
    decision: Decision,
    comment: str,
    door: Door,
    role: str | None = None,
) -> SignOff:
    """Record one person's decision, in one role: nobody stands for two.

    Every door ends here. Raises NotAllowed when the step waits for nobody, or not for this person.
    """
    planned, spec = pending(workspace, step_id)
    rule = workspace.plan.sign_offs[spec.rule]
    held = _roles_of(workspace.plan, rule, approver, planned, role)
    if approver == workspace.rollout.started_by and not rule.starter_may_sign:
        raise NotAllowed(f"{approver} started {workspace.rollout.id} and may not sign {planned.title!r}; somebody else must")
    others = [one for one in workspace.ledger.sign_offs(workspace.rollout.id, planned.id) if one.approver != approver]
    covered = {one.role for one in others if one.decision == "approve"}
    sign_off = SignOff(
        rollout_id=workspace.rollout.id,
        step_id=planned.id,
        approver=approver,
        role=next((one for one in held if one not in covered), held[0]),
        decision=decision,
        comment=comment,
        findings_hash=canonical_hash(shown_findings(workspace, planned)),
        plan_hash=workspace.rollout.plan_hash,
        door=door,
        at=utc_now(),
    )
    return workspace.ledger.record_sign_off(sign_off)


def pending(workspace: Workspace, step_id: str | None = None) -> tuple[PlannedStep, kinds.SignOff]:
    """The sign-off that is waited for now. Raises NotAllowed when there is none, or another one."""
    for wait in workspace.ledger.waits(workspace.rollout.id):
        if wait.kind == "sign_off" and wait.is_open and step_id in (None, wait.step_id):
            planned = workspace.plan.step(wait.step_id)
            if isinstance(planned.spec, kinds.SignOff):
                return planned, planned.spec
    what = f"for sign-off {step_id}" if step_id else "for a sign-off"
    raise NotAllowed(f"{workspace.rollout.id} does not wait {what} now; see `chrysalis show {workspace.rollout.id}`")


def _roles_of(plan: Plan, rule: SignOffRule, approver: str, planned: PlannedStep, role: str | None) -> tuple[str, ...]:
    person = plan.people.get(approver)
    held = tuple(one for one in rule.roles if person and one in person.roles and role in (None, one))
    if not held:
        may = _listed(plan, rule)
        raise NotAllowed(
            f"{approver!r} may not sign {planned.title!r}: it needs {', '.join(rule.roles)}; they are {', '.join(may)}"
        )
    return held


def may_sign(plan: Plan, rule: str) -> list[str]:
    """Who may sign by that rule of the plan."""
    return _listed(plan, plan.sign_offs[rule])


def _listed(plan: Plan, rule: SignOffRule) -> list[str]:
    return sorted(name for name, person in plan.people.items() if set(person.roles) & set(rule.roles))


def shown_findings(workspace: Workspace, planned: PlannedStep) -> list[dict[str, object]]:
    """What a signer is shown: the newest findings of each gate of the phase so far."""
    newest: dict[str, list[dict[str, object]]] = {}
    for record in workspace.ledger.findings(workspace.rollout.id):
        if record.step_id.startswith(f"{planned.phase}.") and record.step_id < planned.id:
            newest[record.step_id] = record.findings
    return [finding for findings in newest.values() for finding in findings]


def form_text(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff, refused: str = "") -> str:
    """What stands above the form in the UI: Markdown that reads well as plain text, too."""
    tally = count(workspace, planned, spec)
    rollout = workspace.rollout
    lines = []
    if refused:
        lines += [f"**Not accepted:** {refused}.", ""]
    lines += [
        f"**{spec.question or f'May {rollout.id} go on after {planned.phase}?'}**",
        "",
        f"{workspace.plan.title or rollout.plan_name} {rollout.version} ({rollout.id}), phase {planned.phase}, "
        f"at {rollout.weight_percent or 0} % of the traffic.",
        "",
        f"Still needed: {', '.join(tally.missing)}. Signed so far: {', '.join(tally.approved_by) or 'nobody'}.",
    ]
    if spec.point_of_no_return:
        lines += ["", "**This is the point of no return:** after it, the way back is gone."]
    findings = shown_findings(workspace, planned)
    lines += ["", "You sign for these findings:", "", findings_markdown(findings)] if findings else []
    return "\n".join(lines)


sign_off = step_task("sign_off", run)
