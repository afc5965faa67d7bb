"""Move a ladder of the plan to a mode. The watch moves it, as it does for a person: it alone knows where it stands."""

import time

from chrysalis.errors import TargetUnavailable
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetMode
from tasks.ladders import modes_now, request_mode
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace

ANSWERED_WITHIN_TICKS = 20
ANSWERED_WITHIN_AT_LEAST_S = 5.0
POLL_S = 0.1
PLAN = "plan"
"""Who asks, in the record; who ran the operation that the step is part of is recorded beside it."""


def read_before(workspace: Workspace, planned: PlannedStep, spec: SetMode) -> Before:
    return {"mode": modes_now(workspace.rollout.id)[spec.ladder]}


def run(workspace: Workspace, planned: PlannedStep, spec: SetMode, before: Before) -> Done:
    """Ask the watch, and wait until the ladder stands there. Raises TargetUnavailable when the watch does not answer."""
    rollout_id = workspace.rollout.id
    if modes_now(rollout_id)[spec.ladder] == spec.to:
        return Done(f"{spec.ladder} is {spec.to} already")
    request_mode(workspace, spec.ladder, spec.to, by=PLAN, reason=f"{planned.title} of {planned.phase}")
    limit_s = max(ANSWERED_WITHIN_AT_LEAST_S, ANSWERED_WITHIN_TICKS * workspace.settings.watch_interval_s)
    deadline = time.monotonic() + limit_s
    while modes_now(rollout_id)[spec.ladder] != spec.to:
        if time.monotonic() > deadline:
            raise TargetUnavailable(
                f"ladder {spec.ladder} is {modes_now(rollout_id)[spec.ladder]}, not {spec.to}, after {limit_s:.0f} s; "
                "only the watch moves it: see whether it runs and reaches the target"
            )
        time.sleep(POLL_S)
    return Done(f"{spec.ladder}: {before.get('mode')} → {spec.to}, values read back")


set_mode = step_task("set_mode", run, before=read_before)
