"""Forks the processes that are killed: a rollout's flow, the watch, a person at the command line.

Run as `python -m tests.chaos.nursery PLAN...`. It has imported everything and started no thread, so that a fork is a process
like the one that a worker starts, without the seconds that a new interpreter takes. Commands come as lines of JSON on
standard input; what was forked and what ended goes to standard output.
"""

import json
import logging
import os
import selectors
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from prefect import Flow, State, Task, flow

import tasks.artifacts
import tasks.lifecycle
import tasks.workspace
from chrysalis.errors import ChrysalisError
from chrysalis.people import ssh
from flows.rollout import go_on
from flows.watch import watch
from tasks import approve
from tasks.lifecycle import register
from tasks.proof import Code, Offered, SshSigned
from tasks.workspace import Workspace, open_ledger
from tests.chaos import marks
from tests.chaos.signers import CODE, KEY

ENDED, WAITS, RAISED = 0, 10, 1
LEASE_S = 1.5
ENGINE = "CHAOS_WITH_ENGINE"


@flow(name="carry-on", persist_result=False)
def carry_on(rollout_id: str) -> int:
    """What the flow `rollout` does between two suspensions."""
    return ENDED if isinstance(go_on(rollout_id), State) else WAITS


def rollout(order: dict[str, Any]) -> int:
    return int(carry_on(order["rollout"]))


def rollout_alive(order: dict[str, Any]) -> int:
    """The same under the lease that says who works; a short one, because it is waited out."""
    tasks.lifecycle.LEASE_S, tasks.lifecycle.RENEW_S = LEASE_S, LEASE_S / 4
    with tasks.lifecycle.alive(order["rollout"]):
        return rollout(order)


def keep_watch(order: dict[str, Any]) -> int:
    watch.fn(hours=1.0)
    return ENDED


def start(order: dict[str, Any]) -> int:
    marks.HERE.place = "start"
    register(
        order["plan"], order["version"], reason="chaos", started_by="ci", speed=order["speed"], dry_run=False, again=False
    )
    return ENDED


def sign(order: dict[str, Any]) -> int:
    workspace = Workspace.open(order["rollout"], 0)
    for approver, (kind, given) in order["proofs"].items():
        offered: Offered = Code(given) if kind == CODE else None
        if kind == KEY:
            text = approve.statement_of(workspace, approver, "approve", "chaos").text()
            offered = SshSigned(text, ssh.sign(text, Path(given)))
        approve.sign(workspace, order["step"], approver, decision="approve", comment="chaos", door="cli", offered=offered)
    return ENDED


def set_off(order: dict[str, Any]) -> int:
    from chrysalis.clock import utc_now

    marks.HERE.place = "set_off"
    named = {"trigger": order["trigger"]}
    open_ledger().request(order["rollout"], "set_off", by="sanjay", reason="chaos", arguments=named, now=utc_now())
    return ENDED


JOBS = {
    "rollout": rollout,
    "rollout_alive": rollout_alive,
    "watch": keep_watch,
    "start": start,
    "sign": sign,
    "set_off": set_off,
}
PROCESSES = {"rollout": "flow", "rollout_alive": "flow", "watch": "watch"}


def _read_plans_once() -> None:
    """Have a text parsed by one process only: those that are forked find it. It would be most of what a fork costs."""
    parsed = {}
    for path in (Path(argument) for argument in sys.argv[1:]):
        text = path.read_text()
        parsed[text] = tasks.workspace.parse_plan(text, str(path))
    parse = tasks.workspace.parse_plan
    tasks.workspace.parse_plan = lambda text, name: parsed.get(text) or parse(text, name)


def without_engine() -> None:
    """Have flows and tasks run as the functions they are, and draw no artifacts: Prefect's engine is most of a fork's cost.

    What is begun, done, journaled and fenced is the same code; where the engine or the server is what is killed, it is used.
    """
    Task.__call__ = lambda self, *arguments, **named: self.fn(*arguments, **named)  # type: ignore[method-assign]
    Flow.__call__ = _call_flow  # type: ignore[method-assign]
    tasks.artifacts._quietly = lambda _make: None


def _call_flow(self: Any, *arguments: Any, return_state: bool = False, **named: Any) -> Any:
    return self.fn(*arguments, **named)


def main() -> None:
    """Fork what standard input asks for, until it ends."""
    marks.install()
    if os.environ.get(ENGINE) != "1":
        without_engine()
    _read_plans_once()
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "orders")
    selector.register(woken, selectors.EVENT_READ, "ended")
    waiting = b""
    while True:
        for key, _ in selector.select():
            if key.data == "ended":
                os.read(woken, 4096)
                _report_ended()
                continue
            read = os.read(sys.stdin.fileno(), 65536)
            if not read:
                return
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                _fork(json.loads(line))


def _fork(order: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(_child(order))
    _say({"pid": pid, "name": order["name"]})


def _child(order: dict[str, Any]) -> int:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(process)d %(message)s", level=logging.INFO)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        here = marks.HERE
        here.process = PROCESSES.get(order["job"], "person")
        here.wanted = set(order["wanted"])
        here.door, here.trace = Path(order["door"]), Path(order["trace"])
        return JOBS[order["job"]](order)
    except ChrysalisError as error:
        logging.getLogger("chaos").error("%s: %s: %s", order["name"], type(error).__name__, error)
        return RAISED
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return RAISED


def _report_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
