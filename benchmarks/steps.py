"""What the journal costs: each kind of step beside a bare Prefect task with the same body, in turn, in one flow.

The body is the effect and the look at what stood before it; ours adds two entries in the ledger, each committed to the disk.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.result import Result
from chrysalis.local.stack import Stack, StackSettings

ROUNDS = 40
FEWEST_ROUNDS = 5
MOST_S = 20.0
"""For one kind of step; a machine that is slower does fewer rounds."""
TIMEOUT_S = 900.0
KINDS_MEASURED = ("set_weight", "set_flag", "smoke_test", "gate", "notify")


def run() -> list[Result]:
    """Start a server and a sandbox, and measure in a process of its own, which finds them in its environment."""
    with tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home, Stack(Path(home), StackSettings()) as stack:
        stack.start_server_and_sandbox()
        environment = {**stack.environment(), "CHRYSALIS_PLANS": str(Path(__file__).parent / "plans")}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.steps"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    if done.returncode:
        raise SystemExit(f"benchmarks.steps ended with {done.returncode}: {done.stderr[-2000:]}")
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("STEP\t")]
    return [Result(f"step {kind}", float(ours), float(bare), "a bare Prefect task", "ms") for _, kind, ours, bare in rows]


def measure() -> None:
    """Inside the process: print a line per kind, medians in ms."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from chrysalis.clock import utc_now
    from tasks.kinds import KINDS
    from tasks.lifecycle import register, take_over
    from tasks.workspace import Workspace, open_ledger

    rollout, _ = register("steps", "1", reason="", started_by="bench", speed=1.0, dry_run=False, again=False)
    token = take_over(rollout.id)
    workspace = Workspace.open(rollout.id, token)
    steps = {step.kind: step for step in workspace.plan.itinerary}

    def bare_task(kind: str) -> Any:
        @task(name=kind, task_run_name="{title}", persist_result=False, cache_policy=NO_CACHE)
        def bare(step_id: str, title: str) -> Any:
            mine = Workspace.open(rollout.id, token)
            planned = mine.plan.step(step_id)
            look = KINDS[kind].before
            return KINDS[kind].body(mine, planned, planned.spec, look(mine, planned, planned.spec) if look else {})

        return bare

    @flow(persist_result=False)
    def compare(kind: str) -> tuple[float, float]:
        planned, bare = steps[kind], bare_task(kind)
        ours_s: list[float] = []
        bare_s: list[float] = []
        ends = time.monotonic() + MOST_S
        for number in range(ROUNDS + 2):
            if len(ours_s) >= FEWEST_ROUNDS and time.monotonic() > ends:
                break
            open_ledger().beat("watch", detail={}, now=utc_now())
            began = time.perf_counter()
            bare(planned.id, planned.title)
            middle = time.perf_counter()
            KINDS[kind].task(rollout.id, planned.id, token, planned.title)
            ended = time.perf_counter()
            if number >= 2:
                bare_s.append(middle - began)
                ours_s.append(ended - middle)
        return statistics.median(ours_s), statistics.median(bare_s)

    for kind in KINDS_MEASURED:
        ours, reference = compare(kind)
        sys.stdout.write(f"STEP\t{kind}\t{ours * 1000:.3f}\t{reference * 1000:.3f}\n")


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    measure()
