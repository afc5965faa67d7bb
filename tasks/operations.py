"""The plan's own operations, by name: emergency commands and playbooks. Each step has its effect now and is recorded.

A person runs one, or an alert does: an `automatic` operation is asked for when its trigger fires, and started by the watch.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, NotAllowed, StaleToken, TargetUnavailable
from chrysalis.ledger import Request
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetWeight, SignOff
from tasks import approve
from tasks.chosen_rollback import Took
from tasks.lifecycle import take_over
from tasks.notify import tell
from tasks.permission import require
from tasks.rolling_back import ask
from tasks.safety import make_safe
from tasks.step import Done, Waiting, run_name
from tasks.workspace import Workspace, open_ledger, require_known

TRIES = 3
OPERATE = "operate"
"""The kind of the request in the ledger, for an operation that the watch starts."""
WATCH = "watch"
SCHEDULE = "schedule"
"""Who asks when the plan's clock does."""
SIGNED_WITHIN_S, SIGNED_POLL_S = 86_400.0, 1.0
"""Real seconds that an operation waits for a signature whose rule has no limit, and between two looks."""
LOOKS = frozenset({"checklist", "gate", "report", "smoke_test"})
"""Kinds of steps that change nothing."""
AGAIN_AFTER = timedelta(minutes=2)
"""How long the watch waits for an operation that it had started before it has it started again."""

Perform = Callable[[PlannedStep, str, int], Done | Waiting]
"""Runs a step of a rollout under a token."""


def without_prefect(step: PlannedStep, rollout_id: str, token: int) -> Done | Waiting:
    """The step itself, also while Prefect is down."""
    return _task(step).fn(rollout_id, step.id, token, step.title)  # type: ignore[no-any-return]


def as_task(step: PlannedStep, rollout_id: str, token: int) -> Done | Waiting:
    """The step as a task of the flow that runs, so that the UI shows it."""
    return _task(step)(rollout_id, step.id, token, run_name(step))  # type: ignore[no-any-return]


def _task(step: PlannedStep):  # type: ignore[no-untyped-def]
    from tasks.kinds import KINDS

    return KINDS[step.kind].task


def ask_for(workspace: Workspace, trigger: str, reason: str, by: str) -> list[str]:
    """Ask for the operations that this trigger starts by itself; their names. Asking twice is asking once."""
    names = [name for name, one in workspace.plan.operations.items() if one.automatic and one.when == trigger]
    for name in names:
        given = {"operation": name, "trigger": trigger}
        workspace.ledger.request(workspace.rollout.id, OPERATE, by=by, reason=reason, arguments=given, now=utc_now())
    return names


def suggested(workspace: Workspace, trigger: str) -> str:
    """What answers this trigger besides the response: what starts by itself, and the commands for a person."""
    mine = {name: one for name, one in workspace.plan.operations.items() if one.when == trigger}
    lines = [f"{name} starts by itself: {one.title}" for name, one in mine.items() if one.automatic]
    lines += [
        f"`chrysalis operate {workspace.rollout.id} {name}`: {one.title}" for name, one in mine.items() if not one.automatic
    ]
    return "\n".join(lines)


def run(
    rollout_id: str, name: str, by: str, perform: Perform = without_prefect, *, scheduled: bool = False
) -> Iterator[str]:
    """Run an operation's steps in order; yields a line per step, and how long it took.

    A weight is only ever lowered here: the way up is the plan's. What the watch asked for or the plan has `scheduled` needs
    nobody's permission, and what is scheduled goes on after the rollout completed. What only looks (`LOOKS`) may be run
    after any end: that a rollback holds is confirmed when it is over.

    Raises SettingsError for an unknown operation, TargetError, NotAllowed once the rollout has ended, or when `by` may not.
    """
    workspace = Workspace.open(rollout_id, 0)
    asked = requests_for(workspace, name)
    if not scheduled and not any(one.by == by for one in asked):
        require("operate", by, rollout_id)
    require_known(workspace.plan, name, workspace.plan.operations, "operation")
    goes_on = scheduled and workspace.rollout.outcome == "completed"
    if not workspace.rollout.active and not goes_on and not _only_looks(workspace, name):
        raise NotAllowed(f"{rollout_id} ended {workspace.rollout.outcome}; start a rollout, or change the target by hand")
    operation, began = workspace.plan.operations[name], time.monotonic()
    try:
        if operation.rollback is not None:
            yield _go_back(workspace, operation.rollback, name, by)
            _settle(workspace, asked, "the rollback was asked for", by)
            return
        yield from _steps(workspace, name, by, perform)
    except ChrysalisError as error:
        _settle(workspace, asked, f"failed: {error}", by)
        title = f"operation {name} failed"
        tell(workspace, "page", title, f"asked for by {by}: {error}", key=f"{rollout_id}:{title}:{time.time():.0f}")
        raise
    yield _finish(workspace, name, by, Took(time.monotonic() - began, operation.limit), asked)


def _only_looks(workspace: Workspace, name: str) -> bool:
    steps = workspace.plan.operation_steps(name)
    return bool(steps) and all(step.kind in LOOKS for step in steps)


def requests_for(workspace: Workspace, name: str) -> list[Request]:
    """What asks for this operation and is not settled."""
    return [
        one
        for one in workspace.ledger.open_requests(workspace.rollout.id)
        if one.kind == OPERATE and one.arguments.get("operation") == name
    ]


def _steps(workspace: Workspace, name: str, by: str, perform: Perform) -> Iterator[str]:
    for step in workspace.plan.operation_steps(name):
        yield f"{step.title}: {_insist(workspace.rollout.id, step, name, by, perform)}"


def _finish(workspace: Workspace, name: str, by: str, took: Took, asked: list[Request]) -> str:
    """Record how long it took; over its limit people are told."""
    workspace.ledger.record_action(
        workspace.rollout.id,
        None,
        actor=by,
        action=f"operation {name}",
        before=None,
        after={"done": True, **took.as_json()},
        cause=asked[0].reason if asked else by,
        now=utc_now(),
    )
    _settle(workspace, asked, f"done in {took}", by)
    if took.over or asked:
        title = f"operation {name}: done in {took}"
        tell(workspace, "warning" if took.over else "info", title, f"asked for by {by}")
    return f"{name} done in {took}"


def _settle(workspace: Workspace, asked: list[Request], outcome: str, by: str) -> None:
    for request in asked:
        workspace.ledger.settle_request(request.id, outcome, now=utc_now(), by=by)


def _insist(rollout_id: str, step: PlannedStep, name: str, by: str, perform: Perform) -> str:
    """Run a step under the token that is held now: nothing is taken from the rollout's own process, which works meanwhile.
    Where that began anew in between, the step is repeated under its token."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(StaleToken):
            return _run(_as_held(rollout_id), step, name, by, perform)
    return _run(_as_held(rollout_id), step, name, by, perform)


def _as_held(rollout_id: str) -> Workspace:
    return Workspace.open(rollout_id, open_ledger().get(rollout_id).token or take_over(rollout_id))


def _run(workspace: Workspace, step: PlannedStep, name: str, by: str, perform: Perform) -> str:
    rollout_id = workspace.rollout.id
    if isinstance(step.spec, SetWeight):
        taken = Workspace.open(rollout_id, take_over(rollout_id))
        after = make_safe(taken, step.spec.to, actor=by, cause=f"operation {name}")
        return ", ".join(f"{router} {weight} %" for router, weight in after.items())
    outcome = perform(step, rollout_id, workspace.token)
    if isinstance(outcome, Waiting) and isinstance(step.spec, SignOff) and _is_signed(workspace, step, step.spec, name):
        outcome = perform(step, rollout_id, workspace.token)
        _use_up(workspace, step, name)
    if isinstance(outcome, Waiting):
        workspace.ledger.close_wait(outcome.wait_id, "given up", now=utc_now(), by=by)
        then = "what is open is settled" if outcome.kind == "checklist" else "the target answers"
        raise TargetUnavailable(f"operation {name}: {step.title}: {outcome.reason}; run it again when {then}")
    workspace.ledger.record_action(
        rollout_id, None, actor=by, action=f"operation {name}", before=None, after=step.id, cause=by, now=utc_now()
    )
    return str(outcome.summary)


def _is_signed(workspace: Workspace, step: PlannedStep, spec: SignOff, name: str) -> bool:
    """Wait for the people who must sign before an operation goes on, at most for as long as their rule gives them."""
    rollout_id = workspace.rollout.id
    title = f"operation {name} waits for a signature"
    text = f"{spec.question}\n`chrysalis approve {rollout_id}`"
    tell(workspace, "warning", title, text, key=f"{rollout_id}:{title}:{time.time():.0f}")
    within_s = approve.within_s(workspace.plan.sign_offs[spec.rule])
    deadline = time.monotonic() + (SIGNED_WITHIN_S if within_s is None else within_s)
    while time.monotonic() < deadline:
        tally = approve.count(workspace, step, spec)
        if tally.rejected_by or not tally.missing:
            return True
        time.sleep(SIGNED_POLL_S)
    return False


def _use_up(workspace: Workspace, step: PlannedStep, name: str) -> None:
    """A signature lets one operation go on: the next time people are asked anew."""
    for one in workspace.ledger.sign_offs(workspace.rollout.id, step.id):
        if one.void is None:
            workspace.ledger.void_sign_off(one, f"operation {name} went on with it", now=utc_now())


def _go_back(workspace: Workspace, rollback: str, name: str, by: str) -> str:
    """Lower the weight at once, and ask the rollout's own run for the rest: that rollback's own steps and its proof."""
    spec = workspace.plan.rollbacks[rollback]
    ask(
        workspace.rollout.id,
        "roll_back",
        by=by,
        reason=f"operation {name}",
        to_percent=spec.weight or None,
        rollback=rollback,
    )
    taken = Workspace.open(workspace.rollout.id, take_over(workspace.rollout.id))
    after = make_safe(taken, spec.weight, actor=by, cause=f"operation {name}")
    weights = ", ".join(f"{router} {weight} %" for router, weight in after.items()) or "no traffic to move"
    return f"rollback {rollback}: {weights}; the rest follows"
