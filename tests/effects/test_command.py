"""Commands, with real programs."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chrysalis.effects.command import ALWAYS_PASSED, FAILURE_LINES, KEPT_BYTES, run_command
from chrysalis.errors import StepFailed
from tests.metrics.servers import until

SECRET = "hunter2-and-more"


def python(program: str, folder: Path, *, timeout_s: float = 20.0, names: tuple[str, ...] = ()) -> str:
    return run_command([sys.executable, "-c", program], cwd=folder, timeout_s=timeout_s, environment_names=names).tail


def said(program: str, folder: Path, **more: float) -> str:
    with pytest.raises(StepFailed) as failed:
        python(program, folder, **more)  # type: ignore[arg-type]
    return str(failed.value)


def written(path: Path) -> bool:
    return path.exists() and bool(path.read_text())


def gone(pid: int) -> bool:
    """Ended, or ended and not yet collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_both_streams_are_kept_and_the_folder_is_the_one_given(tmp_path: Path) -> None:
    tail = python("import os, sys; print(os.getcwd(), flush=True); print('told', file=sys.stderr)", tmp_path)
    assert tail.splitlines() == [str(tmp_path), "told"]


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    result = run_command(["echo", "$HOME; touch x", "*"], cwd=tmp_path, timeout_s=20)
    assert result.tail == "$HOME; touch x *\n"
    assert list(tmp_path.iterdir()) == []


def test_the_exit_code_and_the_last_lines_are_in_the_error(tmp_path: Path) -> None:
    text = said("print(*range(50), sep='\\n'); raise SystemExit(3)", tmp_path)
    assert "exit code 3, expected 0; its last lines:" in text
    assert text.splitlines()[-FAILURE_LINES:] == [str(n) for n in range(50 - FAILURE_LINES, 50)]


def test_an_end_by_a_signal_is_named(tmp_path: Path) -> None:
    assert "ended by SIGKILL, expected 0; it wrote nothing" in said("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_only_named_variables_are_passed_and_their_values_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", SECRET)
    monkeypatch.setenv("OTHER", "other")
    tail = python("import os; print(os.environ['API_TOKEN'], 'OTHER' in os.environ)", tmp_path, names=("API_TOKEN",))
    assert tail == "[API_TOKEN] False\n"
    with pytest.raises(StepFailed) as failed:
        run_command(["false", SECRET], cwd=tmp_path, timeout_s=20, environment_names=["API_TOKEN"])
    assert SECRET not in str(failed.value)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="NO_SUCH_VARIABLE not set"):
        run_command(["true"], cwd=tmp_path, timeout_s=20, environment_names=["NO_SUCH_VARIABLE"])


def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    tail = python("for n in range(200_000): print(n)", tmp_path)
    assert tail.endswith("199999\n")
    assert len(tail) <= 2 * KEPT_BYTES


CHILD = """
import subprocess, sys, pathlib
child = subprocess.Popen(['sleep', '600'])
pathlib.Path('pid').write_text(str(child.pid))
"""


@pytest.mark.parametrize(
    "stubborn",
    [pytest.param("", id="obeys"), pytest.param("import signal; signal.signal(15, signal.SIG_IGN)\n", id="ignores TERM")],
)
def test_out_of_time_ends_the_program_and_its_children(tmp_path: Path, stubborn: str) -> None:
    text = said(stubborn + CHILD + "print('waiting', flush=True)\nchild.wait()", tmp_path, timeout_s=1.5)
    assert "still running after 1.5 s" in text
    assert text.endswith("waiting")
    until(lambda: gone(int((tmp_path / "pid").read_text())), "the child is gone")


def test_a_child_left_in_the_background_does_not_outlive_the_step(tmp_path: Path) -> None:
    python(CHILD + "print('done')", tmp_path)
    until(lambda: gone(int((tmp_path / "pid").read_text())), "the child is gone")


OURS = """
import sys
from pathlib import Path
from chrysalis.effects.command import run_command
run_command([sys.executable, "-c", sys.argv[1]], cwd=Path(sys.argv[2]), timeout_s=600)
"""


@pytest.mark.parametrize("before", ["", "import signal; signal.signal(15, signal.SIG_IGN)\n"], ids=["obeys", "ignores TERM"])
def test_a_program_and_its_children_end_with_a_process_that_is_killed(tmp_path: Path, before: str) -> None:
    program = before + CHILD + "pathlib.Path('own').write_text(str(os.getpid()))\nchild.wait()"
    ours = subprocess.Popen([sys.executable, "-c", OURS, "import os\n" + program, str(tmp_path)])
    until(lambda: written(tmp_path / "own"), "the program runs")
    pids = [int((tmp_path / name).read_text()) for name in ("pid", "own")]
    assert not any(gone(pid) for pid in pids)
    ours.kill()
    ours.wait()
    for pid in pids:
        until(lambda pid=pid: gone(pid), f"{pid} is gone")


def test_a_program_finds_signals_and_environment_as_they_were(tmp_path: Path) -> None:
    tail = python(
        "import os, pathlib; print(sorted(os.environ)); print(pathlib.Path('/proc/self/status').read_text())", tmp_path
    )
    names, _, status = tail.partition("\n")
    assert names == str(sorted(name for name in ALWAYS_PASSED if name in os.environ))
    ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)  # type: ignore[index]
    own = {signal.SIGPIPE, signal.SIGXFSZ}  # the program is a Python, which ignores these by itself
    here = {number for number in signal.Signals if signal.getsignal(number) == signal.SIG_IGN}
    assert {number for number in signal.Signals if ignored >> (number - 1) & 1} == own | here


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["no-such-program"], "cannot be started", id="no such program"),
        pytest.param(["echo", "a\0b"], "cannot be started", id="a zero byte"),
        pytest.param([], "empty argument list", id="nothing"),
    ],
)
def test_what_cannot_be_started_says_so(tmp_path: Path, arguments: list[str], expected: str) -> None:
    with pytest.raises(StepFailed, match=expected):
        run_command(arguments, cwd=tmp_path, timeout_s=20)


def test_the_folder_may_not_leave_the_checkout(tmp_path: Path) -> None:
    inside = tmp_path / "checkout"
    inside.mkdir()
    os.symlink(tmp_path, inside / "out")
    run_command(["true"], cwd=inside, timeout_s=20, inside=inside)
    for outside in (tmp_path, inside / "..", inside / "out"):
        with pytest.raises(StepFailed, match="is not inside"):
            run_command(["true"], cwd=outside, timeout_s=20, inside=inside)
