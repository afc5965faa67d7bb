"""The plan's own operations, by name: emergency commands and playbooks. Each step has its effect now and is recorded."""

import contextlib
from collections.abc import Iterator

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError, StaleToken, TargetUnavailable
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetWeight
from tasks.lifecycle import take_over
from tasks.permission import require
from tasks.rolling_back import ask
from tasks.safety import make_safe
from tasks.step import Waiting
from tasks.workspace import Workspace, require_known

TRIES = 3


def run(rollout_id: str, name: str, by: str) -> Iterator[str]:
    """Run an operation's steps in order; yields a line per step.

    A weight is only ever lowered here: the way up is the plan's. Raises SettingsError for an unknown operation, TargetError,
    NotAllowed once the rollout has ended, or when `by` may not.
    """
    from tasks.kinds import KINDS

    require("operate", by, rollout_id)
    workspace = Workspace.open(rollout_id, 0)
    require_known(workspace.plan, name, workspace.plan.operations, "operation")
    if not workspace.rollout.active:
        raise NotAllowed(f"{rollout_id} ended {workspace.rollout.outcome}; start a rollout, or change the target by hand")
    operation = workspace.plan.operations[name]
    if operation.rollback is not None:
        yield _go_back(workspace, operation.rollback, name, by)
        return
    steps = workspace.plan.operation_steps(name)
    if missing := sorted({step.kind for step in steps if step.kind not in KINDS}):
        raise SettingsError(f"operation {name} of {workspace.plan.name} has steps that cannot run yet: {', '.join(missing)}")
    for step in steps:
        yield f"{step.title}: {_insist(rollout_id, step, name, by)}"


def _insist(rollout_id: str, step: PlannedStep, name: str, by: str) -> str:
    """Run a step under a token of its own; the rollout's own process, which works meanwhile, takes newer ones."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(StaleToken):
            return _run(Workspace.open(rollout_id, take_over(rollout_id)), step, name, by)
    return _run(Workspace.open(rollout_id, take_over(rollout_id)), step, name, by)


def _run(workspace: Workspace, step: PlannedStep, name: str, by: str) -> str:
    from tasks.kinds import KINDS

    rollout_id = workspace.rollout.id
    if isinstance(step.spec, SetWeight):
        after = make_safe(workspace, step.spec.to, actor=by, cause=f"operation {name}")
        return ", ".join(f"{router} {weight} %" for router, weight in after.items())
    outcome = KINDS[step.kind].task.fn(rollout_id, step.id, workspace.token, step.title)
    if isinstance(outcome, Waiting):
        workspace.ledger.close_wait(outcome.wait_id, "given up", now=utc_now(), by=by)
        raise TargetUnavailable(f"operation {name}: {step.title}: {outcome.reason}; run it again when the target answers")
    workspace.ledger.record_action(
        rollout_id, None, actor=by, action=f"operation {name}", before=None, after=step.id, cause=by, now=utc_now()
    )
    return str(outcome.summary)


def _go_back(workspace: Workspace, rollback: str, name: str, by: str) -> str:
    """Lower the weight at once, and ask the rollout's own run for the rest."""
    percent = workspace.plan.rollbacks[rollback].weight
    ask(workspace.rollout.id, "roll_back", by=by, reason=f"operation {name}", to_percent=percent or None)
    taken = Workspace.open(workspace.rollout.id, take_over(workspace.rollout.id))
    after = make_safe(taken, percent, actor=by, cause=f"operation {name}")
    return f"rollback {rollback}: " + ", ".join(f"{router} {weight} %" for router, weight in after.items())
