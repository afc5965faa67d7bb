"""What people, CI and misfortune do to a running stack: the command line, the form, `kill -9`."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL, temporary_settings

from chrysalis.cli import main
from chrysalis.ledger import Rollout
from chrysalis.settings import CHECKOUT
from gates.progress import Outcome
from tasks.lifecycle import end, take_over
from tasks.safety import make_safe
from tasks.workspace import Workspace, settings
from tests.stack import PLANS, SPEED, RunningStack, until

CHRYSALIS = str(Path(sys.executable).with_name("chrysalis"))
COPIED = ("flow_id", "entrypoint", "path", "pull_steps", "work_pool_name", "work_queue_name", "job_variables",
          "parameter_openapi_schema", "enforce_parameter_schema")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of a refusal. Fails on a traceback, on more than a line, and on success."""
        assert self.code == 1, self
        assert self.out == "", self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self
        return lines[0]


@dataclass(frozen=True, slots=True)
class Desk:
    """A place to work at, with the stack's environment set in this process."""

    stack: RunningStack

    def say(self, *arguments: str) -> Said:
        """The command line, in this process: an interpreter less to start."""
        out, err = io.StringIO(), io.StringIO()
        before = sys.argv
        sys.argv = ["chrysalis", *arguments]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.argv = before
        return Said(code, out.getvalue(), err.getvalue())

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The command line in a process of its own, for what takes long."""
        environment = self.stack.environment()
        return subprocess.Popen(
            [CHRYSALIS, *arguments], cwd=CHECKOUT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def start(self, plan: str, version: str, *more: str) -> Rollout:
        """Start a rollout as `ci`, with the clock of the tests."""
        said = self.say("start", plan, "--version", version, "--as", "ci", "--speed", str(SPEED), "--json", *more)
        assert said.code == 0, said
        return self.rollout(said.json["id"])

    def rollout(self, rollout_id: str) -> Rollout:
        return self.stack.ledger.get(rollout_id)

    def await_end(self, rollout_id: str, *, timeout_s: float = 90.0) -> Rollout:
        """The rollout once it has ended."""
        until(lambda: not self.rollout(rollout_id).active, f"the end of {rollout_id}", timeout_s=timeout_s)
        return self.rollout(rollout_id)

    def await_sign_off(self, rollout_id: str) -> None:
        """Until the rollout's process is given back and the form is open."""
        until(lambda: self.open_wait(rollout_id) == "sign_off", f"{rollout_id} to wait for a sign-off")
        run_id = self.rollout(rollout_id).flow_run_id or ""
        self.stack.wait_for(run_id, "Suspended")

    def open_wait(self, rollout_id: str) -> str:
        """The kind of what it waits for; empty for nothing."""
        return next((wait.kind for wait in self.stack.ledger.waits(rollout_id) if wait.is_open), "")

    def events(self, rollout_id: str, *events: str) -> list[str]:
        """The steps of the journal entries with one of these events, in order."""
        return [entry.step_id for entry in self.stack.ledger.journal(rollout_id) if entry.event in events]

    @property
    def weight(self) -> int:
        """What Envoy itself says."""
        with self.stack.sandbox.router() as router:
            return router.read().canary_percent

    def variable(self, name: str, value: str) -> None:
        """What `${NAME}` in a plan stands for from now on."""
        path = self.stack.home / "environment.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))


@contextlib.contextmanager
def at_desk(stack: RunningStack, plans: Sequence[str]) -> Iterator[Desk]:
    """Deploy these plans of `tests/plans`, and set the stack's environment for this process until the end."""
    for plan in plans:
        deploy(stack, plan)
    before = dict(os.environ)
    os.environ.update(stack.environment())
    settings.cache_clear()
    try:
        with temporary_settings({PREFECT_API_URL: stack.api_url}):
            yield Desk(stack)
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def deploy(stack: RunningStack, plan: str) -> None:
    """A deployment of `rollout` for a plan that prefect.yaml does not name."""
    assert (PLANS / plan / "plan.yaml").is_file()
    model = stack.call("GET", "/deployments/name/rollout/crystal")
    body = {**{name: model[name] for name in COPIED}, "name": plan, "parameters": {"plan": plan}}
    stack.call("POST", "/deployments/", body)


def tidy(desk: Desk) -> None:
    """End what a test left behind, and put the sandbox back to normal."""
    for rollout in desk.stack.ledger.active():
        token = take_over(rollout.id)
        make_safe(Workspace.open(rollout.id, token), 0, actor="tidy", cause="the test is over")
        end(rollout.id, token, Outcome.ABORTED, "the test is over")
    sandbox = desk.stack.sandbox
    sandbox.clear_faults("canary")
    sandbox.clear_faults("stable")


def processes(**environment: str) -> set[int]:
    """The processes that were started with these values in their environment."""
    wanted = {f"{name}={value}".encode() for name, value in environment.items()}
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted <= set(path.read_bytes().split(b"\0")):
                found.add(int(path.parent.name))
    return found


def flow_processes(stack: RunningStack, run_id: str) -> set[int]:
    """The processes that work for this flow run now."""
    return processes(PREFECT__FLOW_RUN_ID=run_id, PREFECT_HOME=str(stack.home / "prefect"))


def worker_process(stack: RunningStack) -> int:
    """The process id of the stack's worker."""
    mine = processes(PREFECT_HOME=str(stack.home / "prefect"))
    return next(pid for pid in mine if b"\0worker\0start\0" in Path(f"/proc/{pid}/cmdline").read_bytes())


def kill(pids: set[int]) -> None:
    """`kill -9`, without a chance to say good-bye."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
