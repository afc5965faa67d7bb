"""Databases, HTTP and TLS, against real servers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gates.checklist import Status
from tests.checks.conftest import FAILED, NOT_KNOWN, PASSED, Authority, Check, said


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
