"""Programs and variables: passed, failed and not known, each with both operands."""

from pathlib import Path
from typing import Any

import pytest

from gates.checklist import Status
from tests.checks.conftest import FAILED, NOT_KNOWN, PASSED, PYTHON, Check, said


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        pytest.param({"run": [PYTHON, "-c", "print('version 7')"]}, PASSED, ["exit code 0", "version 7"], id="ends with 0"),
        pytest.param({"run": [PYTHON, "-c", "exit(3)"]}, FAILED, ["exit code 3", "exit code 0"], id="another exit code"),
        pytest.param({"run": [PYTHON, "-c", "exit(3)"], "exit_code": 3}, PASSED, ["exit code 3"], id="the one asked for"),
        pytest.param({"run": [PYTHON, "-c", "print('aof:1')"], "prints": "aof:1"}, PASSED, ["what was asked"], id="prints"),
        pytest.param({"run": [PYTHON, "-c", "print('aof:0')"], "prints": "aof:1"}, FAILED, ["aof:0", "aof:1"], id="else"),
        pytest.param({"run": ["no-such-program-here"]}, NOT_KNOWN, ["not installed"], id="not installed"),
        pytest.param({"run": [PYTHON], "cwd": "/no/such"}, NOT_KNOWN, ["/no/such is not there"], id="no folder"),
        pytest.param({"run": [PYTHON], "cwd": "${NOPE}"}, NOT_KNOWN, ["${NOPE} is not set"], id="no variable"),
        pytest.param(
            {"run": [PYTHON, "-c", "import time; time.sleep(60)"], "timeout": "1s"}, NOT_KNOWN, ["after 1 s"], id="too long"
        ),
    ],
)
def test_command(check: Check, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    said(check({"kind": "command", **spec}), status, *words)


def test_a_command_is_never_a_shell_line(check: Check, tmp_path: Path) -> None:
    check({"kind": "command", "run": ["echo", "${EVIL}"]}, EVIL=f"; touch {tmp_path}/made $(touch {tmp_path}/made)")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("spec", "variables", "status", "words"),
    [
        pytest.param({"name": "MODE", "equals": "hybrid"}, {"MODE": "hybrid"}, PASSED, ["'hybrid'"], id="equal"),
        pytest.param({"name": "MODE", "equals": "hybrid"}, {"MODE": "legacy"}, FAILED, ["'legacy'", "'hybrid'"], id="not"),
        pytest.param({"name": "MODE"}, {}, FAILED, ["not set"], id="not set"),
        pytest.param({"name": "MODE"}, {"MODE": ""}, FAILED, ["not set"], id="empty"),
    ],
)
def test_env(check: Check, spec: dict[str, Any], variables: dict[str, str], status: Status, words: list[str]) -> None:
    said(check({"kind": "env", **spec}, **variables), status, *words)


@pytest.mark.parametrize("equals", [None, "s3cr3t-value", "another"])
def test_the_value_of_a_secret_variable_is_never_told(check: Check, equals: str | None) -> None:
    result = check({"kind": "env", "name": "ANON", "equals": equals, "secret": True}, ANON="s3cr3t-value")
    assert result.status is (FAILED if equals == "another" else PASSED)
    assert "s3cr3t-value" not in str(result)
