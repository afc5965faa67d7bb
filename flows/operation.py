"""One of a plan's operations, its steps as tasks: a playbook that an alert started, or that on-call starts from the UI."""

from typing import Annotated

from prefect import State, flow
from prefect.states import Completed, Failed
from pydantic import Field

from chrysalis.errors import ChrysalisError
from chrysalis.ledger.origin import came_by
from tasks import operations
from tasks.orphans import outlive_worker
from tasks.step import log
from tasks.workspace import Workspace


@flow(name="operation", flow_run_name="{operation} {rollout_id}", persist_result=False)
def operation_now(
    rollout_id: Annotated[str, Field(min_length=1, max_length=100)],
    operation: Annotated[str, Field(min_length=1, max_length=100)],
    by: Annotated[str, Field(max_length=100)] = "on-call",
    reason: Annotated[str, Field(max_length=2000)] = "",
) -> State[None]:
    """Run one of the plan's operations now.

    Args:
        rollout_id: Which rollout, such as triad-3
        operation: The operation's name in the plan, such as restart_instance
        by: Your name
        reason: Why; it stays in the record
    """
    came_by("operation flow")
    outlive_worker()
    if by == operations.WATCH and not operations.requests_for(Workspace.open(rollout_id, 0), operation):
        return Completed(name="Settled", message=f"operation {operation} of {rollout_id} came to its end before")
    did: list[str] = []
    try:
        for line in operations.run(rollout_id, operation, by, operations.as_task):
            log().info(line)
            did.append(line)
    except ChrysalisError as error:
        return Failed(name="Failed", message=f"{'; '.join(did)}; {error}" if did else str(error))
    return Completed(message=did[-1] if did else "nothing to do")
