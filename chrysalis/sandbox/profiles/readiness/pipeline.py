"""The reports of the service's pipeline: tests, coverage and load tests, each really run against the sandbox.

The loads are short: the numbers of users are the document's, who come one after the other and pause between requests as
users do, so that all of them together stay within what two cores answer. The 10,000 concurrent requests are sent without
either. What lasts a day lasts a day of the plan's clock.
"""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chrysalis.effects.load_test import Load, LoadResult, run_load
from chrysalis.sandbox.files import write_whole
from chrysalis.sandbox.junit import junit
from chrysalis.sandbox.load_log import read_requests
from chrysalis.sandbox.profiles.readiness import trials
from chrysalis.sandbox.profiles.readiness.coverage import measure_coverage
from chrysalis.sandbox.profiles.readiness.surroundings import metrics_of
from chrysalis.sandbox.sandbox import Sandbox

USERS = (100, 500, 1_000, 5_000)
AT_ONCE = 10_000
REQUESTS_A_SECOND = 120.0
LONGEST_RAMP_S = 12.0
MINUTE_S = 60.0
LOAD_S = 4.0
"""After the last user has come."""
SUITES = {
    "unit": trials.unit,
    "integration": trials.integration,
    "migrations": trials.migrations,
    "security": trials.security,
    "stress": trials.degradation,
    "rollback": trials.rollback,
}


def run_pipeline(sandbox: Sandbox, speed: float) -> None:
    """Write all reports."""
    for name, suite in SUITES.items():
        write_whole(sandbox.reports / f"{name}.xml", junit(name, trials.run_all(suite(sandbox))))
    before = _memory(sandbox)
    performance(sandbox)
    stability(sandbox, speed, before)
    measure_coverage(sandbox.folder / "repository", sandbox.reports / "coverage.xml")
    for users in USERS:
        _report(sandbox, f"load-{users}", users, _load(sandbox, users))
    at_once = _all_at_once(sandbox)
    _report(sandbox, "stress", at_once.most_at_once, at_once)


def performance(sandbox: Sandbox) -> None:
    """Over 1,000 requests, and what they cost."""
    before, cpu_before, began = _memory(sandbox), _cpu_s(sandbox), time.monotonic()
    result = run_load(Load(url=_work(sandbox), users=20, duration_s=10.0, pause_at_least_s=0.1, pause_at_most_s=0.2))
    cpu = (_cpu_s(sandbox) - cpu_before) / (time.monotonic() - began)
    growth = max(0.0, _memory(sandbox) / before - 1)
    _report(sandbox, "performance", 20, result, cpu=cpu, memory_growth=growth)


def stability(sandbox: Sandbox, speed: float, memory_before: float) -> None:
    """What the generator has seen since the sandbox began, in the plan's time."""
    requests = list(read_requests(sandbox.layout.load_log))
    seconds = (requests[-1].t - requests[0].t) * speed
    times = sorted(one.ms for one in requests)
    lost = sum(one.lost for one in requests)
    _write(
        sandbox,
        "stability",
        {
            "seconds": seconds,
            "requests": len(requests),
            "failures": lost,
            "server_errors": lost,
            "memory_growth": max(0.0, _memory(sandbox) / memory_before - 1),
            "p99_ms": times[int(len(times) * 0.99)],
        },
    )


def _load(sandbox: Sandbox, users: int) -> LoadResult:
    pause_s = users / REQUESTS_A_SECOND
    ramp_s = min(pause_s, LONGEST_RAMP_S)
    pausing = Load(_work(sandbox), users, ramp_s + LOAD_S, pause_at_least_s=pause_s, pause_at_most_s=2 * pause_s)
    return run_load(replace(pausing, ramp_s=ramp_s))


def _all_at_once(sandbox: Sandbox) -> LoadResult:
    """One request of each user, who then pauses until the end."""
    once = Load(_work(sandbox), AT_ONCE, LOAD_S, ramp_s=1.0, pause_at_least_s=MINUTE_S, pause_at_most_s=MINUTE_S)
    return run_load(replace(once, timeout_s=MINUTE_S))


def _work(sandbox: Sandbox) -> str:
    return sandbox.state.urls["canary"] + "/work"


def _report(sandbox: Sandbox, name: str, users: int, result: LoadResult, **more: float) -> None:
    codes = {reason: count for reason, count in result.failures.items() if reason.startswith("status ")}
    server = sum(count for reason, count in codes.items() if reason.startswith("status 5"))
    client = sum(count for reason, count in codes.items() if reason.startswith("status 4"))
    told = {
        "users": users,
        "seconds": result.seconds,
        "most_at_once": result.most_at_once,
        "requests": result.requests,
        "failures": result.failed,
        "server_errors": server,
        "client_errors": client,
        "timeouts": result.failed - server - client,
        "p50_ms": result.p50_ms,
        "p95_ms": result.p95_ms,
        "p99_ms": result.p99_ms,
        **more,
    }
    _write(sandbox, name, told)


def _write(sandbox: Sandbox, name: str, told: dict[str, Any]) -> None:
    told = {"ended_at": datetime.now(UTC).isoformat(), **told}
    write_whole(sandbox.reports / f"{name}.json", json.dumps(told, indent=2))


def _memory(sandbox: Sandbox) -> float:
    return metrics_of(sandbox.state.urls["canary"])["memory_bytes"]


def _cpu_s(sandbox: Sandbox) -> float:
    """Processor time that the canary has used, in seconds."""
    with open(f"/proc/{sandbox.state.pids['canary']}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
