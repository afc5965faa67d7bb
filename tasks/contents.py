"""The contents that a plan's report asks for, from the ledger; what only people know is listed for them to tell."""

from collections.abc import Callable
from datetime import datetime

from chrysalis.plan.parts import Report
from gates.units import format_duration
from tasks.course import verdict_kind
from tasks.workspace import Workspace


def contents(workspace: Workspace, named: Report, since: datetime) -> list[str]:
    """Lines of Markdown: a line for each content, in the plan's order, then those that people have to tell."""
    measured = _measured(workspace)
    told, left = [], []
    for name in named.contents:
        facts = _FACTS.get(_plain(name))
        lines = facts(workspace, since) if facts else _found(name, measured)
        if lines:
            told += [f"- **{name}**: {'; '.join(lines)}"]
        else:
            left.append(name)
    if left:
        told.append(f"- Not in the ledger, for people to tell: {', '.join(left)}")
    return [f"### {named.title}", "", *told, ""]


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").casefold()


def _measured(workspace: Workspace) -> dict[str, str]:
    """The newest finding under each name that a condition has."""
    found: dict[str, str] = {}
    for record in workspace.ledger.findings(workspace.rollout.id):
        for one in record.findings:
            if name := _plain(str(one.get("name") or "")):
                found[name] = f"{one['reason']} ({str(one['verdict']).lower()}, {record.at:%d %b %H:%M})"
    return found


def _found(name: str, measured: dict[str, str]) -> list[str]:
    wanted = _plain(name)
    if wanted in measured:
        return [measured[wanted]]
    return [f"{one}: {said}" for one, said in measured.items() if set(wanted.split()) <= set(one.split())]


def _duration(workspace: Workspace, _: datetime) -> list[str]:
    row = workspace.rollout
    return [format_duration(round(((row.ended_at or row.updated_at) - row.started_at).total_seconds()))]


def _went_back(workspace: Workspace, _: datetime) -> list[str]:
    back = [entry for entry in workspace.ledger.journal(workspace.rollout.id) if entry.step_id == "rollback"]
    return ["none"] if not back else [f"{back[0].at:%d %b %H:%M}: {back[0].detail.get('reason') or 'asked for'}"]


def _incidents(workspace: Workspace, since: datetime) -> list[str]:
    pages = [one for one in workspace.ledger.notices(workspace.rollout.id) if one.severity == "page" and one.told_at > since]
    return [one.title for one in pages] or ["none"]


def _decided(workspace: Workspace, _: datetime) -> list[str]:
    signed = workspace.ledger.sign_offs(workspace.rollout.id)
    return [f"{one.step_id}: {one.decision} by {one.approver} at {one.at:%d %b %H:%M}" for one in signed] or ["none yet"]


def _measurements(workspace: Workspace, _: datetime) -> list[str]:
    return [f"{name}: {said}" for name, said in _measured(workspace).items()] or ["none yet"]


def _timeline(workspace: Workspace, since: datetime) -> list[str]:
    entries = [one for one in workspace.ledger.journal(workspace.rollout.id) if one.at > since and one.event != "begun"]
    return [f"{one.at:%H:%M:%S} {one.step_id} {one.event}" for one in entries] or ["nothing"]


def _actors(workspace: Workspace, since: datetime) -> list[str]:
    acted = [one for one in workspace.ledger.actions(workspace.rollout.id) if one.at > since]
    return [f"{one.actor}: {one.action}" for one in acted] or ["nobody"]


def _issues(workspace: Workspace, since: datetime) -> list[str]:
    failed = [
        one for one in workspace.ledger.findings(workspace.rollout.id) if one.at > since and verdict_kind(one) == "fail"
    ]
    newest = {one.step_id: one for one in failed}
    said = [str(one["reason"]) for record in newest.values() for one in record.findings if one["verdict"] == "FAIL"]
    pages = _incidents(workspace, since)
    return [*said, *(page for page in pages if page != "none")] or ["none"]


_FACTS: dict[str, Callable[[Workspace, datetime], list[str]]] = {
    "duration": _duration,
    "rollbacks": _went_back,
    "rollback required": _went_back,
    "trigger": _went_back,
    "incidents": _incidents,
    "alerts": _incidents,
    "issues": _issues,
    "decision": _decided,
    "decided by": _decided,
    "metrics": _measurements,
    "success metrics": _measurements,
    "measurements": _measurements,
    "timeline": _timeline,
    "who acted": _actors,
}
