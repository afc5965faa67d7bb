"""Breach to safe: the watch beside a bare loop that only asks Prometheus and writes the router, in turn, in one sandbox.

Measured at the client: from the first error it got to the last request it sent to the canary. Both ask the same query at
the same interval, so the ratio is what the watch adds: the ledger, every other trigger, the lease, the record.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.result import Result
from chrysalis.local.stack import sandbox_variables
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.base import Stamp

ROUNDS = 7
INTERVAL_S = 0.25
WEIGHT = 50
SETTLE_S = 7.0
"""Until the errors of the round before have left the rate's window and Prometheus has fresh samples."""
WARM_S = 2.0
GIVE_UP_S = 15.0
QUERY = (
    '(sum(rate(envoy_cluster_upstream_rq_xx{side="canary",envoy_response_code_class="5"}[4s])) or vector(0))'
    ' / (sum(rate(envoy_cluster_upstream_rq_completed{side="canary"}[4s])) > 0)'
)


def run() -> list[Result]:
    """Medians and worst cases of ours and of the floor."""
    with tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home, Sandbox.start(Path(home) / "sandbox") as sandbox:
        os.environ.update(sandbox_variables(sandbox))
        os.environ.update({"CHRYSALIS_HOME": home, "CHRYSALIS_PLANS": str(Path(__file__).parent / "plans")})
        floor_ms, ours_ms = [], []
        for number in range(ROUNDS):
            floor_ms.append(_exposure_ms(sandbox, lambda stop: _bare_loop(sandbox, stop)))
            ours_ms.append(_exposure_ms(sandbox, _watch(number)))
    return [
        Result("breach to safe, median", statistics.median(ours_ms), statistics.median(floor_ms), "a bare loop", "ms"),
        Result("breach to safe, worst", max(ours_ms), max(floor_ms), "a bare loop", "ms"),
    ]


Loop = Callable[[threading.Event], None]


def _exposure_ms(sandbox: Sandbox, loop: Loop) -> float:
    sandbox.clear_faults("canary")
    with sandbox.router() as router:
        last = router.read().stamp
        router.write(WEIGHT, Stamp(0 if last is None else last.token, "bench", "weight"))
        time.sleep(SETTLE_S)
        with _running(loop):
            time.sleep(WARM_S)
            began = time.time()
            sandbox.fault("canary", error_rate=0.3)
            deadline = time.monotonic() + GIVE_UP_S
            while router.read().canary_percent and time.monotonic() < deadline:
                time.sleep(0.02)
    time.sleep(0.5)
    exposure = sandbox.load_summary(since_s=began).exposure_ms
    if exposure is None:
        raise SystemExit("no error reached the client; the fault did not take")
    return exposure


@contextmanager
def _running(loop: Loop) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=loop, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bare_loop(sandbox: Sandbox, stop: threading.Event) -> None:
    """The floor: ask, compare, write."""
    url = sandbox.state.urls["prometheus"] + "/api/v1/query"
    with httpx.Client(trust_env=False) as client, sandbox.router() as router:
        while not stop.wait(INTERVAL_S):
            found = client.get(url, params={"query": QUERY}).json()["data"]["result"]
            if found and float(found[0]["value"][1]) > 0.02:
                last = router.read().stamp
                router.write(0, Stamp(1 if last is None else last.token, "bench", "safe"))
                return


def _watch(number: int) -> Loop:
    from chrysalis.clock import utc_now
    from tasks.lifecycle import arm, register, take_over
    from tasks.sentry import Sentry
    from tasks.workspace import Workspace, open_ledger

    def loop(stop: threading.Event) -> None:
        rollout, _ = register("breach", str(number), reason="", started_by="bench", speed=1.0, dry_run=False, again=False)
        token = take_over(rollout.id)
        ledger = open_ledger()
        ledger.set_state(rollout.id, token, state="running", now=utc_now())
        ledger.set_position(rollout.id, token, phase="all", weight_percent=WEIGHT, status_text="", now=utc_now())
        workspace = Workspace.open(rollout.id, token)
        for router in workspace.routers().values():
            router.write(WEIGHT, workspace.stamp("weight"))
        arm(rollout.id, token, workspace.plan.phases[0])
        sentry = Sentry(ledger, lambda run, note, gone: False, f"bench-{number}", INTERVAL_S)
        while not stop.wait(INTERVAL_S):
            sentry.tick(utc_now())
        sentry.close()
        ledger.set_state(rollout.id, ledger.get(rollout.id).token, state="ended", outcome="aborted", now=utc_now())

    return loop
