"""The way back: traffic first, then everything else in reverse, then proof. A rollout's subflow, and on-call's own flow."""

from prefect import State, flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Completed, Failed

from chrysalis.errors import ChrysalisError, LedgerUnavailable, NotAllowed, SickerSide, StaleToken, TargetUnavailable
from chrysalis.ledger.origin import came_by
from gates.progress import Outcome, RollBack
from tasks.chosen_rollback import plan_rollback
from tasks.decide import decide
from tasks.kinds import KINDS
from tasks.lifecycle import await_end, end, take_over
from tasks.orphans import outlive_worker
from tasks.part_back import finish_in_part, lower_in_part, run_in_part, steps_in_part
from tasks.rolling_back import (
    ask_as,
    begin_rollback,
    end_rollback,
    fail_rollback,
    hold_rollback,
    put_values_back,
    take_weight_down,
    to_run,
    to_undo,
    undo_step,
    values_changed,
    verify_rollback,
)
from tasks.step import Waiting, log, run_name
from tasks.workspace import Workspace

BACK = "Back"
HELD = "Held"
WITHOUT_HEARTBEATS = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
"""For subflows: with Prefect's heartbeats one ends up to a second late, as it waits for the thread that sends them, and
every phase that is done is called at each resumption. Whether a process lives is told by its lease."""


@flow(name="rollback", flow_run_name="rollback", persist_result=False, validate_parameters=False)
def rollback(rollout_id: str, token: int, to_percent: int | None, reason: str, by: str, outcome: str) -> State[str]:
    """Go back, and say so only when it is proven. What cannot be finished stops and pages, with the traffic safe."""
    workspace = Workspace.open(rollout_id, token)
    spec = plan_rollback(workspace)
    percent = spec.weight if to_percent is None else to_percent
    try:
        if to_percent:
            lower_in_part(rollout_id, token, percent, reason, by)
            failed = ""
            for planned in steps_in_part(rollout_id, token):
                failed = failed or run_in_part(rollout_id, token, planned)
            finish_in_part(rollout_id, token, percent, reason, by, failed)
            return Completed(name="TakenBack", message=f"{percent} %: {reason}", data="taken back")
        begin_rollback(rollout_id, token, reason, by)
        take_weight_down(rollout_id, token, percent, reason, by)
        if outcome != Outcome.ABORTED:
            if spec.undo:
                for step_id in to_undo(rollout_id, token):
                    undo_step(rollout_id, token, step_id)
            if values_changed(rollout_id, token):
                put_values_back(rollout_id, token, reason, by)
            for planned in to_run(rollout_id, token):
                outcome_of_step = KINDS[planned.kind].task(rollout_id, planned.id, token, run_name(planned))
                if isinstance(outcome_of_step, Waiting):
                    return Failed(name=HELD, message=outcome_of_step.reason, data="held")
            verify_rollback(rollout_id, token)
        end_rollback(rollout_id, token, outcome, reason)
    except StaleToken as error:
        return Completed(name="Superseded", message=str(error), data="superseded")
    except LedgerUnavailable:
        # Nothing can be written down: as on the way forward the process ends, and the next one goes on from the journal.
        raise
    except (TargetUnavailable, SickerSide) as error:
        hold_rollback(rollout_id, token, error)
        return Failed(name=HELD, message=str(error), data="held")
    except ChrysalisError as error:
        log().error("the way back is stuck: %s", error)
        fail_rollback(rollout_id, token, str(error))
        return Failed(name="Stuck", message=str(error), data="stuck")
    return Completed(name=BACK, message=reason, data="back")


@flow(name="rollback-now", flow_run_name="rollback {rollout_id}", persist_result=False)
def rollback_now(
    rollout_id: str, reason: str, by: str = "on-call", to_percent: int | None = None, force: bool = False
) -> State[str]:
    """On-call's own way back: works whether or not the rollout's own run is alive.

    `to_percent` above 0 only lowers the weight and holds. `force` moves the traffic also when the stable side is worse off.
    Ends red when the way back could not be proven.
    """
    came_by("on-call flow")
    outlive_worker()
    try:
        ask_as(by, rollout_id, "roll_back", reason=reason, to_percent=to_percent, force=force)
    except NotAllowed as error:
        return Failed(name="Refused", message=str(error))
    token = take_over(rollout_id)
    action = decide(rollout_id)
    if not isinstance(action, RollBack):
        return Failed(name="Refused", message=f"{rollout_id} cannot go back: {action}")
    ends = action.outcome.value
    with temporary_settings(WITHOUT_HEARTBEATS):
        state = rollback(rollout_id, token, action.to_percent, action.reason, action.by, ends, return_state=True)
    if state.name == BACK:
        end(rollout_id, token, action.outcome, action.reason)
        return Completed(name="RolledBack", message=action.reason)
    if state.name == "TakenBack":
        return Completed(name="TakenBack", message=state.message)
    if state.name == "Superseded":
        # The rollout's own run was woken meanwhile and goes back itself.
        return _how_it_ended(rollout_id)
    return Failed(name=state.name, message=state.message)


def _how_it_ended(rollout_id: str) -> State[str]:
    ended = await_end(rollout_id)
    if ended.outcome == Outcome.ROLLED_BACK.value:
        return Completed(name="RolledBack", message=ended.status_text)
    return Failed(name="Stuck" if ended.active else "Ended", message=ended.status_text)
