"""One phase of a rollout: its steps in order, each a task, until it is done or has to wait. It never suspends itself."""

from prefect import State, flow
from prefect.states import Completed, Failed

from chrysalis.errors import StaleToken, StepFailed
from gates.progress import Run
from tasks.decide import decide
from tasks.kinds import KINDS
from tasks.lifecycle import arm, enter
from tasks.step import Waiting, run_name
from tasks.workspace import plan_of

DONE = "Done"


@flow(name="phase", flow_run_name="{phase}", persist_result=False, validate_parameters=False)
def phase(rollout_id: str, phase: str, token: int) -> State[str]:
    """Run what is next in this phase; a phase that is done returns at once."""
    entered = False
    while isinstance(action := decide(rollout_id), Run) and action.phase == phase:
        planned = plan_of(rollout_id).step(action.step_id)
        try:
            if not entered:
                enter(rollout_id, token, phase)
                arm(rollout_id, token, plan_of(rollout_id).phase(phase))
                entered = True
            outcome = KINDS[planned.kind].task(rollout_id, planned.id, token, run_name(planned))
        except StepFailed as error:
            return Failed(name="Breached", message=str(error), data="breached")
        except StaleToken as error:
            return Completed(name="Superseded", message=str(error), data="superseded")
        if isinstance(outcome, Waiting):
            return Completed(name="Waiting", message=outcome.reason, data="waiting")
    return Completed(name=DONE, message=f"{phase} is done", data="done")
