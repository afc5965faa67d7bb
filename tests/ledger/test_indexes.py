"""With a long past, what is asked often is answered from indexes: shown by the database's own query plans."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from chrysalis.ledger import Ledger
from tests.ledger.past import fill
from tests.ledger.samples import NOW

ROLLOUTS = 2000
QUESTIONS: dict[str, Callable[[Ledger], Any]] = {
    "get": lambda ledger: ledger.get("crystal-1000"),
    "plan_text": lambda ledger: ledger.plan_text("crystal-1000"),
    "find_by_flow_run": lambda ledger: ledger.find_by_flow_run("run-1"),
    "active": lambda ledger: ledger.active(),
    "history": lambda ledger: ledger.history(50),
    "history of a service": lambda ledger: ledger.history(10, "old-7"),
    "journal": lambda ledger: ledger.journal("crystal-1000"),
    "waits": lambda ledger: ledger.waits("crystal-1000"),
    "open_waits": lambda ledger: ledger.open_waits(),
    "guarded": lambda ledger: ledger.guarded(),
    "watched": lambda ledger: ledger.watched(),
    "open_requests": lambda ledger: ledger.open_requests("crystal-1000"),
    "sign_offs": lambda ledger: ledger.sign_offs("crystal-1000"),
    "findings": lambda ledger: ledger.findings("crystal-1000"),
    "actions": lambda ledger: ledger.actions("crystal-1000"),
    "audit of a rollout": lambda ledger: ledger.audit(subject="crystal-1000"),
    "take_token": lambda ledger: ledger.take_token("crystal-1000", "x", now=NOW),
}
GROWING = ("rollouts", "journal", "waits", "guards", "audit")
"""Tables that grow with every rollout; the others are empty here, and any plan is right for them."""


@pytest.fixture
def old_ledger(ledger: Ledger) -> Ledger:
    fill(ledger, rollouts=ROLLOUTS, active=30)
    return ledger


def test_frequent_questions_read_no_table_as_a_whole(old_ledger: Ledger) -> None:
    scans = {name: found for name, ask in QUESTIONS.items() if (found := whole_tables(plans(old_ledger, ask)))}
    assert scans == {}


def test_the_long_past_is_answered_right(old_ledger: Ledger) -> None:
    assert [rollout.serial for rollout in old_ledger.history(3)] == [2000, 1999, 1998]
    assert len(old_ledger.active()) == len(old_ledger.guarded()) == len(old_ledger.open_waits()) == 30
    assert len(old_ledger.guarded()[0].triggers) == 4


def test_the_check_sees_a_table_that_is_read_as_a_whole(old_ledger: Ledger) -> None:
    """Or the test above would pass on anything."""

    def by_no_index(ledger: Ledger) -> None:
        with ledger._database.read() as connection:
            connection.exec_driver_sql("SELECT id FROM rollouts WHERE version = 'x'").all()

    assert whole_tables(plans(old_ledger, by_no_index)) == ["rollouts"]


def plans(ledger: Ledger, ask: Callable[[Ledger], Any]) -> str:
    """How the database says it answers the statements of one call."""
    with statements(ledger) as seen:
        ask(ledger)
    explain = "EXPLAIN QUERY PLAN" if ledger._database.is_sqlite else "EXPLAIN"
    lines: list[str] = []
    with ledger._database.read() as connection:
        for statement, parameters in seen:
            if re.match(r"SELECT(?! 1$)|UPDATE", statement):
                rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
                lines += [str(row[-1]) for row in rows]
    assert lines
    return "\n".join(lines)


def whole_tables(plan: str) -> list[str]:
    """The growing tables that the plan reads from end to end."""
    found = re.findall(r"SCAN (\w+)(?! USING (?:COVERING )?INDEX)\b|Seq Scan on (\w+)", plan)
    return [name for names in found for name in names if name in GROWING]


@contextmanager
def statements(ledger: Ledger) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent to the database meanwhile."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(ledger._database._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(ledger._database._engine, "before_cursor_execute", note)
