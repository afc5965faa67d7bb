"""What happened, from the ledger alone: as data for programs, as Markdown for people."""

from typing import Any

from chrysalis.ledger import Wait
from chrysalis.plan import Plan, timeline
from chrysalis.plan.steps import Gate, SetWeight, Verify
from gates.units import format_duration
from tasks import approve
from tasks.workspace import Workspace


def timeline_markdown(plan: Plan) -> str:
    """The plan's timeline in a code block, so that it keeps its columns."""
    return f"```\n{timeline(plan)}\n```"


def report(workspace: Workspace) -> dict[str, Any]:
    """Everything recorded of a rollout: phases with weights, findings and time, requests, sign-offs, actions."""
    ledger, row = workspace.ledger, workspace.rollout
    journal = ledger.journal(row.id)
    findings = ledger.findings(row.id)
    phases = []
    for name in workspace.plan.phase_names:
        mine = [entry for entry in journal if entry.step_id.startswith(f"{name}.")]
        if not mine:
            continue
        done = {entry.step_id for entry in mine if entry.event == "done"}
        weights = [
            step.spec.to
            for step in workspace.plan.itinerary
            if step.phase == name and step.id in done and isinstance(step.spec, SetWeight)
        ]
        decisive = {
            step.id for step in workspace.plan.itinerary if step.phase == name and isinstance(step.spec, Gate | Verify)
        }
        newest = {record.step_id: record.findings for record in findings if record.step_id in decisive}
        phases.append(
            {
                "name": name,
                "weights": weights,
                "findings": [finding for found in newest.values() for finding in found],
                "seconds": round((mine[-1].at - mine[0].at).total_seconds(), 3),
                "steps": [
                    {"id": entry.step_id, "event": entry.event, "at": entry.at.isoformat(), "said": _said(entry.detail)}
                    for entry in mine
                ],
            }
        )
    return {
        "id": row.id,
        "plan": row.plan_name,
        "service": row.service,
        "version": row.version,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.status_text,
        "weight_percent": row.weight_percent,
        "started_by": row.started_by,
        "started_at": row.started_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "phases": phases,
        "waits": [_waits_for(workspace, one) for one in ledger.waits(row.id) if one.is_open],
        "asked": [
            {"kind": one.kind, "by": one.by, "reason": one.reason, "at": one.created_at.isoformat()}
            for one in ledger.open_requests(row.id)
        ],
        "way_back": [
            {"id": entry.step_id, "event": entry.event, "at": entry.at.isoformat(), "said": _said(entry.detail)}
            for entry in journal
            if entry.step_id.startswith(("rollback", "undo."))
        ],
        "sign_offs": [
            {
                "step": one.step_id,
                "by": one.approver,
                "role": one.role,
                "decision": one.decision,
                "comment": one.comment,
                "at": one.at.isoformat(),
                "door": one.door,
                "on_behalf_of": one.on_behalf_of,
                "proof": one.proof.get("kind", "none"),
                "void": one.void,
            }
            for one in ledger.sign_offs(row.id)
        ],
        "actions": [
            {
                "actor": one.actor,
                "action": one.action,
                "before": one.before,
                "after": one.after,
                "cause": one.cause,
                "at": one.at.isoformat(),
            }
            for one in ledger.actions(row.id)
        ],
    }


def _waits_for(workspace: Workspace, wait: Wait) -> dict[str, Any]:
    """One open wait: for what, since when, how far; of a sign-off also who is missing and who may sign."""
    told: dict[str, Any] = {
        "step": wait.step_id,
        "kind": wait.kind,
        "reason": str(wait.detail.get("reason") or wait.detail.get("said") or ""),
        "since": wait.opened_at.isoformat(),
        "needed_s": wait.needed_s,
        "watched_s": wait.watched_s,
    }
    if wait.kind == "sign_off":
        planned, spec = approve.pending(workspace, wait.step_id)
        tally = approve.count(workspace, planned, spec)
        told |= {"missing": list(tally.missing), "may_sign": approve.may_sign(workspace, spec.rule)}
    return told


def _said(detail: Any) -> str:
    said = str(detail.get("summary") or detail.get("reason") or detail.get("does") or "")
    return f"{said} ({detail['took']})" if "took" in detail else said


def _wait_line(wait: dict[str, Any]) -> str:
    if wait["kind"] == "sign_off":
        return f"{wait['reason']}; who may: {', '.join(wait['may_sign'])}; `chrysalis approve`"
    if wait["kind"] == "soak" and wait["needed_s"]:
        return f"{wait['step']}, watched {format_duration(round(wait['watched_s']))} of {format_duration(wait['needed_s'])}"
    return f"{wait['step']}: {wait['reason'] or wait['kind']}"


def _signer(one: dict[str, Any]) -> str:
    behalf = f" for {one['on_behalf_of']}" if one["on_behalf_of"] else ""
    proof = "" if one["proof"] == "none" else f", proven by {one['proof']}"
    return f"{one['by']}{behalf} ({one['role']}{proof})"


def report_markdown(workspace: Workspace) -> str:
    """The report as people read it."""
    told = report(workspace)
    lines = [
        f"# {told['id']}: {workspace.plan.title or told['plan']} {told['version']}",
        "",
        f"**{told['outcome'] or told['state']}** at {told['weight_percent'] or 0} %: {told['reason']}",
        "",
        f"Started by {told['started_by']} at {told['started_at']}.",
    ]
    lines += [f"Waits: {_wait_line(one)}." for one in told["waits"]]
    lines += [f"Asked: {one['kind']} by {one['by']}: {one['reason']}." for one in told["asked"]]
    for phase in told["phases"]:
        weights = " → ".join(f"{weight} %" for weight in phase["weights"]) or "no weight"
        lines += ["", f"## {phase['name']}: {weights}, {format_duration(phase['seconds'])}", ""]
        lines += [f"- {finding['verdict']}: {finding['name']}: {finding['reason']}" for finding in phase["findings"]]
    if told["actions"]:
        lines += ["", "## Safe actions", ""]
        lines += [
            f"- {one['at']}: {one['actor']}: {one['action']} {one['before']} → {one['after']}: {one['cause']}"
            for one in told["actions"]
        ]
    if told["way_back"]:
        lines += ["", "## The way back", ""]
        lines += [f"- {one['at']}: {one['id']} {one['event']}: {one['said']}" for one in told["way_back"]]
    if told["sign_offs"]:
        lines += ["", "## Sign-offs", ""]
        lines += [
            f"- {one['step']}: {_signer(one)}: {one['decision']} {one['comment']}".rstrip()
            + (f" (void: {one['void']})" if one["void"] else "")
            for one in told["sign_offs"]
        ]
    return "\n".join(lines)
