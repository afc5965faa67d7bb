"""The daily, weekly and executive summary of the rollouts, from the ledger alone, as Markdown.

Where a plan has a report of that name (`daily`, `weekly`, `executive` or `executive_summary`), its title, audience and
contents are used: a content that was measured or recorded is filled in, the others are listed for people to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from chrysalis.errors import NotAllowed
from chrysalis.ledger import JournalEntry, Ledger, Rollout, ToldNotice
from chrysalis.plan.parts import Report
from gates.progress import Run
from gates.units import format_duration
from tasks import approve
from tasks.contents import contents
from tasks.course import verdict_kind, weights
from tasks.decide import decide
from tasks.workspace import Workspace

Kind = Literal["daily", "weekly", "executive"]
REACH = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "executive": timedelta(days=31)}
NAMES = {"daily": ("daily",), "weekly": ("weekly",), "executive": ("executive", "executive_summary")}
TITLES = {"daily": "Daily stand-up", "weekly": "Weekly summary", "executive": "Executive summary"}
REASON_CHARACTERS = 240
_MOST_ROLLOUTS = 10_000


@dataclass(frozen=True, slots=True)
class Section:
    """What is told of one rollout."""

    rollout_id: str
    title: str
    text: str
    audience: tuple[str, ...]
    """The plan's channels for it; empty: those of its news."""
    changed: bool
    """Whether anything happened since; where not, nobody is told."""


def concerned(ledger: Ledger, since: datetime) -> list[Rollout]:
    """The rollouts that are on, or ended since then; oldest first."""
    rows = ledger.history(_MOST_ROLLOUTS)
    return sorted((one for one in rows if one.active or (one.ended_at or since) > since), key=lambda one: one.serial)


def section(workspace: Workspace, kind: Kind, since: datetime, now: datetime) -> Section:
    """One rollout's part of the summary."""
    row = workspace.rollout
    named = next((workspace.plan.reports[name] for name in NAMES[kind] if name in workspace.plan.reports), None)
    title = f"{row.id}: {workspace.plan.title or row.plan_name} {row.version}"
    lines = [f"## {title}", "", _standing(workspace), ""]
    if kind == "executive":
        lines += _figures(workspace, since, now)
    else:
        lines += _since(workspace, since)
    lines += _open(workspace)
    if named is not None:
        lines += contents(workspace, named, since)
    said = TITLES[kind] if named is None else named.title
    return Section(
        row.id, f"{said}: {_short(workspace)}", "\n".join(lines).strip(), _audience(named), _changed(workspace, since)
    )


def document(kind: Kind, sections: Sequence[Section], since: datetime, now: datetime) -> str:
    """All of it on one page."""
    lines = [f"# {TITLES[kind]}, {now:%A %d %B %Y}", "", f"Since {since:%Y-%m-%d %H:%M} UTC, from the ledger.", ""]
    lines += [one.text + "\n" for one in sections] or ["No rollout was on."]
    return "\n".join(lines).strip() + "\n"


def _audience(named: Report | None) -> tuple[str, ...]:
    return () if named is None else named.audience


def _short(workspace: Workspace) -> str:
    row = workspace.rollout
    return f"{row.weight_percent or 0} %, {(row.outcome or row.state).replace('_', ' ')}"


def _standing(workspace: Workspace) -> str:
    row = workspace.rollout
    if not row.active:
        outcome = (row.outcome or "").replace("_", " ").capitalize()
        return f"**{outcome}** at {row.weight_percent or 0} %: {_line(row.status_text)}"
    against = _against(workspace)
    decision = "**Hold**: " + "; ".join(against) if against else "**Nothing speaks against going on**"
    return (
        f"At **{row.weight_percent or 0} %**, in {row.phase or 'no phase yet'}: {row.status_text or row.state}. {decision}."
    )


def _against(workspace: Workspace) -> list[str]:
    """What keeps a rollout from going on now, each with its reason."""
    row, ledger = workspace.rollout, workspace.ledger
    found = [f"{one.kind} asked by {one.by}: {one.reason}" for one in ledger.open_requests(row.id)]
    if row.state in ("rolling_back", "stuck"):
        found.append(f"it is {row.state.replace('_', ' ')}")
    newest = {record.step_id: record for record in ledger.findings(row.id)}
    open_steps = {wait.step_id for wait in ledger.waits(row.id) if wait.is_open}
    for step_id, record in newest.items():
        if step_id in open_steps and verdict_kind(record) != "pass":
            found += [str(one["reason"]) for one in record.findings if one["verdict"] != "PASS"]
    found += [f"page {one.id}: {one.title}" for one in ledger.open_pages(row.id)]
    return found


def _since(workspace: Workspace, since: datetime) -> list[str]:
    ledger, row = workspace.ledger, workspace.rollout
    steps = [one for one in ledger.journal(row.id) if one.at > since and one.event in ("done", "failed", "undone")]
    lines = [f"- {one.at:%d %b %H:%M} {one.step_id} {one.event}{_because(one)}" for one in steps]
    lines += [
        f"- {one.at:%d %b %H:%M} {one.actor}: {one.action} {one.before} → {one.after}: {_line(str(one.cause))}"
        for one in ledger.actions(row.id)
        if one.at > since
    ]
    lines += [
        f"- {one.at:%d %b %H:%M} {one.approver} ({one.role}): {one.decision} {one.step_id}"
        for one in ledger.sign_offs(row.id)
        if one.at > since
    ]
    return ["### What happened", "", *(lines or ["Nothing."]), ""]


def _because(entry: JournalEntry) -> str:
    said = entry.detail.get("summary") or entry.detail.get("reason")
    return f": {_line(str(said))}" if said else ""


def _line(text: str) -> str:
    """A reason on one line, cut where it goes on and on."""
    one = " ".join(text.split())
    return one if len(one) <= REASON_CHARACTERS else one[: REASON_CHARACTERS - 1].rstrip() + "…"


def _figures(workspace: Workspace, since: datetime, now: datetime) -> list[str]:
    row, ledger = workspace.rollout, workspace.ledger
    pages = [one for one in ledger.notices(row.id) if one.severity == "page" and one.told_at > since]
    looks = [record for record in ledger.findings(row.id) if record.at > since]
    lowered = [after for (_, before), (at, after) in pairwise(weights(workspace)) if after < before and at > since]
    lasted = (row.ended_at or now) - row.started_at
    done = {one.step_id for one in ledger.journal(row.id) if one.event == "done"}
    planned = [step.id for step in workspace.plan.itinerary]
    table = {
        "On since": f"{row.started_at:%Y-%m-%d %H:%M} UTC, {format_duration(round(lasted.total_seconds()))}",
        "Steps done": f"{sum(step in done for step in planned)} of {len(planned)}",
        "Gates and checkpoints seen": f"{len(looks)}, {sum(verdict_kind(one) == 'fail' for one in looks)} of them failed",
        "Weight taken down": f"{len(lowered)} times",
        "Pages": _pages(pages),
        "Signed by": ", ".join(dict.fromkeys(one.approver for one in ledger.sign_offs(row.id))) or "nobody yet",
    }
    return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in table.items()), ""]


def _pages(pages: Sequence[ToldNotice]) -> str:
    waited = sorted((one.acknowledged_at - one.told_at).total_seconds() for one in pages if one.acknowledged_at is not None)
    middle = f", acknowledged after {format_duration(round(waited[len(waited) // 2]))} (median)" if waited else ""
    return f"{len(pages)}{middle}"


def _open(workspace: Workspace) -> list[str]:
    ledger, row = workspace.ledger, workspace.rollout
    lines = []
    for wait in (one for one in ledger.waits(row.id) if one.is_open):
        if wait.kind == "sign_off":
            lines.append(f"- {_sign_off(workspace, wait.step_id)}")
        elif wait.kind == "soak" and wait.needed_s:
            watched, needed = format_duration(round(wait.watched_s)), format_duration(wait.needed_s)
            lines.append(f"- {wait.step_id}: watched {watched} of {needed}")
        else:
            lines.append(f"- {wait.step_id}: {wait.detail.get('said') or wait.detail.get('reason') or wait.kind}")
    for page in ledger.open_pages(row.id):
        has = f"{page.acknowledged_by} has it" if page.acknowledged_by else "nobody has it"
        lines.append(f"- Page {page.id}, {has}: {page.title}")
    following = decide(row.id) if row.active else None
    if isinstance(following, Run):
        lines.append(f"- Next: {workspace.plan.step(following.step_id).title} in {following.phase}")
    return ["### What is open", "", *lines, ""] if lines else []


def _sign_off(workspace: Workspace, step_id: str) -> str:
    try:
        planned, spec = approve.pending(workspace, step_id)
    except NotAllowed as error:
        return str(error)
    missing = ", ".join(approve.count(workspace, planned, spec).missing)
    return f"Sign-off {planned.title} waits for {missing}; who may: {', '.join(approve.may_sign(workspace, spec.rule))}"


def _changed(workspace: Workspace, since: datetime) -> bool:
    ledger, row = workspace.ledger, workspace.rollout
    moments = [row.started_at, row.ended_at, *(one.at for one in ledger.journal(row.id))]
    moments += [one.at for one in ledger.actions(row.id)] + [one.at for one in ledger.sign_offs(row.id)]
    moments += [one.told_at for one in ledger.notices(row.id) if one.severity != "info"]
    return any(moment is not None and moment > since for moment in moments)
