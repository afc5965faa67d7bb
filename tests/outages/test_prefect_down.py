"""Prefect's server frozen, or its worker killed, while a rollout sleeps: it is watched and made safe all the same."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chrysalis.ledger import Action
from tests.desk import Desk, at_desk, flow_processes, kill, processes, tidy, worker_process
from tests.outages.scene import frozen
from tests.stack import RunningStack, until


@pytest.fixture(scope="module")
def module_desk(stack: RunningStack) -> Iterator[Desk]:
    with at_desk(stack, ["quick"]) as desk:
        yield desk


@pytest.fixture
def desk(module_desk: Desk) -> Iterator[Desk]:
    yield module_desk
    tidy(module_desk)


def server_process(stack: RunningStack) -> int:
    """The process id of the stack's Prefect server."""
    mine = processes(PREFECT_HOME=str(stack.home / "prefect"))
    return next(pid for pid in mine if b"\0server\0start\0" in Path(f"/proc/{pid}/cmdline").read_bytes())


def first_action(desk: Desk, rollout_id: str) -> Action:
    return until(lambda: desk.stack.ledger.actions(rollout_id), "the action in the journal")[0]


def test_a_breach_while_the_server_is_frozen_is_made_safe_as_fast_and_the_rollout_goes_back_afterwards(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The safe weight is written while the API answers nothing; printed beside the same breach with it up."""
    took: dict[str, float] = {}
    for name in ("up", "frozen"):
        rollout = desk.start("quick", f"api-{name}")
        desk.await_sign_off(rollout.id)
        with ExitStack() as outage:
            if name == "frozen":
                outage.enter_context(frozen(server_process(desk.stack)))
            began = time.monotonic()
            desk.stack.sandbox.fault("canary", error_rate=0.5)
            until(lambda: desk.weight == 0, f"the watch to take the traffic off with the API {name}")
            took[name] = time.monotonic() - began
            safe = first_action(desk, rollout.id)
            assert (safe.actor, safe.action) == ("watch", "make_safe")
            assert desk.rollout(rollout.id).active
        desk.stack.sandbox.clear_faults("canary")
        assert desk.await_end(rollout.id).outcome == "rolled_back"
    with capsys.disabled():
        said = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in took.items())
        print(f"\nfrom the fault to 0 %, Prefect's API: {said}")  # noqa: T201


def test_an_idle_suspended_rollout_costs_no_process(desk: Desk) -> None:
    """While it works there is one; once it waits for people, the stack has no process more than before it came."""
    home = str(desk.stack.home / "prefect")
    before = processes(PREFECT_HOME=home)
    rollout = desk.start("quick", "idle-1")
    run_id = until(lambda: desk.rollout(rollout.id).flow_run_id, "its flow run")
    working = until(lambda: flow_processes(desk.stack, run_id), "a process that works for it")
    assert not working & before
    desk.await_sign_off(rollout.id)
    until(lambda: processes(PREFECT_HOME=home) <= before, f"no process more than {sorted(before)}")
    assert flow_processes(desk.stack, run_id) == set()


def kill_worker(desk: Desk, workers: list[subprocess.Popen[bytes]]) -> Callable[[], None]:
    """Kill the stack's worker; returns what starts another."""
    worker = worker_process(desk.stack)
    environment = dict(line.split("=", 1) for line in Path(f"/proc/{worker}/environ").read_text().split("\0") if "=" in line)
    command = [part for part in Path(f"/proc/{worker}/cmdline").read_text().split("\0") if part]
    kill({worker})

    def start_again() -> None:
        workers.append(
            subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip

    return start_again


@pytest.mark.slow
def test_the_watch_makes_a_breach_safe_with_the_worker_dead_that_started_it(
    desk: Desk, workers: list[subprocess.Popen[bytes]]
) -> None:
    """Nobody reads any more what it says while it answers."""
    rollout = desk.start("quick", "orphan-1")
    desk.await_sign_off(rollout.id)
    start_again = kill_worker(desk, workers)
    try:
        desk.stack.sandbox.fault("canary", error_rate=0.5)
        until(lambda: desk.weight == 0, "the watch to take the traffic off")
        safe = first_action(desk, rollout.id)
        assert (safe.actor, safe.action) == ("watch", "make_safe")
        after = desk.stack.ledger.last_beat("watch")
        until(lambda: desk.stack.ledger.last_beat("watch") != after, "the watch to go on after its answer")
    finally:
        start_again()
    desk.stack.sandbox.clear_faults("canary")
    assert desk.await_end(rollout.id).outcome == "rolled_back"


@pytest.mark.slow
def test_a_worker_killed_while_the_run_sleeps_is_missed_by_nobody_until_somebody_signs(
    desk: Desk, workers: list[subprocess.Popen[bytes]]
) -> None:
    """No process of the rollout is lost; signed meanwhile, it goes on as soon as a worker runs again."""
    rollout = desk.start("quick", "sleep-1")
    desk.await_sign_off(rollout.id)
    start_again = kill_worker(desk, workers)
    for who in ("dmitri", "pia"):
        assert desk.say("approve", rollout.id, "--as", who).code == 0
    assert desk.rollout(rollout.id).active
    start_again()
    assert desk.await_end(rollout.id).outcome == "completed"
    done = desk.events(rollout.id, "done")
    assert sorted(done) == sorted(set(done))


@pytest.fixture(scope="session")
def workers(stack: RunningStack) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers that take the place of killed ones: the stack needs one until the session ends."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for one in started:
        one.send_signal(signal.SIGTERM)
        try:
            one.wait(20)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()
