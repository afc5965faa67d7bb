"""One real stack for the tests of a session: Prefect's server, worker, watch and sandbox, in a process of its own.

It runs apart from pytest, as `python -m tests.stack HOME`, so that stopping it ends its own descendants and nothing else;
it ends when its standard input closes, so that it does not outlive a pytest that was killed. What tests ask of it goes over
HTTP, as CI does, or through the ledger, as the command line does. Plans come from `tests/plans`.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from chrysalis.ledger import Ledger, Rollout
from chrysalis.local.stack import Stack, StackSettings
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.settings import CHECKOUT

PLANS = Path(__file__).parent / "plans"
SPEED = 3600.0
"""Plan seconds in a real one: an hour of the short plans is a second."""
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0
WAIT_S = 90.0
PLANTED = {"PLANTED_COMMAND_VALUE": "Zq7-passed-on-to-a-command-41xT"}
"""What every process of the stack has in its environment, for tests/flows/test_secrets.py to look for."""
POLL_S = 0.1
BUSY_S = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up, and what tests ask of it."""

    home: Path
    api_url: str
    ui_url: str

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.home / 'ledger.db'}")

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox.attach(self.home / "sandbox")

    def environment(self) -> dict[str, str]:
        """For a process that works with this stack, such as the command line."""
        own = {"PREFECT_API_URL": self.api_url, "CHRYSALIS_HOME": str(self.home), "CHRYSALIS_PLANS": str(PLANS)}
        return {**os.environ, **PLANTED, **own}

    def start(self, version: str, *, plan: str = "crystal", **parameters: Any) -> str:
        """Create a run of the deployment `rollout/PLAN`, as CI does. Returns the flow run's id."""
        deployment = self.call("GET", f"/deployments/name/rollout/{plan}")["id"]
        given = {"version": version, "reason": "test", "started_by": "ci", "speed": SPEED, "plan": plan, **parameters}
        return str(self.call("POST", f"/deployments/{deployment}/create_flow_run", {"parameters": given})["id"])

    def state(self, run_id: str) -> tuple[str, str]:
        """(type, name), such as ("PAUSED", "Suspended")."""
        state = self.call("GET", f"/flow_runs/{run_id}")["state"]
        return state["type"], state["name"]

    def resume(self, run_id: str, **entry: str) -> dict[str, Any]:
        """Send the form of a suspended run. Returns Prefect's answer: status ACCEPT, or REJECT with the reason."""
        answer: dict[str, Any] = self.call("POST", f"/flow_runs/{run_id}/resume", {"run_input": entry})
        return answer

    def approve(self, run_id: str, approver: str, comment: str = "go") -> None:
        """Sign by the form, once it is open."""
        entry = {"decision": "approve", "approver": approver, "comment": comment}
        until(lambda: self.resume(run_id, **entry)["status"] == "ACCEPT", "the form to be open")

    def wait_for(self, run_id: str, *names: str, timeout_s: float = WAIT_S) -> str:
        """Wait until the run's state has one of these names, such as Suspended or Completed. Returns it."""
        return until(
            lambda: name if (name := self.state(run_id)[1]) in names else None,
            f"{' or '.join(names)}; it is {self.state(run_id)}",
            timeout_s=timeout_s,
        )

    def rollout_of(self, run_id: str) -> Rollout:
        """The rollout that the flow run works for, once it has registered one."""
        return until(lambda: self.ledger.find_by_flow_run(run_id), f"a rollout of flow run {run_id}")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of Prefect's API, again while its database is busy. Raises httpx.HTTPStatusError."""
        deadline = time.monotonic() + BUSY_S
        while True:
            answer = httpx.request(method, self.api_url + path, json=body, timeout=20.0, trust_env=False)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


def until(reached: Callable[[], T | None], what: str, *, timeout_s: float = WAIT_S) -> T:
    """Wait until `reached` returns something true, and return it; fail the test when it does not come about."""
    deadline = time.monotonic() + timeout_s
    while not (found := reached()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(POLL_S)
    return found


@contextmanager
def running_stack(home: Path) -> Iterator[RunningStack]:
    """Start one below `home` and stop it at the end."""
    command = [sys.executable, "-m", "tests.stack", str(home)]
    with (home / "stack.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **PLANTED, "CHRYSALIS_PLANS": str(PLANS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            assert ready.select(START_TIMEOUT_S), f"the stack is not up after {START_TIMEOUT_S:g} s; see {home}"
        line = process.stdout.readline()
        assert line, f"the stack did not start: {(home / 'stack.log').read_text()[-2000:]}"
        yield RunningStack(home, **json.loads(line))
    finally:
        process.stdin.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The session's stack. Tests that use it are marked `stack` and run in one process."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def main() -> None:
    """Run a stack until standard input closes; its addresses go to standard output as one line of JSON."""
    sandbox = SandboxSettings(rate_rps=60, plan_speed=SPEED)
    with Stack(Path(sys.argv[1]), StackSettings(sandbox=sandbox)) as running:
        running.start(lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201
        print(json.dumps({"api_url": running.api_url, "ui_url": running.ui_url}), flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main()
