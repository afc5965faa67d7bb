"""A bounded load test: so many users for so long against one address, and what they saw.

Sent by locust in a process of its own (`load_worker`), which ends with the call, whatever happens.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from chrysalis.effects.launcher import launched
from chrysalis.errors import StepFailed

GRACE_S = 60.0
"""Beyond the load's own duration: the process's start, and requests that were on their way at the end."""
RAMP_S = 2.0
FAILURES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. GET, or POST with one of `bodies` at random. Durations in real seconds."""

    url: str
    users: int
    duration_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: Sequence[Mapping[str, Any]] = ()
    expect_headers: Mapping[str, str] = field(default_factory=dict)
    contains: str = ""
    status: int = 200
    pause_at_least_s: float = 0.0
    pause_at_most_s: float = 0.0
    ramp_s: float = RAMP_S
    """The users come one after the other, and all of them are there after so long; a part of `duration_s`."""
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back. Latencies in milliseconds, to the end of the answer; percentiles are of all requests."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_token_p95_ms: float | None
    """Of event streams: until the first event with something in it."""
    failures: Mapping[str, int]
    most_at_once: int
    """Requests that were under way at the same moment, as the sender saw it."""

    @property
    def failure_ratio(self) -> float:
        """Of the requests; 1 where there were none."""
        return self.failed / self.requests if self.requests else 1.0

    def __str__(self) -> str:
        rate = self.requests / self.seconds if self.seconds else 0.0
        said = f"{self.requests:,} requests, {rate:,.0f}/s, at most {self.most_at_once:,} at once"
        said += f", p50 {self.p50_ms:.0f}, p95 {self.p95_ms:.0f}, p99 {self.p99_ms:.0f} ms"
        if self.first_token_p95_ms is not None:
            said += f", first token p95 {self.first_token_p95_ms:.0f} ms"
        worst = sorted(self.failures.items(), key=lambda item: -item[1])[:FAILURES_SHOWN]
        why = "".join(f"; {count:,}: {reason}" for reason, count in worst)
        return f"{said}, {self.failed:,} failed{why}"


def run_load(load: Load) -> LoadResult:
    """Send it, and wait until the last answer. Raises StepFailed when nothing could be sent, or it does not end."""
    limit_s = load.duration_s + load.timeout_s + GRACE_S
    try:
        done = subprocess.run(
            launched([sys.executable, "-m", "chrysalis.effects.load_worker"]),
            input=json.dumps(asdict(load)),
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"load test of {load.url}: still running after {limit_s:.0f} s, ended") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise StepFailed(f"load test of {load.url}: exit code {done.returncode}, expected 0: {last}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    latencies = np.asarray(told["latencies_ms"], dtype=float)
    if not latencies.size:
        raise StepFailed(f"load test of {load.url}: {load.users} users sent nothing within {load.duration_s:g} s")
    p50, p95, p99 = (float(one) for one in np.percentile(latencies, (50, 95, 99)))
    tokens = told["first_token_ms"]
    first = float(np.percentile(tokens, 95)) if tokens else None
    counted = told["failures"], told["most_at_once"]
    return LoadResult(latencies.size, told["failed"], told["seconds"], p50, p95, p99, first, *counted)
