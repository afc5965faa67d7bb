"""What a rollout's run sleeps for, and under which key."""

import contextlib
from dataclasses import dataclass
from uuid import UUID

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


def tags_of(rollout: Rollout) -> list[str]:
    """What a rollout's runs are found by in the UI, the most telling first: it shows few before it folds the rest."""
    return [f"service:{rollout.service}", f"plan:{rollout.plan_name}", f"version:{rollout.version}", rollout.id]


def tag_run(flow_run_id: str, rollout: Rollout) -> None:
    """Add the rollout's tags to those that the run has from its deployment; a failure changes nothing."""
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        run_id = UUID(flow_run_id)
        kept = sorted(client.read_flow_run(run_id).tags)
        client.update_flow_run(run_id, tags=list(dict.fromkeys([*tags_of(rollout), *kept])))
