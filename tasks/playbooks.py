"""The watch's part in operations that an alert asked for: it has each started, and again when that came to nothing.

A start is a run of the deployment `operation/now`, which the UI shows with its steps. While Prefect is down the operation
runs here, beside the ticks. A watch that takes over finds the same request, and the same run of it.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Request
from tasks import operations, prefect_api
from tasks.operations import AGAIN_AFTER, OPERATE
from tasks.step import log

DEPLOYMENT = "operation/now"
HANDS = 2

Start = Callable[[Request, int], None]
"""Has an operation run elsewhere; the number of the try from 1. Raises PrefectUnavailable."""


def start_run(request: Request, attempt: int) -> None:
    """A run of the deployment; the same try of the same request is the same run. Raises PrefectUnavailable."""
    given = {
        "rollout_id": request.rollout_id,
        "operation": request.arguments["operation"],
        "by": request.by,
        "reason": request.reason,
    }
    prefect_api.start_run(DEPLOYMENT, given, f"operate-{request.rollout_id}-{request.id}-{attempt}", [request.rollout_id])


@dataclass
class Playbooks:
    """What one watch has started."""

    start: Start = start_run
    _started: dict[int, float] = field(default_factory=dict)
    """When, by a steady clock, each request was started last."""
    _tries: dict[int, int] = field(default_factory=dict)
    _hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(HANDS, thread_name_prefix="operate"))

    def look(self, asked: Sequence[Request]) -> None:
        """Start what was asked for and has not been started, or not come to an end for long."""
        for request in asked:
            last_s = self._started.get(request.id)
            if request.kind != OPERATE or (last_s is not None and time.monotonic() - last_s < AGAIN_AFTER.total_seconds()):
                continue
            self._started[request.id] = time.monotonic()
            self._tries[request.id] = self._tries.get(request.id, 0) + 1
            self._hands.submit(self._begin, request, self._tries[request.id])

    def close(self) -> None:
        """Start nothing more."""
        self._hands.shutdown(wait=False, cancel_futures=True)

    def _begin(self, request: Request, attempt: int) -> None:
        name = str(request.arguments["operation"])
        try:
            self.start(request, attempt)
            log().warning("%s: operation %s started: %s", request.rollout_id, name, request.reason)
        except prefect_api.PrefectUnavailable as error:
            log().warning("%s: operation %s runs in the watch itself: %s", request.rollout_id, name, error)
            self._run_here(request, name)

    def _run_here(self, request: Request, name: str) -> None:
        try:
            for line in operations.run(request.rollout_id, name, request.by):
                log().info("%s: %s", request.rollout_id, line)
        except ChrysalisError as error:
            log().error("%s: operation %s failed: %s", request.rollout_id, name, error)
        except Exception:
            log().exception("%s: operation %s failed", request.rollout_id, name)
