"""What the oracle's own pipeline does before a rollout, really done: its load test, and the tests of the orchestrator.

Both ask the processes directly: nobody is routed to Spiralogic yet.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

from chrysalis.effects.load_test import Load, run_load
from chrysalis.sandbox.files import write_whole
from chrysalis.sandbox.junit import Case, junit
from chrysalis.sandbox.load_report import write_load_report
from chrysalis.sandbox.sandbox import Sandbox

USERS, LOAD_S = 10, 5.0
PATH = "/api/oracle/chat"
QUESTION = {"userId": "trial", "text": "Help me find clarity", "element": "air"}
ON = {"x-experiment-spiralogic": "on"}


def load_test(sandbox: Sandbox, speed: float) -> None:
    """Ten users, each with a pause of 1-3 s; five real seconds, which are far more than 2 min of the plan's clock."""
    result = run_load(
        Load(
            url=sandbox.state.urls["canary"] + PATH,
            users=USERS,
            duration_s=LOAD_S,
            headers={"content-type": "application/json", **ON},
            bodies=[QUESTION],
            expect_headers={"x-orchestrator": "^spiralogic$"},
            pause_at_least_s=1.0,
            pause_at_most_s=3.0,
        )
    )
    write_load_report(sandbox.reports / "load.json", USERS, result, speed)


def orchestrator_tests(sandbox: Sandbox) -> int:
    """The orchestrator's tests, against the running versions; the report is `orch.xml`. Returns the exit code."""
    urls = sandbox.state.urls

    def ask(side: str, **headers: str) -> httpx.Response:
        return httpx.post(urls[side] + PATH, json=QUESTION, headers=headers, timeout=5.0, trust_env=False)

    tests: dict[str, Callable[[], Any]] = {
        "Spiralogic answers by its header": lambda: ask("canary", **ON).headers["x-orchestrator"] == "spiralogic",
        "it says in which mode": lambda: ask("canary", **ON).headers["x-orchestrator-mode"] in ("full", "lite", "fallback"),
        "the header off asks for the baseline": lambda: (
            ask("canary", **{"x-experiment-spiralogic": "off"}).headers["x-orchestrator"] == "baseline"
        ),
        "the baseline does not know the header": lambda: ask("stable", **ON).headers["x-orchestrator"] == "baseline",
        "an answer has a message": lambda: ask("canary", **ON).json()["data"]["message"],
        "an event stream ends": lambda: ask("canary", accept="text/event-stream").text.rstrip().endswith("}"),
    }
    cases = [_run(name, test) for name, test in tests.items()]
    write_whole(sandbox.reports / "orch.xml", junit("orchestrator", cases))
    for case in cases:
        sys.stdout.write(f"{'FAILED' if case.failure else 'ok'} {case.name} {case.failure}\n")
    return int(any(case.failure for case in cases))


def _run(name: str, test: Callable[[], Any]) -> Case:
    began = time.perf_counter()
    try:
        failure = "" if test() else "it is not so"
    except (httpx.HTTPError, KeyError, ValueError) as error:
        failure = f"{type(error).__name__}: {error}"
    return Case(name, time.perf_counter() - began, failure)
