"""What a tick costs: soaks under four triggers each, on a real Prometheus that scrapes a service for every one of them.

Wall time, CPU time of the watch's process, and that of Prometheus; medians of several ticks, the first ones left out (they
read the plans). The curve goes to 10,000 soaks and is drawn to `bench-tick.svg`. Then 10,000 ticks of a few soaks in a row,
to see whether memory stays flat: the process's proportional share (PSS) after the first tenth and at the end.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.busy_ledger import plan_text, soak
from benchmarks.curve import Line, draw
from benchmarks.many_services import Served, prometheus_with
from benchmarks.result import Result
from gates.verdict import Verdict
from tasks.pauses import without_pauses
from tasks.sentry import Sentry

SIZES = (1, 100, 1_000, 2_500, 5_000, 10_000)
TICKS = 9
FEWEST_TICKS = 3
MOST_CURVE_S = 25.0
"""For the ticks of one size; a machine that is slower makes fewer."""
OPENED_S = 60.0
"""Until every rollout's plan has been read and every trigger was judged once."""
LIMITS_MS = {"wall": 500.0, "CPU": 300.0}
LIMITED = 1_000
CURVE = Path("bench-tick.svg")
FEW = 5
MANY_TICKS = 10_000
LOOK_EVERY = 100
MOST_S = 150.0
"""The many ticks take at most this; a machine that is slower does fewer, and the figure's name says how many."""


def run() -> list[Result]:
    """The curve, and the memory."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="chrysalis-bench-", dir=_memory_disk()) as home:
        folder = Path(home)
        with prometheus_with(max(SIZES), folder) as served:
            os.environ.update(
                {"PROMETHEUS_URL": served.url, "ENVOY_ADMIN_URL": "http://127.0.0.1:9", "ENVOY_ROUTE_FILE": "unused"}
            )
            os.environ["CHRYSALIS_HOME"] = home
            taken = {size: _ticks(size, folder, served) for size in SIZES}
            results.append(_memory(folder))
    for size, costs in taken.items():
        for what, ms in costs.items():
            limit = LIMITS_MS.get(what) if size == LIMITED else None
            results.append(Result(f"tick, {size} soaks: {what}", ms, limit, "the limit" if limit else "", "ms"))
    _draw(taken)
    return results


def _memory_disk() -> str | None:
    """A disk in memory where there is one: a disk's flushes are not what is measured here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of its own is made in it


@contextmanager
def _watch(size: int, folder: Path) -> Iterator[Sentry]:
    """A sentry over a ledger of its own with that many soaks."""
    from chrysalis.clock import utc_now
    from tasks.workspace import open_ledger
    from tests.caches import forget

    os.environ["CHRYSALIS_LEDGER_URL"] = f"sqlite:///{folder / f'{size}.db'}"
    forget()
    ledger = open_ledger()
    soak(ledger, plan_text("soak"), range(size), utc_now())
    sentry = Sentry(ledger, lambda run, nudge: False, "bench", 1.0)
    yield sentry
    sentry.close()
    ledger.close()


def _ticks(size: int, folder: Path, served: Served) -> dict[str, float]:
    """What one tick costs, medians in ms."""
    from chrysalis.clock import utc_now

    costs: dict[str, list[float]] = {"wall": [], "CPU": [], "CPU of Prometheus": []}
    with _watch(size, folder) as sentry, without_pauses() as between_ticks:
        opened_by = time.monotonic() + OPENED_S
        for _ in range(2):
            sentry.tick(utc_now())
            between_ticks()
        while _unjudged(sentry, size) and time.monotonic() < opened_by:
            sentry.tick(utc_now())
            between_ticks()
        ends = time.monotonic() + MOST_CURVE_S
        while len(costs["wall"]) < FEWEST_TICKS or (len(costs["wall"]) < TICKS and time.monotonic() < ends):
            began = (time.perf_counter(), time.process_time(), served.cpu_s)
            sentry.tick(utc_now())
            between_ticks()
            ended = (time.perf_counter(), time.process_time(), served.cpu_s)
            for kept, before, after in zip(costs.values(), began, ended, strict=True):
                kept.append((after - before) * 1000)
        unjudged = _unjudged(sentry, size)
    if unjudged:
        # Prometheus gets behind on a machine that is slow; the figure stays true and says so.
        sys.stderr.write(f"tick, {size} soaks: {unjudged} of {4 * size} triggers were without data at the last tick\n")
    return {what: statistics.median(ms) for what, ms in costs.items()}


def _unjudged(sentry: Sentry, size: int) -> int:
    """How many of the triggers were not decided at the last tick."""
    findings = [finding for post in sentry.roster.posts for finding in post.findings.values()]
    return 4 * size - sum(finding.verdict is not Verdict.INCONCLUSIVE for finding in findings)


def _memory(folder: Path) -> Result:
    """Memory at the end of many ticks, beside that after the first tenth of them."""
    from chrysalis.clock import utc_now

    with _watch(FEW, folder) as sentry, without_pauses() as between_ticks:
        seen_mb: list[float] = []
        done, ends = 0, time.monotonic() + MOST_S
        while done < MANY_TICKS and time.monotonic() < ends:
            sentry.tick(utc_now())
            between_ticks()
            done += 1
            if done % LOOK_EVERY == 0 or done == 1:
                seen_mb.append(_pss_mb())
        last_mb = _pss_mb()
    tenth = done // 10 // LOOK_EVERY
    return Result(f"watch's memory after {done} ticks", last_mb, seen_mb[tenth], f"after {max(1, tenth * LOOK_EVERY)}", "MB")


def _pss_mb() -> float:
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("/proc/self/smaps_rollup does not say the process's share of memory")
    return int(found[1]) / 1024


def _draw(taken: dict[int, dict[str, float]]) -> None:
    charts = []
    for what in ("wall", "CPU"):
        most = max(costs[what] for costs in taken.values())
        points = [(float(size), costs[what] / most) for size, costs in taken.items()]
        linear = [(0.0, 0.0), (float(max(taken)), 1.0)]
        charts.append(
            (f"{what} of a tick, 100 % = {most:.0f} ms", "soaks", [Line("measured", points), Line("linear", linear)])
        )
    CURVE.write_text(draw(charts))
