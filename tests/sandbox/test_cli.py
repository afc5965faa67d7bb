"""The program: up, status, fault, load, down, as a person uses them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from chrysalis.sandbox.cli import app
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.state import process_started, read_state
from tests.sandbox.fixtures import until

runner = CliRunner()


def test_status_shows_parts_and_addresses(sandbox: Sandbox) -> None:
    """For people, and as JSON for programs."""
    folder = ["--folder", str(sandbox.folder)]
    shown = runner.invoke(app, ["status", *folder])
    assert shown.exit_code == 0
    assert all(part in shown.output for part in ("envoy", "prometheus", "postgres", sandbox.state.urls["service"]))
    assert json.loads(runner.invoke(app, ["status", "--json", *folder]).output)["urls"] == sandbox.state.urls


def test_a_fault_is_switched_on_and_off(sandbox: Sandbox) -> None:
    """By name and value."""
    folder = ["--folder", str(sandbox.folder)]
    on = runner.invoke(app, ["fault", "canary", "error_rate=0.3", "no_metrics=true", *folder])
    assert on.output == "canary: error_rate=0.3, no_metrics=True\n"
    off = runner.invoke(app, ["fault", "canary", "--clear", *folder])
    assert off.output == "canary: no faults\n"
    assert httpx.get(sandbox.state.urls["canary"] + "/faults").json()["faults"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["canary"], "name a fault"),
        (["canary", "error_rate"], "NAME=VALUE"),
        (["canary", "nope=1"], "unknown fault 'nope'"),
        (["sideways", "error_rate=1"], "sideways"),
    ],
)
def test_a_wrong_fault_is_one_line_and_not_0(sandbox: Sandbox, arguments: list[str], said: str) -> None:
    """With what would be right."""
    done = runner.invoke(app, ["fault", *arguments, "--folder", str(sandbox.folder)])
    assert done.exit_code != 0
    assert said in done.output


def test_the_load_can_be_read_and_changed(sandbox: Sandbox) -> None:
    """As JSON."""
    done = runner.invoke(app, ["load", "--rate", "20", "--folder", str(sandbox.folder)])
    assert json.loads(done.output)["served"] > 0
    status = sandbox.folder / "load-status.json"
    until(lambda: status.exists() and json.loads(status.read_text())["rate_rps"] == 20)


def test_without_a_sandbox_each_command_says_so(tmp_path: Path) -> None:
    """`down` is content with that."""
    for command in (["status"], ["fault", "canary", "error_rate=1"], ["load"]):
        done = runner.invoke(app, [*command, "--folder", str(tmp_path)])
        assert done.exit_code == 2
        assert "no sandbox runs" in done.output
    assert runner.invoke(app, ["down", "--folder", str(tmp_path)]).exit_code == 0


def test_up_detached_and_down(tmp_path: Path) -> None:
    """A second `up` is refused in between."""
    folder = ["--folder", str(tmp_path)]
    assert runner.invoke(app, ["up", "--detach", *folder]).exit_code == 0
    try:
        again = runner.invoke(app, ["up", "--detach", *folder])
        assert again.exit_code == 2
        assert "a sandbox runs in" in again.output
    finally:
        done = runner.invoke(app, ["down", *folder])
    assert done.exit_code == 0
    state = read_state(tmp_path)
    assert state is not None
    assert not state.running


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    """And nothing is started."""
    done = runner.invoke(app, ["up", "--rate", "-1", "--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert "rate_rps is -1" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """Sent to the whole process group, as a terminal does."""
    command = [sys.executable, "-c", "from chrysalis.sandbox.cli import app; app()", "up", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        until(lambda: "Ctrl-C" in (process.stdout.readline() if process.stdout else ""))
        state = read_state(tmp_path)
        assert state is not None
        os.killpg(process.pid, number)
        assert process.wait(15) == 0
    assert all(process_started(pid) is None for pid in (state.keeper_pid, *state.pids.values()))


def test_ctrl_c_while_starting_leaves_no_process(tmp_path: Path) -> None:
    """Before all parts are up."""
    command = [sys.executable, "-c", "from chrysalis.sandbox.cli import app; app()", "up", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        until(lambda: read_state(tmp_path) is not None)
        state = read_state(tmp_path)
        assert state is not None
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=15)
    assert process_started(state.keeper_pid) is None
    assert process.returncode in (0, 130)
