"""`kill -9` at the worst moments: what was done stays done once, and nothing that a person said is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk import Desk, flow_processes, kill, worker_process
from tests.stack import RunningStack, until


def writes_to_envoy(desk: Desk) -> str:
    """The stamp of the newest write, as Envoy itself has it."""
    with desk.stack.sandbox.router() as router:
        return str(router.read().stamp)


def await_process(desk: Desk, run_id: str) -> set[int]:
    return until(lambda: flow_processes(desk.stack, run_id), f"a process of {run_id}")


def assert_each_step_done_once(desk: Desk, rollout_id: str) -> None:
    done = desk.events(rollout_id, "done")
    assert sorted(done) == sorted(set(done))


def test_killed_in_a_soak_it_goes_on_by_itself_and_repeats_nothing(desk: Desk) -> None:
    """The soak goes on from what was watched; Envoy's last write is still the one of the first process."""
    rollout = desk.start("quick", "kill-1")
    until(lambda: desk.open_wait(rollout.id) == "soak", "the soak")
    written = writes_to_envoy(desk)
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    kill(await_process(desk, run_id))
    until(lambda: desk.stack.state(run_id)[0] in ("CRASHED", "SCHEDULED", "PENDING"), "Prefect to see that it is gone")
    desk.await_sign_off(rollout.id)
    assert writes_to_envoy(desk) == written
    assert desk.events(rollout.id, "begun").count("some.02.set_weight") == 1
    assert desk.events(rollout.id, "begun").count("some.03.soak") == 1
    assert_each_step_done_once(desk, rollout.id)


@pytest.mark.slow
def test_killed_after_the_form_was_sent_the_approval_is_not_lost(desk: Desk) -> None:
    """The process that was resumed dies before it read the answer; the next one reads it."""
    rollout = desk.start("quick", "kill-2")
    desk.await_sign_off(rollout.id)
    assert desk.say("approve", rollout.id, "--as", "dmitri").code == 0
    desk.await_sign_off(rollout.id)
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    until(lambda: not flow_processes(desk.stack, run_id), "the process to end: a suspended rollout holds none")
    desk.stack.approve(run_id, "pia", "seen it")
    kill(await_process(desk, run_id))
    ended = desk.await_end(rollout.id)
    assert ended.outcome == "completed"
    assert [(one.approver, one.door) for one in desk.stack.ledger.sign_offs(rollout.id)] == [
        ("dmitri", "cli"),
        ("pia", "ui"),
    ]
    assert_each_step_done_once(desk, rollout.id)


@pytest.mark.slow
def test_killed_together_with_the_worker_it_goes_on_when_a_worker_runs_again(
    desk: Desk, workers: list[subprocess.Popen[bytes]]
) -> None:
    """Nobody tells Prefect that the process is gone: the watch schedules the run again within its bound."""
    rollout = desk.start("quick", "kill-3")
    until(lambda: desk.open_wait(rollout.id) == "soak", "the soak")
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    worker = worker_process(desk.stack)
    environment, command = _of(worker)
    kill({worker} | await_process(desk, run_id))
    assert desk.stack.state(run_id)[0] == "RUNNING"
    until(lambda: desk.stack.state(run_id)[0] == "SCHEDULED", "the watch to schedule it again", timeout_s=40)
    command = ["setpriv", "--pdeathsig", "TERM", *command]  # it ends with this process, however that ends
    again = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    workers.append(again)
    try:
        desk.await_sign_off(rollout.id)
        assert desk.events(rollout.id, "begun").count("some.02.set_weight") == 1
        assert_each_step_done_once(desk, rollout.id)
    finally:
        if desk.rollout(rollout.id).active:
            desk.say("abort", rollout.id, "--as", "tidy")
            desk.await_end(rollout.id)


@pytest.fixture(scope="session")
def workers(stack: RunningStack) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers that take the place of killed ones: the stack needs one until the session ends."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for worker in started:
        worker.terminate()
        worker.wait(30)


def _of(pid: int) -> tuple[dict[str, str], list[str]]:
    text = Path(f"/proc/{pid}/environ").read_text().split("\0")
    environment = dict(line.split("=", 1) for line in text if "=" in line)
    return environment, [part for part in Path(f"/proc/{pid}/cmdline").read_text().split("\0") if part]
