"""The beginning and the end of a rollout, and the signs of life in between."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from prefect.runtime import flow_run

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerError, NotAllowed, PlanError, Superseded
from chrysalis.ledger import CLAIMS, Lease, Ledger, NewRollout, Rollout, Wait
from chrysalis.ledger.origin import door
from chrysalis.plan import LoadedPlan, Phase, check_people, load_plan
from chrysalis.plan.steps import Activate, SetFlag, SetRoute, SetWeight, Waves
from gates.progress import Outcome
from tasks import approve
from tasks.artifacts import artifact_key, show_markdown
from tasks.claims import claims
from tasks.judging import KEPT
from tasks.permission import require_for_plan
from tasks.prefect_api import Answer, answer
from tasks.proof import Code
from tasks.report import report_markdown, timeline_markdown
from tasks.rolling_back import settle
from tasks.step import log
from tasks.workspace import Workspace, open_ledger, people_of, settings

LEASE_S = 15.0
RENEW_S = 4.0
AWAIT_END_S = 600.0
POLL_S = 0.5
SUSPEND_TIMEOUT_S = int(timedelta(days=400).total_seconds())
"""Longer than any rollout: Prefect fails a run that is resumed later; the plan's own deadlines are the ledger's to keep."""


def register(
    plan: str, version: str, *, reason: str, started_by: str, speed: float, dry_run: bool, again: bool
) -> tuple[Rollout, bool]:
    """The rollout of this release: the one there is, or a new one (True). Changes nothing when it may not start.

    Raises PlanError, SettingsError, NotAllowed, ServiceBusy, TargetBusy, LedgerUnavailable.
    """
    loaded = checked(plan, version, speed)
    require_for_plan("start", started_by, loaded.plan)
    ledger = open_ledger()
    new = NewRollout(
        plan_name=plan,
        service=loaded.plan.service,
        version=version,
        plan_text=loaded.text,
        plan_hash=loaded.sha256,
        idempotency_key=_release_key(ledger, plan, version, again=again, dry_run=dry_run),
        started_by=started_by,
        reason=reason,
        speed=speed,
        dry_run=dry_run,
        parameters={} if dry_run else {CLAIMS: claims(loaded.plan, settings().variables())},
    )
    return ledger.start_rollout(new, utc_now())


def checked(plan: str, version: str, speed: float) -> LoadedPlan:
    """The plan, if it and what it is started with are sound. Raises PlanError, SettingsError."""
    file = settings().plan_file(plan)
    loaded = load_plan(file)
    if wrong := check_people(loaded, people_of(loaded.plan).signers(), str(file)):
        raise PlanError("\n".join(str(problem) for problem in wrong))
    if not version.strip():
        raise PlanError("version: found nothing, expected the version to roll out, such as 2.1.0")
    if not 1.0 <= speed <= 1_000_000:
        raise PlanError(f"speed: found {speed:g}, expected 1 to 1000000; above 1 is for sandboxes only")
    return loaded


def _release_key(ledger: Ledger, plan: str, version: str, *, again: bool, dry_run: bool) -> str:
    base = f"{plan}:{version}" + (":dry-run" if dry_run else "")
    earlier = [
        one for one in ledger.history(10_000) if one.idempotency_key == base or one.idempotency_key.startswith(base + "#")
    ]
    if not earlier:
        return base
    newest = max(earlier, key=lambda one: one.serial)
    return f"{base}#{len(earlier) + 1}" if again and not newest.active else newest.idempotency_key


def adopt(rollout: Rollout, flow_run_id: str) -> bool:
    """Take this rollout for this flow run; False when another flow run works for it."""
    if rollout.flow_run_id not in (None, flow_run_id):
        return False
    open_ledger().attach_flow_run(rollout.id, flow_run_id, now=utc_now())
    return True


def take_over(rollout_id: str) -> int:
    """A new fencing token for this process; every earlier one is stale from now on."""
    return open_ledger().take_token(rollout_id, _this_process(), now=utc_now())


def take_over_again(rollout_id: str) -> int:
    """A new token for a process that works under `alive`. Raises Superseded when another process works for the rollout now.

    A process that was frozen for longer than its lease comes back to find another one in its place; it stops there,
    instead of taking the rollout back from its successor.
    """
    lease = open_ledger().lease(lease_name(rollout_id))
    if lease is not None and lease.holder != _this_process() and not lease.expired(utc_now()):
        raise Superseded(f"{lease.name} is worked on by {lease.holder}; this process was away too long and stops")
    return take_over(rollout_id)


def lease_name(rollout_id: str) -> str:
    """What says that a process works for this rollout."""
    return f"rollout:{rollout_id}"


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def show_timeline(rollout_id: str) -> None:
    """The plan's timeline as an artifact."""
    workspace = Workspace.open(rollout_id, 0)
    what = f"{workspace.rollout.plan_name} {workspace.rollout.version}: what it goes through"
    show_markdown(artifact_key(rollout_id, "timeline"), timeline_markdown(workspace.plan), what)


@contextmanager
def alive(rollout_id: str) -> Iterator[None]:
    """While inside, a lease says that a process works for this rollout; when it ends unseen, the watch starts another.

    The lease of a process that was killed is waited out. Raises Superseded when another one keeps it alive: of two that
    work for one rollout, the second one stops.
    """
    ledger, name, stop = open_ledger(), lease_name(rollout_id), threading.Event()
    holder = _this_process()
    lease = _acquire(ledger, name, holder)

    def renew() -> None:
        nonlocal lease
        while not stop.wait(RENEW_S):
            try:
                held = lease and ledger.renew_lease(lease, ttl_s=LEASE_S, now=utc_now())
                lease = held or ledger.acquire_lease(name, holder, ttl_s=LEASE_S, now=utc_now())
            except LedgerError:
                lease = None

    thread = threading.Thread(target=renew, name=f"alive {rollout_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if lease is not None:
            ledger.release_lease(lease, now=utc_now())


def _acquire(ledger: Ledger, name: str, holder: str) -> Lease | None:
    deadline = time.monotonic() + 2 * LEASE_S
    while (lease := ledger.acquire_lease(name, holder, ttl_s=LEASE_S, now=utc_now())) is None:
        if time.monotonic() > deadline:
            other = ledger.lease(name)
            raise Superseded(f"{name} is worked on by {other.holder if other else 'another process'}; this one stops")
        time.sleep(POLL_S)
    return lease


def arm(rollout_id: str, token: int, phase: Phase) -> None:
    """Have the watch judge this phase's triggers from now on, if the phase can reach anybody."""
    workspace = Workspace.open(rollout_id, token)
    exposes = any(isinstance(step, SetWeight | SetFlag | SetRoute | Activate | Waves) for step in phase.steps)
    if workspace.rollout.dry_run or not (exposes or workspace.rollout.weight_percent):
        return
    triggers: dict[str, object] = {name: {} for name in workspace.plan.triggers_at(phase.name)}
    workspace.ledger.arm_guard(rollout_id, token, triggers=triggers, now=utc_now(), keep=KEPT)


def enter(rollout_id: str, token: int, phase: str) -> None:
    """Note that the rollout is in this phase and runs."""
    workspace = Workspace.open(rollout_id, token)
    weight = workspace.rollout.weight_percent or 0
    workspace.ledger.set_position(
        rollout_id, token, phase=phase, weight_percent=weight, status_text=f"in {phase}", now=utc_now()
    )
    workspace.ledger.set_state(rollout_id, token, state="running", now=utc_now())


def wait(rollout_id: str, token: int, reason: str) -> None:
    """Note that the rollout waits, and for what."""
    workspace = Workspace.open(rollout_id, token)
    row = workspace.rollout
    workspace.ledger.set_position(
        rollout_id, token, phase=row.phase, weight_percent=row.weight_percent, status_text=reason, now=utc_now()
    )
    if row.state != "stuck":
        workspace.ledger.set_state(rollout_id, token, state="waiting", now=utc_now())


def end(rollout_id: str, token: int, outcome: Outcome, reason: str) -> None:
    """The rollout is over: nothing is watched any more, nothing is asked of it, and the report is written."""
    workspace = Workspace.open(rollout_id, token)
    row, ledger = workspace.rollout, workspace.ledger
    if row.active:
        ledger.set_position(
            rollout_id, token, phase=row.phase, weight_percent=row.weight_percent, status_text=reason, now=utc_now()
        )
        # From here on it is over; killed after this, nothing goes on, and nothing below matters.
        ledger.set_state(rollout_id, token, state="ended", outcome=outcome.value, now=utc_now())
        for open_wait in (one for one in ledger.waits(rollout_id) if one.is_open):
            ledger.close_wait(open_wait.id, f"ended: {outcome}", now=utc_now(), token=token)
        settle(workspace, f"ended: {outcome}")
    what = f"{workspace.rollout.plan_name} {workspace.rollout.version}: {outcome.value.replace('_', ' ')}"
    show_markdown(artifact_key(rollout_id, "report"), report_markdown(Workspace.open(rollout_id, token)), what)


def await_end(rollout_id: str) -> Rollout:
    """The rollout once it has ended, holds or is stuck; as it stands after `AWAIT_END_S` at the latest."""
    ledger, deadline = open_ledger(), time.monotonic() + AWAIT_END_S
    while (row := ledger.get(rollout_id)).active and row.state != "stuck" and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return row


def take_answers(rollout_id: str) -> str:
    """Hand what people typed into the form of the last suspension to the one function that signs.

    Read from the API, so that an answer is not lost with the process that resumed; one that was taken is not taken again.
    Returns why one was not accepted, for the next form; empty when there is nothing to say.
    """
    workspace = Workspace.open(rollout_id, 0)
    for open_wait in workspace.ledger.waits(rollout_id):
        if open_wait.kind != "sign_off" or not open_wait.is_open or not open_wait.pauses:
            continue
        key = f"wait-{open_wait.id}-{open_wait.pauses}"
        entered = answer(str(flow_run.get_id()), key)
        if entered is None:
            told = {"step": open_wait.step_id, "why": "the run was set going without an answer; nothing is signed"}
            workspace.ledger.record_refusal("unknown", "sign_off", rollout_id, told, now=utc_now())
            continue
        try:
            with door("ui"):
                _take_answer(workspace, open_wait, key, entered)
        except NotAllowed as error:
            log().warning("sign-off not accepted: %s", error)
            return str(error)
    return ""


def _take_answer(workspace: Workspace, waits: Wait, key: str, entered: Answer) -> None:
    decision = entered.given.get("decision")
    taken = {one.proof.get("answer") for one in workspace.ledger.sign_offs(workspace.rollout.id, waits.step_id)}
    if decision not in ("approve", "reject") or key in taken:
        return
    approve.sign(
        workspace,
        waits.step_id,
        str(entered.given.get("approver", "")).strip(),
        decision=decision,
        comment=str(entered.given.get("comment") or ""),
        door="ui",
        offered=Code(str(entered.given.get("code") or ""), entered.entered_at),
        shown=workspace.ledger.shown(waits.id, waits.pauses),
        answer=key,
    )
