"""Sign-offs: who may sign, what has been signed, and the one function that every door ends in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, NotAllowed
from chrysalis.ledger import SignOff, Wait, canonical_hash
from chrysalis.ledger.records import Decision, Door
from chrysalis.people.statement import Statement
from chrysalis.plan import PlannedStep
from chrysalis.plan import steps as kinds
from chrysalis.plan.parts import Proof, SignOffRule
from gates.signoff import Rule, Seen, Signature, Tally, expired, grant, why_void
from gates.signoff import tally as tally_of
from gates.units import format_duration
from tasks.notify import tell
from tasks.permission import LONGEST_NAME, require
from tasks.proof import Offered, prove
from tasks.seen import Shown, look_again, seen, shown_findings, verdicts
from tasks.step import Before, Done, Waiting, open_wait, step_task
from tasks.workspace import Workspace

OPENED_ANEW = "opened_anew_at"
UNANSWERED = "unanswered"
"""In what was observed of the wait: everybody has signed, and the watch asks again soon for the answer that is missing."""
LONGEST_COMMENT = 2000


class Rejected(ChrysalisError):
    """Somebody who may refuse did; the rollout goes back and ends as rejected."""

    rejected = True


def run(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff, before: Before) -> Done | Waiting:
    """Done when enough people have approved what still holds. Raises Rejected when one refused."""
    tally = count(workspace, planned, spec)
    if not tally.missing and not tally.rejected_by and look_again(workspace, planned):
        tally = count(workspace, planned, spec)
    if tally.rejected_by:
        raise Rejected(f"rejected by {tally.rejected_by}: {tally.comment or 'no comment'}")
    if not tally.missing:
        return Done(f"approved by {', '.join(tally.approved_by)}")
    reason = f"{planned.title} waits for: {', '.join(tally.missing)}"
    wait = open_wait(workspace, planned, "sign_off", needed_s=None, detail={"rule": spec.rule, "reason": reason})
    if tally.unanswered:
        observed = {**(wait.observed or {}), UNANSWERED: True}
        workspace.ledger.tick_wait(wait.id, 0.0, observed=observed, now=utc_now())
    return Waiting("sign_off", reason, wait.id)


def count(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff) -> Tally:
    """Who has signed, and who is still missing. What has become void is marked so for good, and its signer is told."""
    now = seen(workspace, shown_findings(workspace, planned))
    standing = [one for one in workspace.ledger.sign_offs(workspace.rollout.id, planned.id) if one.void is None]
    tally = tally_of(
        rule_of(workspace, spec), [_signature(one) for one in standing], now, _opened_anew_at(workspace, planned.id)
    )
    reasons = dict(tally.void)
    for one in standing:
        if one.approver in reasons and workspace.ledger.void_sign_off(one, reasons[one.approver], now=utc_now()):
            title = f"{one.approver}: your sign-off of {planned.title} is void"
            key = f"{one.rollout_id}:{one.step_id}:{one.approver}:{one.at.isoformat()}"
            tell(workspace, "warning", title, f"{reasons[one.approver]}; look at it and sign again", key=key)
    return tally


def sign(
    workspace: Workspace,
    step_id: str,
    approver: str,
    *,
    decision: Decision,
    comment: str,
    door: Door,
    role: str | None = None,
    offered: Offered = None,
    shown: Shown | None = None,
    answer: str = "",
) -> SignOff:
    """Record one person's decision, in one role: nobody stands for two.

    Every door ends here. `shown` is what the signer saw, when that is not what there is now; `answer` names a form's entry.
    Raises NotAllowed when the step waits for nobody, not for this person, or the person is not proven; the audit has it.
    """
    try:
        return _sign(workspace, step_id, approver, decision, comment, door, role, offered, shown, answer)
    except NotAllowed as error:
        told = {"step": step_id, "decision": decision, "door": door, "why": str(error)}
        workspace.ledger.record_refusal(approver[:LONGEST_NAME], "sign_off", workspace.rollout.id, told, now=utc_now())
        raise


def _sign(
    workspace: Workspace,
    step_id: str,
    approver: str,
    decision: Decision,
    comment: str,
    door: Door,
    role: str | None,
    offered: Offered,
    shown: Shown | None,
    answer: str,
) -> SignOff:
    planned, spec = pending(workspace, step_id)
    if len(approver) > LONGEST_NAME or len(comment) > LONGEST_COMMENT:
        raise NotAllowed(f"a name has at most {LONGEST_NAME} characters, a comment {LONGEST_COMMENT}")
    looked_at = shown_findings(workspace, planned) if shown is None else shown
    now = utc_now()
    statement = _statement(workspace, planned, approver, decision, comment, looked_at, now)
    proof = prove(workspace, workspace.people, needed_proof(workspace, spec), statement, offered)
    _refuse_changed_plan(workspace, statement.plan)
    _refuse_late(workspace, planned, spec, decision, now)
    made = SignOff(
        rollout_id=workspace.rollout.id,
        step_id=planned.id,
        approver=approver,
        role=role or "",
        decision=decision,
        comment=comment,
        findings_hash=statement.findings,
        plan_hash=statement.plan,
        release=statement.release,
        shown=looked_at,
        door=door,
        at=now,
        proof={**proof, **({"answer": answer} if answer else {})},
    )
    stale = why_void(_signature(made), seen(workspace, shown_findings(workspace, planned)))
    if stale:
        raise NotAllowed(f"what {approver} saw is no longer so: {stale}; look again")
    return workspace.ledger.record_sign_off(made, lambda standing: _placed(workspace, planned, spec, made, standing, role))


def _placed(
    workspace: Workspace,
    planned: PlannedStep,
    spec: kinds.SignOff,
    made: SignOff,
    standing: Sequence[SignOff],
    role: str | None,
) -> SignOff:
    """The decision with its role, while nobody else can sign: of two at once for the last place, one gets it."""
    earlier = next((one for one in standing if one.approver == made.approver), None)
    if earlier is not None and _signed_at(made) <= _signed_at(earlier):
        raise NotAllowed(f"{made.approver} has decided later than this was signed; a signed text counts once")
    granted = grant(
        rule_of(workspace, spec),
        made.approver,
        roles_of=workspace.people.signers(),
        givers=[one.giver for one in workspace.ledger.delegations(made.at) if one.taker == made.approver],
        starter=workspace.rollout.started_by,
        standing=[_signature(one) for one in standing if one.void is None],
        decision=made.decision,
        role=role,
    )
    if isinstance(granted, str):
        may = may_sign(workspace, spec.rule)
        rule = workspace.plan.sign_offs[spec.rule]
        unlisted = f"it needs {', '.join(rule.roles)}; they are {', '.join(may) or 'nobody'}"
        raise NotAllowed(
            f"{made.approver!r} may not sign {planned.title!r}: {unlisted if granted == 'not listed' else granted}"
        )
    behalf = None if granted.principal == made.approver else granted.principal
    return replace(made, role=granted.role, on_behalf_of=behalf)


def _signed_at(one: SignOff) -> datetime:
    """When the person decided: by the signed text where there is one, so that an old one cannot be sent again."""
    if one.proof.get("kind") != "ssh":
        return one.at
    line = str(one.proof["text"]).rstrip("\n").rpartition("\n")[2]
    return datetime.fromisoformat(line.removeprefix("at: "))


def _refuse_changed_plan(workspace: Workspace, plan_hash: str) -> None:
    if plan_hash != workspace.rollout.plan_hash:
        raise NotAllowed(
            f"the plan of {workspace.rollout.id} in the ledger hashes to {plan_hash[:12]}, it began with "
            f"{workspace.rollout.plan_hash[:12]}: somebody changed it; abort the rollout, and see `chrysalis audit verify`"
        )


def _refuse_late(workspace: Workspace, planned: PlannedStep, spec: kinds.SignOff, decision: str, now: datetime) -> None:
    if decision == "approve" and is_expired(workspace, planned, now):
        within = format_duration(within_s(workspace.plan.sign_offs[spec.rule]) or 0.0)
        raise NotAllowed(
            f"the time to sign {planned.title!r}, {within}, is over; it holds. "
            f"`chrysalis sign-offs open {workspace.rollout.id}` opens it anew for all who must sign"
        )


def pending(workspace: Workspace, step_id: str | None = None) -> tuple[PlannedStep, kinds.SignOff]:
    """The sign-off that is waited for now. Raises NotAllowed when there is none, or another one."""
    for wait in workspace.ledger.waits(workspace.rollout.id):
        if wait.kind == "sign_off" and wait.is_open and step_id in (None, wait.step_id):
            planned = workspace.plan.step(wait.step_id)
            if isinstance(planned.spec, kinds.SignOff):
                return planned, planned.spec
    what = f"for sign-off {step_id}" if step_id else "for a sign-off"
    raise NotAllowed(f"{workspace.rollout.id} does not wait {what} now; see `chrysalis show {workspace.rollout.id}`")


def open_anew(workspace: Workspace, by: str) -> str:
    """Give a sign-off whose time is over its time again; what was signed before counts no more. Raises NotAllowed."""
    require("start", by, workspace.rollout.id)
    planned, spec = pending(workspace)
    wait = _wait(workspace, planned.id)
    now = utc_now()
    if wait is None or not is_expired(workspace, planned, now):
        raise NotAllowed(f"the time to sign {planned.title!r} is not over; there is nothing to open anew")
    kept = {name: value for name, value in (wait.observed or {}).items() if name not in ("late", "reminded")}
    observed = {**kept, OPENED_ANEW: now.isoformat()}
    workspace.ledger.tick_wait(wait.id, 0.0, observed=observed, now=now)
    told = {"step_id": planned.id, "by": by}
    workspace.ledger.record_action(
        workspace.rollout.id, None, actor=by, action="sign_off_opened_anew", before=None, after=told, cause=by, now=now
    )
    count(workspace, planned, spec)
    return planned.title


def statement_of(workspace: Workspace, approver: str, decision: Decision, comment: str) -> Statement:
    """What that person would sign now. Raises NotAllowed when nothing is waited for."""
    planned, _ = pending(workspace)
    return _statement(workspace, planned, approver, decision, comment, shown_findings(workspace, planned), utc_now())


def _statement(
    workspace: Workspace, planned: PlannedStep, by: str, decision: str, comment: str, shown: Shown, at: datetime
) -> Statement:
    bound = seen(workspace, shown)
    return Statement(
        rollout=workspace.rollout.id,
        step=planned.id,
        decision=decision,
        by=by,
        release=bound.release,
        plan=bound.plan_hash,
        findings=canonical_hash(shown),
        comment=comment,
        at=at,
    )


def needed_proof(workspace: Workspace, spec: kinds.SignOff) -> Proof:
    """How a signer of this step proves who they are: as the rule says, else as the people file does."""
    return workspace.plan.sign_offs[spec.rule].proof or workspace.people.proof


def rule_of(workspace: Workspace, spec: kinds.SignOff) -> Rule:
    """The plan's rule, as decisions see it."""
    rule = workspace.plan.sign_offs[spec.rule]
    return Rule(rule.roles, rule.quorum, rule.starter_may_sign)


def may_sign(workspace: Workspace, rule: str) -> list[str]:
    """Who may sign by that rule of the plan, those included to whom somebody delegated."""
    roles = workspace.plan.sign_offs[rule].roles
    able = {name for name, held in workspace.people.signers().items() if held & set(roles)}
    return sorted(able | {one.taker for one in workspace.ledger.delegations(utc_now()) if one.giver in able})


def is_expired(workspace: Workspace, planned: PlannedStep, now: datetime) -> bool:
    """Whether the time to sign is over. People's time is the real clock, however fast the plan's runs."""
    wait = _wait(workspace, planned.id)
    spec = planned.spec
    if wait is None or not isinstance(spec, kinds.SignOff):
        return False
    return expired(opened_at(wait), now, within_s(workspace.plan.sign_offs[spec.rule]))


def within_s(rule: SignOffRule) -> float | None:
    """The rule's time limit in seconds."""
    return None if rule.within is None else rule.within.total_seconds()


def opened_at(wait: Wait) -> datetime:
    """When the sign-off was opened, or opened anew."""
    anew = (wait.observed or {}).get(OPENED_ANEW)
    return wait.opened_at if anew is None else datetime.fromisoformat(anew)


def _opened_anew_at(workspace: Workspace, step_id: str) -> datetime | None:
    wait = _wait(workspace, step_id)
    return None if wait is None or OPENED_ANEW not in (wait.observed or {}) else opened_at(wait)


def _wait(workspace: Workspace, step_id: str) -> Wait | None:
    mine = [one for one in workspace.ledger.waits(workspace.rollout.id) if one.step_id == step_id and one.kind == "sign_off"]
    return mine[-1] if mine else None


def _signature(one: SignOff) -> Signature:
    bound = Seen(one.plan_hash, one.release, verdicts(one.shown or ()))
    return Signature(one.approver, one.principal, one.role, one.decision, one.comment, one.at, bound)


sign_off = step_task("sign_off", run)
