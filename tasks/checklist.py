"""A checklist as a step: a machine checks what it can, people attest the rest, and the phase waits until all of it stands.

Every decision is recorded with its reason: go, not yet, no-go. While it is not yet, the rollout waits in the ledger; the
watch has it checked anew when the last attestation came in, and every `again`. Attesting is one function for every door.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chrysalis import wiring
from chrysalis.checks import Context, Result, run_items
from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError, StepFailed
from chrysalis.ledger import Attestation, Ledger, Wait, canonical_hash
from chrysalis.plan import Plan, PlannedStep
from chrysalis.plan import steps as kinds
from chrysalis.plan.checklist import Checklist, Item, load_checklist
from chrysalis.settings import CHECKOUT, Settings
from gates.checklist import Attested, Decision, Standing, Status, decide, standing_of
from tasks.artifacts import artifact_key, show_markdown
from tasks.checklist_page import Page, Row, markdown
from tasks.step import Before, Done, Waiting, log, open_wait, step_task
from tasks.waiting import linger
from tasks.workspace import Workspace, people_of


@dataclass(frozen=True, slots=True)
class NamedList:
    """A checklist and the name it has in the ledger: its file below the plans folder, whichever plan names it."""

    name: str
    checklist: Checklist

    @property
    def hash(self) -> str:
        """Of what the list says now."""
        return canonical_hash(self.checklist.model_dump(mode="json"))


def open_list(file: Path, settings: Settings) -> NamedList:
    """The checklist of a file. Raises PlanError."""
    resolved, plans = file.resolve(), settings.plans.resolve()
    name = resolved.relative_to(plans).as_posix() if resolved.is_relative_to(plans) else str(resolved)
    return NamedList(name, load_checklist(file))


def list_of_plan(plan: Plan, name: str, settings: Settings) -> NamedList:
    """A checklist that the plan names; only one in the plans folder. Raises PlanError, SettingsError."""
    if name not in plan.checklists:
        raise SettingsError(f"{plan.name} has no checklist {name!r}; it has: {', '.join(plan.checklists) or 'none'}")
    file = settings.plans / plan.name / plan.checklists[name]
    if not file.resolve().is_relative_to(settings.plans.resolve()):
        raise SettingsError(f"{plan.name}: checklist {name} is {file}, outside of {settings.plans}; put it beside the plan")
    return open_list(file, settings)


def item_hash(item: Item) -> str:
    """Of an item as it is worded now: an attestation counts for these words only."""
    return canonical_hash(item.model_dump(mode="json"))


def checks_context(settings: Settings, variables: Mapping[str, str], now: datetime) -> Context:
    """What checks work with; backups are below BACKUPS, else below the home folder, as the step `back_up` leaves them."""
    backups = wiring.backups_folder(variables, settings.home)
    return Context(variables, now, CHECKOUT, backups)


def look(
    ledger: Ledger,
    named: NamedList,
    items: Sequence[Item],
    context: Context,
    *,
    rollout_id: str | None = None,
    since: datetime | None = None,
    results: Mapping[str, Result] | None = None,
    done: Callable[[Result], None] | None = None,
) -> Page:
    """How each item stands now: checks are run (or taken from `results`), attestations read from the ledger."""
    found = results if results is not None else {one.item: one for one in run_items(items, context, done=done)}
    attested: dict[str, list[Attested]] = {}
    for one in ledger.attestations(named.name, rollout_id):
        attested.setdefault(one.item, []).append(
            Attested(one.person, one.role, one.evidence, one.item_hash, one.at, one.expires_at, one.withdrawn)
        )
    section_of = {item.id: section.name for section in named.checklist.sections for item in section.items}
    rows = []
    for item in items:
        if item.attest is None:
            result = found.get(item.id)
            standing = Standing(item.id, *_stands(result))
        else:
            result = None
            standing = standing_of(
                item.id, attested.get(item.id, ()), item_hash=item_hash(item), now=context.now, since=since
            )
        role = None if item.attest is None else item.attest.role
        rows.append(Row(section_of[item.id], item.group, item.text, role, standing, result))
    decision, reason = decide(row.standing for row in rows)
    return Page(named.checklist.title, context.now, tuple(rows), decision, reason)


def _stands(result: Result | None) -> tuple[Status, str]:
    return (Status.NOT_KNOWN, "it was not checked yet") if result is None else (result.status, result.reason)


# ── attesting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def roles_held(plan: Plan, name: str) -> tuple[str, ...]:
    """The roles in which somebody may attest now; the one place that says who is who for checklists."""
    people = people_of(plan)
    return tuple(role for role in people.roles_of(name) if people.role_may(role, "attest"))


def attest(
    ledger: Ledger,
    plan: Plan,
    named: NamedList,
    item: Item,
    *,
    person: str,
    evidence: str,
    expires: timedelta | None = None,
    rollout_id: str | None = None,
    withdraw: bool = False,
) -> Attestation:
    """Record one person's word on one item. Every door ends here. Raises NotAllowed.

    `expires` may be shorter than the list's own time, never longer.
    """
    if item.attest is None:
        raise NotAllowed(f"{item.id} is checked by a machine, nobody can attest it; see `chrysalis checklist run`")
    role, longest = item.attest.role, item.attest.expires
    if role not in roles_held(plan, person):
        may = ", ".join(people_of(plan).holders(role)) or "nobody"
        raise NotAllowed(f"{person!r} may not attest {item.id}: it needs {role}; that is {may}")
    if (item.attest.evidence or withdraw) and not evidence.strip():
        raise NotAllowed(f"{item.id} needs evidence: a link or a text that shows it; give --evidence")
    if expires is not None and not timedelta(0) < expires <= longest:
        raise NotAllowed(f"{item.id}: found expiry {expires}, expected more than 0 and at most {longest}")
    now = utc_now()
    return ledger.attest(
        named.name,
        item.id,
        item_hash=item_hash(item),
        person=person,
        role=role,
        evidence=evidence.strip(),
        expires_at=now + (expires or longest),
        now=now,
        rollout_id=rollout_id,
        withdrawn=withdraw,
    )


# ── the step ───────────────────────────────────────────────────────────────────────────────────────────────────────


def run(workspace: Workspace, planned: PlannedStep, spec: kinds.Checklist, before: Before) -> Done | Waiting:
    """Check, and wait for what is open; go when all stands. Raises StepFailed on a no-go that the plan answers so."""
    while True:
        page = _decided(workspace, planned, spec)
        if page.decision is Decision.GO:
            return Done(f"go: {page.reason}", page.summary())
        if page.decision is Decision.NO_GO and spec.on_fail == "roll_back":
            raise StepFailed(f"no-go: {page.reason}")
        said = f"{page.decision}: {page.reason}"
        detail = {"reason": f"{planned.title}: {said}", "list": spec.list, "open": page.to_attest}
        wait = open_wait(workspace, planned, "checklist", needed_s=None, detail=detail)
        if not wait.is_open:
            workspace.ledger.begin_step(
                workspace.rollout.id,
                workspace.token,
                step_id=planned.id,
                kind="checklist",
                detail={"before": dict(before)},
                now=utc_now(),
            )
            wait = open_wait(workspace, planned, "checklist", needed_s=None, detail=detail)
        log().info("%s waits: %s", planned.id, said)
        if linger(workspace, wait.id, 0.0).is_open:
            return Waiting("checklist", said, wait.id)


def _decided(workspace: Workspace, planned: PlannedStep, spec: kinds.Checklist) -> Page:
    """Look at the step's items now, record the decision with its reason, and show it."""
    named = list_of_plan(workspace.plan, spec.list, workspace.settings)
    context = checks_context(workspace.settings, workspace.variables, utc_now())
    rollout_id = workspace.rollout.id
    since = _phase_began(workspace, planned.phase) if spec.fresh else None
    items = named.checklist.items_of(spec.sections)
    page = look(workspace.ledger, named, items, context, rollout_id=rollout_id, since=since)
    workspace.ledger.record_checklist_run(
        named.name,
        list_hash=named.hash,
        by=workspace.rollout.holder or "flow",
        decision=page.decision,
        reason=page.reason,
        results=page.as_json(),
        now=utc_now(),
        rollout_id=rollout_id,
        step_id=planned.id,
    )
    what = f"{planned.phase}: {planned.title}: {page.decision}"
    show_markdown(artifact_key(rollout_id, planned.id), markdown(page), what)
    return page


def _phase_began(workspace: Workspace, phase: str) -> datetime | None:
    entries = workspace.ledger.journal(workspace.rollout.id)
    return next((entry.at for entry in entries if entry.step_id.startswith(f"{phase}.")), None)


def attested_since(workspace: Workspace, wait: Wait) -> str:
    """Whether everything that people had to attest was attested since the wait was opened; empty when not."""
    missing = set(wait.detail.get("open") or ())
    if not missing:
        return ""
    named = list_of_plan(workspace.plan, str(wait.detail["list"]), workspace.settings)
    newest = {one.item: one for one in workspace.ledger.attestations(named.name, wait.rollout_id)}
    given = {item for item in missing if item in newest and newest[item].at >= wait.opened_at and not newest[item].withdrawn}
    return "attested" if given == missing else ""


def check_again(workspace: Workspace, *, by: str) -> bool:
    """Have a step that waits for its checklist look again now; False when none does."""
    waits: list[Any] = [
        wait for wait in workspace.ledger.waits(workspace.rollout.id) if wait.kind == "checklist" and wait.is_open
    ]
    for wait in waits:
        workspace.ledger.close_wait(wait.id, f"checked again by {by}", now=utc_now(), by=by)
    return bool(waits)


checklist = step_task("checklist", run)
