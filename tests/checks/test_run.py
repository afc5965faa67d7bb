"""What holds for items of every kind: no secret is told, order, parallel."""

import threading
from pathlib import Path
from typing import Any

import pytest

from chrysalis.checks import Context, Result, run_items
from chrysalis.plan.checklist import Item
from gates.checklist import Status
from tests.checks.conftest import PASSED, PYTHON, Check, said


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
