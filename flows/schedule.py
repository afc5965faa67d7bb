"""What a plan does by the clock: each schedule of a deployment is one of the plan's; a run does it, or says why not."""

from typing import Annotated

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from chrysalis.errors import ChrysalisError
from chrysalis.ledger.origin import came_by
from tasks import operations, schedules
from tasks.orphans import outlive_worker
from tasks.step import log


@flow(name="schedule", flow_run_name="{schedule} of {plan}", persist_result=False)
def scheduled(
    plan: Annotated[str, Field(min_length=1, max_length=100)],
    schedule: Annotated[str, Field(min_length=1, max_length=100)] = schedules.AFTER_COMPLETION,
) -> State[None]:
    """Do what the plan's schedule says, for the rollout that is on, or the newest one if it completed.

    Args:
        plan: The plan's folder
        schedule: One of the plan's schedules; after_completion does those that are due so long after the end
    """
    came_by("schedule")
    outlive_worker()
    try:
        row = schedules.concerned(plan)
        if row is None:
            return Completed(name="NotNow", message=schedules.why_not(plan))
        did: list[str] = []
        for line in schedules.run(row.id, schedule, operations.as_task):
            log().info(line)
            did.append(line)
    except schedules.NotNow as error:
        return Completed(name="NotNow", message=str(error))
    except ChrysalisError as error:
        return Failed(message=str(error))
    return Completed(message=f"{row.id}: {did[-1] if did else 'nothing is due'}")
