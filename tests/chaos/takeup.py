"""How long a killed rollout stands until another process works for it, on a whole stack: `python -m tests.chaos.takeup`.

Prints seconds from the kill: until the run was scheduled again, and until a process worked for the rollout. Last, two take
one rollout up: the first is frozen until a second one works in its place, then woken; it must change nothing, and the run of
Prefect that both share must go on.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chrysalis.ledger import Rollout
from tasks.lifecycle import lease_name
from tests.chaos.world import await_true
from tests.desk import Desk, at_desk, flow_processes, kill, tidy, worker_process
from tests.stack import running_stack

LIMIT_S = 180.0


def main() -> None:
    """All three, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-takeup-") as home,
        running_stack(Path(home)) as stack,
        at_desk(stack, ["quick"]) as desk,
    ):
        say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        try:
            flow_killed(desk)
            frozen(desk)
            worker_killed(desk)
        finally:
            tidy(desk)


def flow_killed(desk: Desk) -> None:
    """Its worker sees the process end and tells Prefect."""
    rollout, run_id, _ = soaking(desk, "takeup-1")
    before = holder(desk, rollout)
    kill(flow_processes(desk.stack, run_id))
    report(desk, "flow process killed", rollout, run_id, before)
    finish(desk, rollout)


def worker_killed(desk: Desk) -> None:
    """Nobody tells Prefect; the next worker is started once the run is scheduled again."""
    rollout, run_id, pid = soaking(desk, "takeup-2")
    before = holder(desk, rollout)
    worker = worker_process(desk.stack)
    environment, command = _of(worker)
    kill({worker, pid} | flow_processes(desk.stack, run_id))
    began = time.monotonic()
    await_true(lambda: desk.stack.state(run_id)[0] == "SCHEDULED", "the watch to schedule it again", LIMIT_S)
    say(f"flow process and worker killed: scheduled again after {time.monotonic() - began:.1f} s; a worker starts")
    again = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        report(desk, "flow process and worker killed, from when a worker runs", rollout, run_id, before)
        finish(desk, rollout)
    finally:
        again.terminate()
        again.wait(30)


def frozen(desk: Desk) -> None:
    """Two for one rollout: the first is frozen for longer than its lease, and woken when the second one works."""
    rollout, run_id, pid = soaking(desk, "takeup-3")
    before, entries = holder(desk, rollout), len(desk.stack.ledger.journal(rollout.id))
    token = desk.rollout(rollout.id).token
    os.kill(pid, signal.SIGSTOP)
    try:
        report(desk, "flow process frozen", rollout, run_id, before)
        await_true(lambda: desk.rollout(rollout.id).token > token, "the second one to take a token", LIMIT_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    await_true(lambda: pid not in flow_processes(desk.stack, run_id), "the one that was frozen to stop", LIMIT_S)
    state = desk.stack.state(run_id)
    mine = [entry for entry in desk.stack.ledger.journal(rollout.id)[entries:] if entry.token <= token]
    say(
        f"woken, it stopped after {time.monotonic() - began:.1f} s and wrote {len(mine)} entries; the run is {state[1]}, "
        f"the rollout is worked for by {holder(desk, rollout) or 'nobody'}"
    )
    finish(desk, rollout)


def soaking(desk: Desk, version: str) -> tuple[Rollout, str, int]:
    """A rollout in its soak, its run, and the process that works for it."""
    rollout = desk.start("quick", version)
    await_true(lambda: desk.open_wait(rollout.id) == "soak", "the soak")
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    return rollout, run_id, int(holder(desk, rollout).rpartition(":")[2])


def holder(desk: Desk, rollout: Rollout) -> str:
    """Who holds the lease that says who works for it."""
    lease = desk.stack.ledger.lease(lease_name(rollout.id))
    return lease.holder if lease else ""


def report(desk: Desk, what: str, rollout: Rollout, run_id: str, before: str) -> None:
    """Wait until another process than `before` works for it, and say what that took."""
    began, scheduled = time.monotonic(), 0.0

    def taken_up() -> bool:
        nonlocal scheduled
        if not scheduled and desk.stack.state(run_id)[0] in ("SCHEDULED", "PENDING"):
            scheduled = time.monotonic() - began
        return holder(desk, rollout) not in ("", before)

    await_true(taken_up, f"{rollout.id} to be taken up", LIMIT_S)
    say(f"{what}: scheduled again after {scheduled:.1f} s, taken up after {time.monotonic() - began:.1f} s")


def finish(desk: Desk, rollout: Rollout) -> None:
    """It goes on to its sign-off, with each step done once, and is ended there."""
    desk.await_sign_off(rollout.id)
    done = desk.events(rollout.id, "done")
    assert len(done) == len(set(done)), done
    assert desk.events(rollout.id, "begun").count("some.02.set_weight") == 1
    assert desk.say("abort", rollout.id, "--as", "tidy").code == 0
    desk.await_end(rollout.id)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _of(pid: int) -> tuple[dict[str, str], list[str]]:
    text = Path(f"/proc/{pid}/environ").read_text().split("\0")
    environment = dict(line.split("=", 1) for line in text if "=" in line)
    return environment, [part for part in Path(f"/proc/{pid}/cmdline").read_text().split("\0") if part]


if __name__ == "__main__":
    sys.exit(main())
