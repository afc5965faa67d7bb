"""Reports of tests, coverage and load."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gates.checklist import Status
from tests.checks.conftest import FAILED, NOT_KNOWN, PASSED, PYTHON, Check, said

JUNIT = """<testsuites><testsuite name="s" timestamp="{stamp}">
<testcase classname="core" name="rolls back in time" time="12.5"/><testcase classname="core" name="other" time="1"/>
<testcase classname="bad" name="fails" time="1"><failure message="m"/></testcase>
<testcase classname="bad" name="is skipped" time="1"><skipped/></testcase></testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        pytest.param({"matching": "core"}, PASSED, ["2 tests", "0 of them"], id="passed"),
        pytest.param({}, FAILED, ["4 tests", "2 of them", "bad fails failure", "bad is skipped skipped"], id="failed"),
        pytest.param({"matching": "core", "tests": 3}, FAILED, ["2 tests", "at least 3"], id="too few"),
        pytest.param({"matching": "nothing"}, FAILED, ["0 tests", "at least 1"], id="none"),
        pytest.param({"matching": "roll.?s? back", "within": "10s"}, FAILED, ["12.5 s", "less than 10s"], id="too slow"),
        pytest.param({"matching": "roll.?s? back", "within": "13s"}, PASSED, ["12.5 s"], id="in time"),
        pytest.param({"matching": "core", "max_age": "1m"}, NOT_KNOWN, ["old", "at most 1m"], id="too old"),
        pytest.param({"file": "none.xml"}, NOT_KNOWN, ["none.xml"], id="no file"),
    ],
)
def test_test_report(check: Check, tmp_path: Path, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    stamp = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    (tmp_path / "report.xml").write_text(JUNIT.format(stamp=stamp))
    said(check({"kind": "test_report", "file": "report.xml", **spec}), status, *words)


@pytest.mark.parametrize("text", ["", "no xml", "<html/>"])
@pytest.mark.parametrize("kind", [{"kind": "test_report"}, {"kind": "coverage", "above": "80%"}], ids=["junit", "coverage"])
def test_a_report_that_is_none_is_not_known(check: Check, tmp_path: Path, kind: dict[str, Any], text: str) -> None:
    (tmp_path / "report.xml").write_text(text)
    assert check({"file": "report.xml", **kind}).status is NOT_KNOWN


def test_pytests_own_report_is_read(check: Check, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_one(): pass\ndef test_two(): assert 0\n")
    done = subprocess.run(
        [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml", "test_it.py"], cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    said(check({"kind": "test_report", "file": "r.xml"}), FAILED, "2 tests, 1 of them", "test_two failure")
    said(check({"kind": "test_report", "file": "r.xml", "matching": "one"}), PASSED, "1 tests")


COBERTURA = """<coverage timestamp="{ms}"><packages><package><classes>
<class filename="lib/core/a.ts"><lines><line number="1" hits="1"/><line number="2" hits="3"/></lines></class>
<class filename="lib/other/b.ts"><lines><line number="1" hits="0"/><line number="2" hits="0"/></lines></class>
</classes></package></packages></coverage>"""
COVERAGE_JSON = {
    "files": {
        "lib/core/a.py": {"summary": {"covered_lines": 2, "num_statements": 2}},
        "lib/other/b.py": {"summary": {"covered_lines": 0, "num_statements": 2}},
    }
}


@pytest.mark.parametrize("file", ["coverage.xml", "coverage.json"])
@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        pytest.param({"paths": ["lib/core"]}, PASSED, ["100 %", "2 of 2 lines"], id="enough"),
        pytest.param({}, FAILED, ["50 %", "more than 80 %"], id="too little"),
        pytest.param({"above": "50%"}, FAILED, ["50 %", "more than 50 %"], id="at the limit"),
        pytest.param({"paths": ["lib/core", "lib/none"]}, NOT_KNOWN, ["no line of lib/none"], id="nothing of a path"),
    ],
)
def test_coverage(check: Check, tmp_path: Path, file: str, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    (tmp_path / "coverage.xml").write_text(COBERTURA.format(ms=int(datetime.now(UTC).timestamp() * 1000)))
    (tmp_path / "coverage.json").write_text(json.dumps(COVERAGE_JSON))
    said(check({"kind": "coverage", "file": file, "above": "80%", **spec}), status, *words)


def test_an_old_coverage_report_is_not_known_however_new_its_file_is(check: Check, tmp_path: Path) -> None:
    (tmp_path / "coverage.xml").write_text(COBERTURA.format(ms=1_700_000_000_000))
    said(check({"kind": "coverage", "file": "coverage.xml", "above": "1%"}), NOT_KNOWN, "old, expected at most 1d")


LOAD = {"users": 1000, "seconds": 300, "requests": 100_000, "server_errors": 99, "p99_ms": 499.9, "cpu": 0.7}


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        pytest.param(
            {"users": 1000, "p99": "500ms", "server_errors": "0.1%"}, PASSED, ["499.9", "1000", "0.099"], id="good"
        ),
        pytest.param({"users": 1001}, FAILED, ["users 1000", "at least 1001"], id="too few users"),
        pytest.param({"lasting": "24h"}, FAILED, ["lasted 5m", "at least 1d"], id="too short"),
        pytest.param({"p99": "499ms", "cpu": "70%"}, FAILED, ["499.9 ms", "less than 499 ms", "70 %"], id="two bounds"),
        pytest.param({"timeouts": "1%"}, NOT_KNOWN, ["nothing of timeouts"], id="not measured"),
        pytest.param({"users": 1, "max_age": "1h"}, NOT_KNOWN, ["2h old"], id="too old"),
    ],
)
def test_load_test(check: Check, tmp_path: Path, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    file = tmp_path / "load.json"
    file.write_text(json.dumps(LOAD))
    two_hours_ago = (datetime.now(UTC) - timedelta(hours=2, seconds=30)).timestamp()
    os.utime(file, (two_hours_ago, two_hours_ago))
    said(check({"kind": "load_test", "file": "load.json", **spec}), status, *words)


@pytest.mark.parametrize("changes", [{"requests": 0}, {"server_errors": "none"}, {"server_errors": None}])
def test_a_load_test_that_shows_nothing_is_not_known(check: Check, tmp_path: Path, changes: dict[str, object]) -> None:
    (tmp_path / "load.json").write_text(json.dumps({**LOAD, **changes}))
    assert check({"kind": "load_test", "file": "load.json", "server_errors": "1%"}).status is NOT_KNOWN
