"""The way back, step by step: weight, undo newest first, the plan's own steps, proof, notice. Each one journaled.

Every part may be repeated: a way back that was interrupted anywhere begins at its first part that is not done.
"""

from collections.abc import Mapping
from typing import Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from chrysalis.clock import utc_now
from chrysalis.errors import (
    ChrysalisError,
    LedgerError,
    LedgerUnavailable,
    NotAllowed,
    SickerSide,
    StaleToken,
    StepFailed,
    TargetError,
)
from chrysalis.ledger import Ledger
from chrysalis.plan import PlannedStep
from gates.progress import ROLLBACK_STEP, undo_order
from gates.verdict import Verdict, worst
from tasks.artifacts import artifact_key, show_findings
from tasks.chosen_rollback import NAMED, begins, plan_rollback, rollback_name, took
from tasks.decide import entries, stops
from tasks.evaluate_gate import judge_until, said
from tasks.healthier import forced, page, require_healthier
from tasks.kinds import KINDS
from tasks.notify import tell
from tasks.permission import require
from tasks.safety import make_safe
from tasks.step import log, stood_before
from tasks.values import changed_values, held_ladders, set_values, to_put_back
from tasks.workspace import Workspace, open_ledger

Asked = Literal["roll_back", "abort", "pause"]
WEIGHT_STEP = "rollback.weight"
VALUES_STEP = "rollback.values"
VERIFY_STEP = "rollback.verify"
TRY_AGAIN_AFTER_S = 5.0
PAGE_EVERY_TRIES = 3
"""Real seconds between tries at a target that is out of reach during the way back, and how often somebody is told."""


@task(name="weight", task_run_name="weight to {percent} %", persist_result=False, cache_policy=NO_CACHE)
def take_weight_down(rollout_id: str, token: int, percent: int, reason: str, by: str) -> str:
    """Take the traffic off the canary. Raises TargetError, SickerSide, StaleToken; it is tried again until it works."""
    workspace = Workspace.open(rollout_id, token)
    if _done(workspace, WEIGHT_STEP):
        return "done before"
    refuse_sicker(workspace)
    enter(workspace, WEIGHT_STEP, {"reason": reason, "percent": percent})
    after = make_safe(workspace, percent, actor=by, cause=reason)
    at = max(after.values(), default=0)
    workspace.ledger.set_position(
        rollout_id,
        token,
        phase=workspace.rollout.phase,
        weight_percent=at,
        status_text=f"going back: {reason}",
        now=utc_now(),
    )
    leave(workspace, WEIGHT_STEP, "done", {"summary": f"weight {at} %, read back", "percent": at})
    return f"weight {at} %, read back"


def to_undo(rollout_id: str, token: int) -> tuple[str, ...]:
    """The steps to take back, newest first, with those whose undo is already journaled left out."""
    workspace = Workspace.open(rollout_id, token)
    order = undo_order(stops(workspace.plan), entries(workspace.ledger, rollout_id))
    return tuple(step_id for step_id in order if has_undo(workspace, step_id) and not _done(workspace, f"undo.{step_id}"))


def to_run(rollout_id: str, token: int) -> tuple[PlannedStep, ...]:
    """The rollback's own steps in order, with those that are done left out."""
    workspace = Workspace.open(rollout_id, token)
    steps = workspace.plan.rollback_steps(rollback_name(workspace))
    return tuple(step for step in steps if not _done(workspace, step.id))


def has_undo(workspace: Workspace, step_id: str) -> bool:
    """Whether the step's kind leaves something to take back."""
    return KINDS[workspace.plan.step(step_id).kind].undo is not None and not workspace.rollout.dry_run


@task(name="undo", task_run_name="undo {step_id}", persist_result=False, cache_policy=NO_CACHE)
def undo_step(rollout_id: str, token: int, step_id: str) -> str:
    """Take one step back by its own compensation. Raises StepFailed when it does not come about."""
    workspace = Workspace.open(rollout_id, token)
    planned = workspace.plan.step(step_id)
    undo = KINDS[planned.kind].undo
    if undo is None:
        return "nothing to take back"
    own_id = f"undo.{step_id}"
    enter(workspace, own_id, {"undoes": step_id})
    try:
        stood = stood_before(workspace.ledger.journal(rollout_id, step_id=step_id)) or {}
        did = undo(workspace, planned, planned.spec, stood)
    except (StaleToken, LedgerUnavailable, TargetError):
        raise
    except ChrysalisError as error:
        leave(workspace, own_id, "failed", {"reason": str(error)})
        raise StepFailed(f"undo of {step_id}: {error}") from error
    leave(workspace, own_id, "done", {"summary": did})
    log().info("undid %s: %s", step_id, did)
    return did


def values_changed(rollout_id: str, token: int) -> bool:
    """Whether the watch changed values in this rollout that were not put back on this way back yet."""
    workspace = Workspace.open(rollout_id, token)
    return not workspace.rollout.dry_run and not _done(workspace, VALUES_STEP) and changed_values(workspace)


@task(name="values", task_run_name="put back what the watch changed", persist_result=False, cache_policy=NO_CACHE)
def put_values_back(rollout_id: str, token: int, reason: str, by: str) -> str:
    """Put back what triggers and ladders changed: once the rollout has ended nobody watches for their recovery.

    Raises TargetError, StaleToken; the way back is tried again until it works.
    """
    workspace = Workspace.open(rollout_id, token)
    enter(workspace, VALUES_STEP, {})
    wanted = to_put_back(workspace)
    for target, values in wanted.items():
        set_values(workspace, target, values, f"way back: {reason}", actor=by)
    parts = [f"{target} {name}={value}" for target, values in wanted.items() for name, value in values.items()]
    parts += [f"left in {ladder.modes[-1]}: only a person leads out of it" for ladder in held_ladders(workspace)]
    summary = ", ".join(parts) or "stands as before"
    leave(workspace, VALUES_STEP, "done", {"summary": summary})
    log().info("put back: %s", summary)
    return summary


@task(name="verify", persist_result=False, cache_policy=NO_CACHE)
def verify_rollback(rollout_id: str, token: int) -> str:
    """Judge the rollback's own conditions until they hold, at most its limit. Raises StepFailed when they do not."""
    workspace = Workspace.open(rollout_id, token)
    if _done(workspace, VERIFY_STEP):
        return "verified before"
    rollback = plan_rollback(workspace)
    enter(workspace, VERIFY_STEP, {})
    if workspace.rollout.dry_run:
        leave(workspace, VERIFY_STEP, "done", {"summary": "dry run: nothing was changed"})
        return "dry run"
    weights = {name: router.read().canary_percent for name, router in workspace.routers().items()}
    wrong = {name: percent for name, percent in weights.items() if percent > rollback.weight}
    if wrong:
        leave(workspace, VERIFY_STEP, "failed", {"reason": f"weights {wrong} > {rollback.weight} %"})
        raise StepFailed(f"after the way back the weights are {wrong} > {rollback.weight} %")
    summary = f"weights {weights}"
    detail: dict[str, Any] = {}
    if rollback.verify:
        limit_s = workspace.clock.real_span_s(rollback.limit) if rollback.limit else 0.0
        findings = judge_until(workspace, rollback.verify, limit_s)
        show_findings(artifact_key(rollout_id, VERIFY_STEP), findings, "after the way back")
        detail = {"findings": [finding.as_json() for finding in findings]}
        summary = said(findings)
        if worst(findings) is not Verdict.PASS:
            leave(workspace, VERIFY_STEP, "failed", {"reason": summary, **detail})
            raise StepFailed(f"the way back is not proven: {summary}")
    leave(workspace, VERIFY_STEP, "done", {"summary": summary, **detail})
    return summary


def begin_rollback(rollout_id: str, token: int, reason: str, by: str) -> None:
    """Journal that the way back has begun, once."""
    workspace = Workspace.open(rollout_id, token)
    workspace.ledger.set_state(rollout_id, token, state="rolling_back", now=utc_now())
    if not any(entry.step_id == ROLLBACK_STEP for entry in workspace.ledger.journal(rollout_id)):
        # Told first: killed in between, people are told twice rather than never.
        tell(workspace, "page", f"rolling back: {reason}", f"by {by}, from {workspace.rollout.weight_percent or 0} %")
        named = begins(workspace, rollback_name(workspace))
        enter(workspace, ROLLBACK_STEP, {"reason": reason, "by": by, **named})


def end_rollback(rollout_id: str, token: int, outcome: str, reason: str) -> None:
    """Journal that the way back is done, and tell people. What was asked stays open until the rollout has ended: killed
    in between, it is asked again, and never goes on upwards."""
    workspace = Workspace.open(rollout_id, token)
    name = rollback_name(workspace)
    time_taken = took(workspace, ROLLBACK_STEP, plan_rollback(workspace).limit)
    back_by = f"rollback {name} in {time_taken}"
    leave(workspace, ROLLBACK_STEP, "done", {"summary": reason, "took": back_by, **time_taken.as_json()})
    late = ", over its limit" if time_taken.over else ""
    said_all = f"traffic and settings are back: {back_by}; see the report in the UI"
    tell(workspace, "page", f"{outcome.replace('_', ' ')}{late}: {reason}", said_all)


def hold_rollback(rollout_id: str, token: int, error: TargetError) -> None:
    """A target is out of reach, or stable is worse off: it is tried again soon, and a person is told while that lasts."""
    reason = str(error)
    workspace = Workspace.open(rollout_id, token)
    enter(workspace, ROLLBACK_STEP, {"reason": reason, **begins(workspace, rollback_name(workspace))})
    workspace.ledger.open_wait(
        rollout_id,
        token,
        step_id=ROLLBACK_STEP,
        kind="retry",
        needed_s=None,
        detail={"reason": reason, "after_s": TRY_AGAIN_AFTER_S},
        now=utc_now(),
    )
    tries = sum(1 for wait in workspace.ledger.waits(rollout_id) if wait.step_id == ROLLBACK_STEP)
    if isinstance(error, SickerSide):
        if tries == 1:
            page(workspace, error)
    elif tries % PAGE_EVERY_TRIES == 0:
        said = f"the way back does not get through after {tries} tries"
        tell(workspace, "page", said, reason, key=f"{rollout_id}:does not get through")


def fail_rollback(rollout_id: str, token: int, reason: str) -> None:
    """The way back cannot be finished by itself: a person must choose. Says so, and keeps the guard."""
    workspace = Workspace.open(rollout_id, token)
    leave(workspace, ROLLBACK_STEP, "failed", {"reason": reason})
    workspace.ledger.set_state(rollout_id, token, state="stuck", now=utc_now())
    settle(workspace, f"stuck: {reason}")
    tell(
        workspace,
        "page",
        f"the way back is stuck: {reason}",
        f"look at `chrysalis show {rollout_id}`, then `chrysalis rollback`",
    )


def refuse_sicker(workspace: Workspace) -> None:
    """Unless the traffic is off already, or a person said that it shall go to a sick side, too. Raises SickerSide."""
    carries = workspace.rollout.weight_percent or 0
    if carries > 0 and not forced(workspace):
        require_healthier(workspace, utc_now())


def ask_as(
    by: str, rollout_id: str, kind: Asked, *, reason: str, to_percent: int | None = None, force: bool = False
) -> None:
    """Ask as a person does: whoever may not is refused. Raises NotAllowed besides what `ask` does."""
    require(kind, by, rollout_id)
    ask(rollout_id, kind, by=by, reason=reason, to_percent=to_percent, force=force)


def ask(
    rollout_id: str,
    kind: str,
    *,
    by: str,
    reason: str,
    to_percent: int | None = None,
    force: bool = False,
    rollback: str | None = None,
) -> None:
    """Ask something of a rollout; asking the same twice is asking once. `rollback` names one of the plan's rollbacks.

    Raises UnknownRollout, LedgerError when it ended.
    """
    ledger = open_ledger()
    rollout = ledger.get(rollout_id)
    if not rollout.active:
        raise LedgerError(f"{rollout_id} ended {rollout.outcome}; there is nothing to {kind.replace('_', ' ')}")
    arguments: dict[str, object] = {} if to_percent is None else {"to_percent": to_percent}
    if force:
        arguments["force"] = True
    if rollback is not None:
        arguments[NAMED] = rollback
    if rollout.state == "stuck" and kind in ("roll_back", "abort"):
        _try_again(ledger, rollout_id, by, reason)
    ledger.request(rollout_id, kind, by=by, reason=reason, arguments=arguments, now=utc_now())


def _try_again(ledger: Ledger, rollout_id: str, by: str, reason: str) -> None:
    """Begin a way back anew that could not be finished; what of it is done stays done."""
    token = ledger.take_token(rollout_id, by, now=utc_now())
    detail = {"reason": reason, "by": by}
    ledger.begin_step(rollout_id, token, step_id=ROLLBACK_STEP, kind="rollback", detail=detail, now=utc_now())
    ledger.set_state(rollout_id, token, state="rolling_back", now=utc_now())


def resume(workspace: Workspace, by: str) -> str:
    """Settle what keeps the rollout from going on. Raises NotAllowed when nothing does, or `by` may not."""
    row = workspace.rollout
    require("pause", by, row.id)
    paused = [one for one in workspace.ledger.open_requests(row.id) if one.kind == "pause"]
    for request in paused:
        workspace.ledger.settle_request(request.id, f"resumed by {by}", now=utc_now(), by=by)
    if row.state == "stuck":
        ask(row.id, "roll_back", by=by, reason=f"the way back is tried again by {by}")
        return "the way back is tried again"
    if not paused:
        raise NotAllowed(f"{row.id} is not paused: {row.state}, {row.status_text}")
    return f"goes on; {len(paused)} pause(s) settled"


def settle(workspace: Workspace, outcome: str, *, down_to: int | None = None) -> None:
    """What was asked has been done: all of it, or with `down_to` only the ways back that stop at that weight or above."""
    for request in workspace.ledger.open_requests(workspace.rollout.id):
        stops_at = int(request.arguments.get("to_percent") or 0)
        if down_to is not None and (request.kind != "roll_back" or stops_at < down_to):
            continue
        workspace.ledger.settle_request(request.id, outcome, now=utc_now())


def _done(workspace: Workspace, step_id: str) -> bool:
    entries = workspace.ledger.journal(workspace.rollout.id, step_id=step_id)
    return bool(entries) and entries[-1].event == "done"


def enter(workspace: Workspace, step_id: str, detail: Mapping[str, Any]) -> None:
    workspace.ledger.begin_step(
        workspace.rollout.id, workspace.token, step_id=step_id, kind="rollback", detail=detail, now=utc_now()
    )


def leave(workspace: Workspace, step_id: str, outcome: Any, detail: Mapping[str, Any]) -> None:
    workspace.ledger.end_step(
        workspace.rollout.id, workspace.token, step_id=step_id, outcome=outcome, detail=detail, now=utc_now()
    )
