"""Runs mutants against tests: `benchmarks/mutants.py` puts this file beside its copy of the tests, as their conftest.

pytest imports and collects once. Then each mutant has a fork of that process for itself, in which the tests that reach the
changed function run until one fails, those of its own file first, then the quick ones. Starting pytest anew for each would
take several times as long as the tests.
"""

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation import trampoline

UNTESTED = 33
_SLOWER = 15.0
_AT_LEAST_S = 3.0
_MEMORY = 6 * 2**30


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """What to run comes as JSON in MUTANTS: {mutant: seconds its tests may take, or null}. A line goes out for each."""
    asked: dict[str, float | None] = json.loads(Path(os.environ["MUTANTS"]).read_text())
    children = int(os.environ["MUTANT_CHILDREN"])
    _forget()
    took, reached = _measured(session.items)
    running: dict[int, str] = {}
    gc.collect()
    gc.freeze()
    with Path(os.environ["MUTANT_RESULTS"]).open("w") as results:

        def wait() -> None:
            pid, status = os.wait()
            results.write(json.dumps([running.pop(pid), os.waitstatus_to_exitcode(status)]) + "\n")
            results.flush()

        for name, budget_s in asked.items():
            function = name.rpartition("__mutmut_")[0]
            items = list(_first_the_likely(function, session.items, took, reached, budget_s))
            if not items:
                results.write(json.dumps([name, UNTESTED]) + "\n")
                continue
            if len(running) >= children:
                wait()
            pid = os.fork()
            if pid == 0:
                _run(name, items, _SLOWER * sum(took[item.nodeid] for item in items) + _AT_LEAST_S)
            running[pid] = name
        while running:
            wait()
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
    """Only whether it failed: pytest's own report parses the file of every frame anew, and one of mutants is long."""
    failed = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
    return pytest.TestReport(item.nodeid, item.location, {}, "failed" if failed else "passed", None, call.when)


def _forget() -> None:
    """Nothing that was remembered while the tests were imported may hide a mutant."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gates."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _measured(items: list[pytest.Item]) -> tuple[dict[str, float], dict[str, set[str]]]:
    """Seconds of every test, and which tests reach which function. In a fork, so that nothing is remembered."""
    seen = Path(os.environ["MUTANT_RESULTS"]).with_suffix(".seen")
    pid = os.fork()
    if pid == 0:
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        took, reached, hits = {}, {}, set()
        trampoline.record_trampoline_hit = lambda name, caller=None: hits.add(name)
        for item in items:
            began = process_time()
            if not _passes(item):
                sys.stderr.write(f"fails without any mutant: {item.nodeid}\n")
                os._exit(1)
            took[item.nodeid] = process_time() - began
            for function in hits:
                reached.setdefault(function, []).append(item.nodeid)
            hits.clear()
        seen.write_text(json.dumps([took, reached]))
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise pytest.UsageError("a test fails without any mutant")
    took, reached = json.loads(seen.read_text())
    return took, {function: set(tests) for function, tests in reached.items()}


def _first_the_likely(
    function: str,
    items: list[pytest.Item],
    took: dict[str, float],
    reached: dict[str, set[str]],
    budget_s: float | None,
) -> Iterator[pytest.Item]:
    """The tests that reach the function, those of its own file first, until `budget_s` is used up."""
    own = f"/test_{function.split('.')[1]}"
    found = [item for item in items if item.nodeid in reached.get(function, ())]
    found.sort(key=lambda item: (own not in item.nodeid, took[item.nodeid]))
    spent_s = 0.0
    for item in found:
        spent_s += took[item.nodeid]
        if budget_s is not None and spent_s > budget_s:
            return
        yield item


def _run(name: str, items: list[pytest.Item], most_s: float) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.environ["MUTANT_UNDER_TEST"] = name
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (int(most_s) + 1, int(most_s) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        os._exit(0 if all(_passes(item) for item in items) else 1)
    finally:
        os._exit(1)


def _passes(item: pytest.Item) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
