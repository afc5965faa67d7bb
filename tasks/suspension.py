"""What a rollout's run sleeps for, and under which key."""

import contextlib
from dataclasses import dataclass

from prefect.client.orchestration import get_client

from chrysalis.ledger import Rollout
from tasks.workspace import open_ledger


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why the run gives its process back. `step_id` None: somebody told it to pause."""

    reason: str
    step_id: str | None
    needs_person: bool = False

    def key(self, rollout_id: str) -> str:
        """A key that this run has never used; Prefect refuses one that fired before."""
        if self.step_id is not None:
            return open_ledger().next_pause_key(rollout_id, self.step_id)
        row = open_ledger().get(rollout_id)
        return f"paused-{row.serial}-{row.token}"


def next_suspension(rollout_id: str) -> Suspension | None:
    """The open wait that keeps the rollout from going on; None when there is none and it can go on."""
    for wait in reversed(open_ledger().waits(rollout_id)):
        if wait.is_open:
            reason = str(wait.detail.get("reason") or wait.detail.get("said") or f"{wait.kind} of {wait.step_id}")
            return Suspension(reason, wait.step_id, wait.kind == "sign_off")
    return None


def tag_run(flow_run_id: str, rollout: Rollout) -> None:
    """Tag the run with its service, plan and rollout, so that it is found in the UI; a failure changes nothing."""
    tags = [f"service:{rollout.service}", f"plan:{rollout.plan_name}", f"version:{rollout.version}", rollout.id]
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        client.update_flow_run(flow_run_id, tags=tags)  # type: ignore[arg-type]
