"""Breach to safe: the watch beside a bare loop that only asks and writes, in turn, in one sandbox, on both paths.

Measured at the client: from the first error it got to the last request it sent to the canary, header-routed ones included.
Watch and loop ask the same at the same interval, so the ratio is what the watch adds: the ledger, every other trigger, the
lease, the record. On the fast path both ask the router for its counters, on the other one Prometheus. With 1,000 soaks, the
watch looks after 999 more at the same time, each with four triggers on Prometheus and one on the router's counters.
"""

import math
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import httpx

from benchmarks.busy_ledger import plan_text, soak
from benchmarks.many_services import prometheus_with
from benchmarks.result import Result
from chrysalis.local.stack import sandbox_variables
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.base import Stamp
from chrysalis.targets.envoy_routes import HeaderOverride

ROUNDS = {"fast": 9, "breach": 6}
INTERVAL_S = 0.25
BUSY_INTERVAL_S = 1.0
"""Between two ticks over 1,000 soaks, and between two looks of the bare loop beside them."""
WEIGHT = 50
LIMIT = 0.02
SETTLE_S = {"fast": 2.0, "breach": 5.5}
"""Until the errors of the round before have left the rate's window and there are fresh samples."""
WARM_S = 1.5
READY_S = 300.0
GIVE_UP_S = 60.0
SEEN_S = 30.0
"""How long the client may take to write down what it got."""
TRIES = 3
"""At a round in which no error reached the client, because those of the round before had the loop act at once."""
FEWEST_ROUNDS = 3
MOST_S = {"fast": 75.0, "breach": 110.0}
"""For the rounds of one path; a machine that is slower makes fewer."""
MANY = 1_000
WORST_MS = 2_000.0
OVERRIDE = HeaderOverride("x-canary", "on")
QUERY = (
    '(sum(rate(envoy_cluster_upstream_rq_xx{side="canary",envoy_response_code_class="5"}[4s])) or vector(0))'
    ' / (sum(rate(envoy_cluster_upstream_rq_completed{side="canary"}[4s])) > 0)'
)
COUNTERS = r"^cluster\.canary\.upstream_rq_(5xx|completed)$"
PATHS = {"fast": "router's counters", "breach": "Prometheus"}


def run() -> list[Result]:
    """Medians and worst cases of ours and of the floor."""
    settings = SandboxSettings(header_share=0.1)
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home,
        Sandbox.start(Path(home) / "sandbox", settings=settings) as sandbox,
    ):
        os.environ.update(sandbox_variables(sandbox))
        os.environ.update({"CHRYSALIS_HOME": home, "CHRYSALIS_PLANS": str(Path(__file__).parent / "plans")})
        for soaks in dict.fromkeys((1, MANY)):
            with _others(soaks, sandbox, Path(home)):
                for path in PATHS:
                    results += _compared(path, soaks, sandbox)
    return results


@contextmanager
def _others(soaks: int, sandbox: Sandbox, home: Path) -> Iterator[None]:
    """The other soaks, and a Prometheus that knows their services as well."""
    from chrysalis.clock import utc_now
    from tasks.workspace import open_ledger, settings

    os.environ["CHRYSALIS_LEDGER_URL"] = f"sqlite:///{home / f'{soaks}.db'}"
    settings.cache_clear()
    if soaks == 1:
        yield
        return
    soak(open_ledger(), plan_text("soak"), range(soaks - 1), utc_now(), fast=True)
    admin = sandbox.state.urls["envoy_admin"].removeprefix("http://")
    envoy = {
        "job_name": "envoy",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "metrics_path": "/stats/prometheus",
        "params": {"filter": [r"^cluster\.(stable|canary)\.upstream_rq"]},
        "static_configs": [{"targets": [admin], "labels": {"service": "bench"}}],
        "metric_relabel_configs": [
            {"source_labels": ["envoy_cluster_name"], "regex": "(stable|canary)", "target_label": "side"}
        ],
    }
    with prometheus_with(soaks, home, jobs=[envoy]) as served:
        os.environ["PROMETHEUS_URL"] = served.url
        yield


def _compared(path: str, soaks: int, sandbox: Sandbox) -> list[Result]:
    floor_ms, ours_ms = [], []
    tick_s = INTERVAL_S if soaks == 1 else BUSY_INTERVAL_S
    bare = {"fast": _bare_counters, "breach": partial(_bare_prometheus, every_s=tick_s)}[path]
    every_s = INTERVAL_S if path == "fast" else tick_s
    ends = time.monotonic() + MOST_S[path]
    for number in range(ROUNDS[path]):
        if number >= FEWEST_ROUNDS and time.monotonic() > ends:
            break
        # The fault comes at every phase of the looks, the same for both.
        warm_s = WARM_S + every_s * number / ROUNDS[path]
        floor_ms.append(_exposure_ms(sandbox, path, warm_s, lambda _: partial(bare, sandbox)))
        ours = partial(_watch, path, soaks, tick_s, number)
        ours_ms.append(_exposure_ms(sandbox, path, warm_s, ours))
    name = f"breach to safe, {PATHS[path]}, {soaks} soak{'s' if soaks > 1 else ''}"
    return [
        Result(f"{name}: median", statistics.median(ours_ms), statistics.median(floor_ms), "a bare loop", "ms"),
        Result(f"{name}: p99", _p99(ours_ms), WORST_MS, "the limit", "ms"),
        Result(f"{name}: p99 of the bare loop", _p99(floor_ms), None, "", "ms"),
    ]


def _p99(values: list[float]) -> float:
    """The smallest value that 99 % do not exceed; of fewer than 100 the largest."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


Loop = Callable[[threading.Event, threading.Event], None]
"""Runs until the first event is set, and sets the second once it has looked at everything."""


def _exposure_ms(sandbox: Sandbox, path: str, warm_s: float, loop: Callable[[int], Loop]) -> float:
    for attempt in range(TRIES):
        if (exposure := _tried(sandbox, path, warm_s, loop(attempt))) is not None:
            return exposure
    raise SystemExit("no error reached the client; the fault did not take")


def _tried(sandbox: Sandbox, path: str, warm_s: float, loop: Loop) -> float | None:
    """Milliseconds; None when no error reached the client."""
    sandbox.clear_faults("canary")
    with sandbox.router(overrides=(OVERRIDE,)) as router:
        last = router.read().stamp
        router.write(WEIGHT, Stamp(0 if last is None else last.token, "bench", "weight"))
        time.sleep(SETTLE_S[path])
        with _running(loop) as ready:
            if not ready.wait(READY_S):
                raise SystemExit(f"the watch has not looked at everything within {READY_S:g} s")
            time.sleep(warm_s)
            began = time.time()
            sandbox.fault("canary", error_rate=0.3)
            deadline = time.monotonic() + GIVE_UP_S
            while router.read().canary_percent and time.monotonic() < deadline:
                time.sleep(0.02)
    time.sleep(0.5)
    deadline = time.monotonic() + SEEN_S
    while (exposure := sandbox.load_summary(since_s=began).exposure_ms) is None and time.monotonic() < deadline:
        time.sleep(0.5)
    return exposure


@contextmanager
def _running(loop: Loop) -> Iterator[threading.Event]:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=loop, args=(stop, ready), daemon=True)
    thread.start()
    try:
        yield ready
    finally:
        stop.set()
        thread.join()


def _bare_prometheus(sandbox: Sandbox, stop: threading.Event, ready: threading.Event, *, every_s: float) -> None:
    """The floor: ask, compare, write."""
    url = os.environ["PROMETHEUS_URL"] + "/api/v1/query"
    ready.set()
    with httpx.Client(trust_env=False) as client:
        while not stop.wait(every_s):
            found = client.get(url, params={"query": QUERY}).json()["data"]["result"]
            if found and float(found[0]["value"][1]) > LIMIT:
                _bare_write(sandbox)
                return


def _bare_counters(sandbox: Sandbox, stop: threading.Event, ready: threading.Event) -> None:
    """The floor: ask, compare with the look before, write."""
    url = sandbox.state.urls["envoy_admin"] + "/stats"
    before: dict[str, int] = {}
    ready.set()
    with httpx.Client(trust_env=False) as client:
        while not stop.wait(INTERVAL_S):
            stats = client.get(url, params={"filter": COUNTERS, "format": "json"}).json()["stats"]
            now = {one["name"].rpartition("_")[2]: int(one["value"]) for one in stats if "name" in one}
            failed, asked = (now.get(name, 0) - before.get(name, 0) for name in ("5xx", "completed"))
            if before and asked and failed / asked > LIMIT:
                _bare_write(sandbox)
                return
            before = now


def _bare_write(sandbox: Sandbox) -> None:
    with sandbox.router() as router:
        last = router.read().stamp
        router.write(0, Stamp(1 if last is None else last.token, "bench", "safe"))


def _watch(plan: str, soaks: int, interval_s: float, number: int, attempt: int) -> Loop:
    from chrysalis.clock import utc_now
    from tasks.fast_looks import looking_fast
    from tasks.lifecycle import arm, register, take_over
    from tasks.pauses import without_pauses
    from tasks.sentry import Sentry
    from tasks.workspace import Workspace, open_ledger

    version = f"{soaks}-{number}-{attempt}"

    def loop(stop: threading.Event, ready: threading.Event) -> None:
        rollout, _ = register(plan, version, reason="", started_by="bench", speed=1.0, dry_run=False, again=False)
        token = take_over(rollout.id)
        ledger = open_ledger()
        ledger.set_state(rollout.id, token, state="running", now=utc_now())
        ledger.set_position(rollout.id, token, phase="all", weight_percent=WEIGHT, status_text="", now=utc_now())
        workspace = Workspace.open(rollout.id, token)
        for router in workspace.routers().values():
            router.write(WEIGHT, workspace.stamp("weight"))
        arm(rollout.id, token, workspace.plan.phases[0])
        sentry = Sentry(ledger, lambda run, nudge: False, f"bench-{version}", interval_s)
        looks = looking_fast(sentry, INTERVAL_S) if plan == "fast" or soaks > 1 else nullcontext()
        with without_pauses() as between_ticks, looks:
            due = time.monotonic()
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = time.monotonic() + interval_s
                sentry.tick(utc_now())
                between_ticks()
                if all(post.findings.keys() >= post.slow.keys() | post.fast.keys() for post in sentry.roster.posts):
                    ready.set()
        sentry.close()
        ledger.set_state(rollout.id, ledger.get(rollout.id).token, state="ended", outcome="aborted", now=utc_now())

    return loop
