"""`python -m benchmarks.load`: readiness's load test in full, and 10,000 concurrent requests; minutes, loopback only.

Each size is sent by locust's users against the new version of the sandbox's service, once at its own address and once
through Envoy with all of the weight. Users come over ten seconds and pause so that together they send 60 requests a second,
for 20 s. The concurrent requests come within a second, one of each user, each waited for. Writes `load.json`.
`python -m benchmarks.load at once` sends only those loads that have these words in their name.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chrysalis.effects.load_test import Load, LoadResult, run_load
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.base import Stamp

REPORT = Path("load.json")
USERS = (100, 500, 1_000, 5_000)
AT_ONCE = 10_000
REQUESTS_A_SECOND, RAMP_S, HELD_S = 60.0, 10.0, 20.0
ALL_AT_ONCE_S, ANSWERED_WITHIN_S = 1.0, 60.0


def loads(url: str) -> Iterator[tuple[str, Load]]:
    """Each with its name."""
    for users in USERS:
        pause_s = users / REQUESTS_A_SECOND
        load = Load(url, users, RAMP_S + HELD_S, pause_at_least_s=0.5 * pause_s, pause_at_most_s=1.5 * pause_s)
        yield f"{users:,} users", replace(load, ramp_s=RAMP_S)
    once = Load(url, AT_ONCE, ALL_AT_ONCE_S, pause_at_least_s=ANSWERED_WITHIN_S, pause_at_most_s=ANSWERED_WITHIN_S)
    yield f"{AT_ONCE:,} requests at once", replace(once, ramp_s=ALL_AT_ONCE_S, timeout_s=ANSWERED_WITHIN_S)


def main() -> int:
    """Those with the words of the command line in their name, and a table."""
    words = " ".join(sys.argv[1:])
    found: dict[str, LoadResult] = {}
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-load-") as folder,
        Sandbox.start(Path(folder), settings=SandboxSettings(load=False)) as sandbox,
    ):
        with sandbox.router() as router:
            router.write(100, Stamp(1, "load", "all"))
        for where in ("canary", "service"):
            for name, load in loads(sandbox.state.urls[where] + "/work"):
                title = f"{name}, {'through Envoy' if where == 'service' else 'at the service'}"
                if words not in title:
                    continue
                found[title] = run_load(load)
                sys.stderr.write(f"{title}: {found[title]}\n")
    show(found)
    told = {title: asdict(result) for title, result in found.items()}
    REPORT.write_text(json.dumps({"load_average": os.getloadavg(), "cores": os.cpu_count(), "loads": told}, indent=2) + "\n")
    return 0


def show(found: dict[str, LoadResult]) -> None:
    """A row per load."""
    table = Table(title="load on the sandbox's service")
    for title in ("what", "requests", "failed", "most at once", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(title, justify="left" if title == "what" else "right")
    for title, one in found.items():
        times = (f"{ms:,.0f}" for ms in (one.p50_ms, one.p95_ms, one.p99_ms))
        table.add_row(title, f"{one.requests:,}", f"{one.failed:,}", f"{one.most_at_once:,}", *times)
    Console(width=130).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
