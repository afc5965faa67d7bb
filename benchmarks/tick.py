"""What a tick costs: soaks under four triggers each, on a real Prometheus that scrapes a service for every one of them.

Wall and CPU time of the watch's process alone, without the server's; medians of several ticks, the first left out (it reads
the plans). The curve goes to 10,000 soaks. Then 10,000 ticks in a row, to see whether memory stays flat.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.busy_ledger import plan_text, soak
from benchmarks.many_services import prometheus_with
from benchmarks.result import Result

SIZES = (1, 100, 1_000, 2_500, 5_000, 10_000)
TICKS = 9
WALL_LIMIT_MS, CPU_LIMIT_MS = 500.0, 300.0
LIMITED = 1_000
HELD = 20
MANY_TICKS = 10_000
MEMORY_S = 240.0
"""At most; a machine that is slower ticks less often, and the figure's name says how often it did."""


def run() -> list[Result]:
    """The curve, and the memory."""
    from chrysalis.clock import utc_now
    from chrysalis.ledger import Ledger

    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home:
        folder = Path(home)
        with prometheus_with(max(SIZES), folder) as url:
            os.environ.update({"PROMETHEUS_URL": url, "ENVOY_ADMIN_URL": "", "ENVOY_ROUTE_FILE": "", "CHRYSALIS_HOME": home})
            for size in SIZES:
                os.environ["CHRYSALIS_LEDGER_URL"] = f"sqlite:///{folder / f'{size}.db'}"
                _forget()
                with Ledger.open(os.environ["CHRYSALIS_LEDGER_URL"]) as ledger:
                    soak(ledger, plan_text("soak"), range(size), utc_now())
                wall_ms, cpu_ms = _ticks(size)
                limited = size == LIMITED
                results += [
                    Result(
                        f"tick, {size} soaks: wall",
                        wall_ms,
                        WALL_LIMIT_MS if limited else None,
                        "the limit" if limited else "",
                        "ms",
                    ),
                    Result(
                        f"tick, {size} soaks: CPU",
                        cpu_ms,
                        CPU_LIMIT_MS if limited else None,
                        "the limit" if limited else "",
                        "ms",
                    ),
                ]
    return results


def _forget() -> None:
    from tasks.workspace import open_ledger, plan_of, settings

    for kept in (settings, plan_of):
        kept.cache_clear()
    open_ledger()


def _ticks(size: int) -> tuple[float, float]:
    """(wall, CPU) of a tick, medians in ms."""
    from chrysalis.clock import utc_now
    from tasks.sentry import Sentry
    from tasks.workspace import open_ledger

    sentry = Sentry(open_ledger(), lambda run, nudge: False, "bench", 1.0)
    wall, cpu = [], []
    for number in range(TICKS + 2):
        began, began_cpu = time.perf_counter(), time.process_time()
        looked = sentry.tick(utc_now())
        if looked != size:
            raise SystemExit(f"the tick looked at {looked} rollouts, expected {size}")
        if number >= 2:
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - began_cpu) * 1000)
    unseen = [
        post.id
        for post in sentry.roster.posts
        if not post.findings
        or post.findings["latency" if "latency" in post.findings else "slow"].verdict.name == "INCONCLUSIVE"
    ]
    if unseen:
        raise SystemExit(f"{len(unseen)} of {size} were not measured: {unseen[:3]}")
    sentry.close()
    return statistics.median(wall), statistics.median(cpu)


if __name__ == "__main__":
    SIZES = tuple(int(one) for one in sys.argv[1:]) or SIZES
    for one in run():
        sys.stdout.write(f"{one.name}\t{one.ours:.1f} {one.unit}\n")
