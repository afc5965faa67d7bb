"""The form that a person fills to resume a sign-off, as the Prefect UI shows it."""

from typing import Annotated, Any, Literal, cast

from prefect.input import RunInput
from pydantic import Field, create_model

from chrysalis.clock import utc_now
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SignOff
from gates.units import format_duration
from tasks.approve import LONGEST_COMMENT, count, is_expired, may_sign, needed_proof
from tasks.artifacts import findings_markdown
from tasks.permission import LONGEST_NAME
from tasks.seen import shown_findings
from tasks.workspace import Workspace

Decision = Annotated[
    Literal["approve", "reject", "not yet"],
    Field(description="approve: it goes on. reject: it goes back and ends. not yet: it keeps waiting."),
]
Comment = Annotated[str, Field(description="Why; it stays in the record", max_length=LONGEST_COMMENT)]
Code = Annotated[str, Field(description="The six digits that your authenticator shows now; they count once", max_length=20)]
BY_SSH = "This needs an SSH signature: `chrysalis approve {id} --ssh-key FILE` on the command line."


def sign_off_form(rollout_id: str, step_id: str, refused: str) -> Any:
    """The form of one sign-off; what the signer signs for stands in its description, and is remembered as shown.

    No field is filled in beforehand: Resume pressed with nothing entered is refused by the server, with the reason.
    """
    workspace = Workspace.open(rollout_id, 0)
    planned = workspace.plan.step(step_id)
    spec = cast(SignOff, planned.spec)
    may = ", ".join(may_sign(workspace, spec.rule))
    approver = Annotated[str, Field(description=f"Your name. Who may sign: {may}", min_length=1, max_length=LONGEST_NAME)]
    fields: dict[str, Any] = {"decision": (Decision, ...), "approver": (approver, ...), "comment": (Comment, "")}
    if needed_proof(workspace, spec) in ("code", "any"):
        fields["code"] = (Code, "")
    form = create_model("SignOffForm", __base__=RunInput, **fields)
    for wait in workspace.ledger.waits(rollout_id):
        if wait.step_id == step_id and wait.is_open:
            shown = shown_findings(workspace, planned)
            workspace.ledger.keep_shown(wait.id, wait.pauses + 1, shown, now=utc_now())
    return form.with_initial_data(description=form_text(workspace, planned, spec, refused))


def form_text(workspace: Workspace, planned: PlannedStep, spec: SignOff, refused: str = "") -> str:
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
    void = [one for one in workspace.ledger.sign_offs(rollout.id, planned.id) if one.void]
    lines += [f"No longer counts: {one.approver}: {one.void}." for one in void]
    if needed_proof(workspace, spec) == "ssh":
        lines += ["", BY_SSH.format(id=rollout.id)]
    within = workspace.plan.sign_offs[spec.rule].within
    if within is not None and is_expired(workspace, planned, utc_now()):
        lines += [
            "",
            f"**The time to sign, {format_duration(within)}, is over.** It holds until "
            f"`chrysalis sign-offs open {rollout.id}`; a rejection is still taken.",
        ]
    if spec.point_of_no_return:
        lines += ["", "**This is the point of no return:** after it, the way back is gone."]
    findings = shown_findings(workspace, planned)
    lines += ["", "You sign for these findings:", "", findings_markdown(findings)] if findings else []
    return "\n".join(lines)
