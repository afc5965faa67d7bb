"""Waiting inside the process for as long as a new process would cost; longer waits give the process back.

The watch ends a wait by an entry in the ledger; here it is only read. Anything asked of the rollout ends the lingering at
once, so that a way back never stands behind a soak.
"""

import time
from collections.abc import Callable

from chrysalis.ledger import Wait
from tasks.decide import ASKED
from tasks.workspace import Workspace

POLL_S = 0.2


def linger(workspace: Workspace, wait_id: int, expected_s: float, *, show: Callable[[Wait], None] | None = None) -> Wait:
    """Wait for the ledger's wait to be closed, at most `suspend_after_s` (real seconds).

    `expected_s` is how long it will take at the least; where that is more than the limit, it does not wait at all.
    Raises StaleToken when somebody newer holds the rollout.
    """
    limit_s = workspace.settings.suspend_after_s
    deadline = time.monotonic() + (limit_s if expected_s <= limit_s else 0.0)
    while True:
        workspace.ledger.check_token(workspace.rollout.id, workspace.token)
        wait = wait_of(workspace, wait_id)
        if show is not None:
            show(wait)
        if not wait.is_open or _wanted(workspace) or time.monotonic() >= deadline:
            return wait
        time.sleep(POLL_S)


def _wanted(workspace: Workspace) -> bool:
    """Whether something was asked that decides where the rollout goes; an operation beside it is none of that."""
    return any(request.kind in ASKED for request in workspace.ledger.open_requests(workspace.rollout.id))


def wait_of(workspace: Workspace, wait_id: int) -> Wait:
    """The wait as it stands."""
    return next(wait for wait in workspace.ledger.waits(workspace.rollout.id) if wait.id == wait_id)
