"""One rollout, from its first step to its end: nine weeks in one flow run that mostly sleeps.

Started or resumed, it begins at its first line, takes a new fencing token, and lets the journal say where it is. Phases are
called in the same order every time, the finished ones included, so that Prefect finds their runs again.
"""

from typing import Annotated, Any

from prefect import State, flow, tags
from prefect.exceptions import Abort
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run
from prefect.settings import temporary_settings
from prefect.states import Completed, Failed
from pydantic import Field

from chrysalis.errors import ChrysalisError, StaleToken, Superseded
from chrysalis.ledger import Rollout
from chrysalis.ledger.origin import came_by
from flows.phase import DONE, phase
from flows.rollback import BACK, HELD, WITHOUT_HEARTBEATS, rollback
from gates.progress import Finish, Hold, Outcome, RollBack, Run
from tasks.decide import decide
from tasks.forms import sign_off_form
from tasks.lifecycle import (
    SUSPEND_TIMEOUT_S,
    adopt,
    alive,
    end,
    register,
    show_timeline,
    take_answers,
    take_over_again,
    wait,
)
from tasks.orphans import outlive_worker
from tasks.step import log
from tasks.suspension import Suspension, next_suspension, tag_run, tags_of
from tasks.workspace import open_ledger, plan_of

_NAMES = {
    Outcome.COMPLETED: "Completed",
    Outcome.ROLLED_BACK: "RolledBack",
    Outcome.ABORTED: "Aborted",
    Outcome.REJECTED: "Rejected",
    Outcome.SKIPPED: "Skipped",
    Outcome.FAILED: "Failed",
}


@flow(name="rollout", flow_run_name="{plan} {version}", persist_result=False)
def rollout(
    version: Annotated[str, Field(min_length=1, max_length=100)],
    reason: Annotated[str, Field(max_length=2000)] = "",
    started_by: Annotated[str, Field(max_length=100)] = "ui",
    dry_run: bool = False,
    speed: Annotated[float, Field(ge=1, le=1e6)] = 1.0,
    again: bool = False,
    plan: Annotated[str, Field(max_length=100)] = "crystal",
) -> State[Any]:
    """Roll a version out as its plan says. Resumed at any time, it goes on where the journal says it is.

    The run form shows what stands here; Prefect takes descriptions from nowhere else.

    Args:
        version: What is rolled out, such as 2.1.0
        reason: Why now; it stays in the record
        started_by: Your name; where the plan says so, who starts it may not sign it off
        dry_run: Walk through every step and change nothing
        speed: 1 in production; more makes the plan's clock run faster, for sandboxes
        again: Roll this version out once more after an earlier rollout of it ended
        plan: The plan's folder; leave it as it is
    """
    came_by("flow")
    outlive_worker()
    run_id = str(flow_run.get_id())
    mine = open_ledger().find_by_flow_run(run_id)
    if mine is None:
        try:
            mine, _ = register(
                plan, version, reason=reason, started_by=started_by, speed=speed, dry_run=dry_run, again=again
            )
        except ChrysalisError as error:
            return Failed(name="Refused", message=str(error))
        if not adopt(mine, run_id):
            return Completed(name="Skipped", message=f"{mine.id} is the rollout of {plan} {version}; this run adds nothing")
        show_timeline(mine.id)
        tag_run(run_id, mine)
    if not mine.active:
        return ended_state(mine)
    try:
        with alive(mine.id):
            while True:
                refused = take_answers(mine.id)
                ended = go_on(mine.id)
                if isinstance(ended, State):
                    return ended
                suspend(mine.id, ended, refused)  # ends this process, unless it was answered in the same moment
    except Superseded as error:
        # The other process works for the same run: a state that this one reported would be taken for the other's.
        log().warning("%s", error)
        raise Abort(str(error)) from error


def go_on(rollout_id: str) -> State[Any] | Suspension:
    """Everything that can be done now: until the end, whoever ended it, or until there is something to wait for.

    Raises Superseded when another process works for the rollout.
    """
    while (row := open_ledger().get(rollout_id)).active:
        token = take_over_again(rollout_id)
        try:
            with temporary_settings(WITHOUT_HEARTBEATS):
                reached = _go_on_with(rollout_id, token)
        except Superseded:
            raise
        except StaleToken:
            continue  # the watch, on-call or another process took a newer token meanwhile
        if reached is not None:
            return reached
    return ended_state(row)


def _go_on_with(rollout_id: str, token: int) -> State[Any] | Suspension | None:
    """The same as long as `token` is the newest; None when there is more to do. Raises StaleToken."""
    if isinstance(decide(rollout_id), Run):
        for name in plan_of(rollout_id).phase_names:
            with tags(*tags_of(open_ledger().get(rollout_id)), f"phase:{name}"):
                ended = phase(rollout_id, name, token, return_state=True)
            if ended.name != DONE:
                break
    match decide(rollout_id):
        case Finish(outcome=outcome, reason=reason):
            end(rollout_id, token, outcome, reason)
            return final_state(outcome, reason)
        case RollBack() as back:
            token = take_over_again(rollout_id)
            ends = back.outcome.value
            with tags(*tags_of(open_ledger().get(rollout_id))):
                state = rollback(rollout_id, token, back.to_percent, back.reason, back.by, ends, return_state=True)
            if state.name == BACK:
                end(rollout_id, open_ledger().get(rollout_id).token, back.outcome, back.reason)
                return final_state(back.outcome, back.reason)
            if state.name == HELD and (suspension := next_suspension(rollout_id)) is not None:
                return suspension
        case Hold(reason=reason):
            wait(rollout_id, token, reason)
            return Suspension(reason, None)
        case Run():
            suspension = next_suspension(rollout_id)
            if suspension is not None:
                wait(rollout_id, token, suspension.reason)
                return suspension
    return None


def suspend(rollout_id: str, suspension: Suspension, refused: str) -> None:
    """Give the process back until somebody resumes: a person by the form, or the watch when the time has come."""
    if suspension.step_id is None or not suspension.needs_person:
        suspend_flow_run(key=suspension.key(rollout_id), timeout=SUSPEND_TIMEOUT_S)
    else:
        form = sign_off_form(rollout_id, suspension.step_id, refused)
        suspend_flow_run(wait_for_input=form, key=suspension.key(rollout_id), timeout=SUSPEND_TIMEOUT_S)


def ended_state(row: Rollout) -> State[Any]:
    """The end of a rollout as the ledger has it, whoever ended it."""
    return final_state(Outcome(row.outcome or "failed"), row.status_text)


def final_state(outcome: Outcome, reason: str) -> State[Any]:
    """The end by its name; only a completed rollout is a green run."""
    kind = Completed if outcome in (Outcome.COMPLETED, Outcome.SKIPPED) else Failed
    return kind(name=_NAMES[outcome], message=reason)
