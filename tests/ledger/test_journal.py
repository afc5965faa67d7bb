"""Every step is entered before it starts and after it ends."""

import pytest

from chrysalis.errors import LedgerError
from chrysalis.ledger import Ledger
from tests.ledger.samples import LATER, NOW, started


def begin(ledger: Ledger, rollout_id: str, token: int, step_id: str) -> int:
    return ledger.begin_step(rollout_id, token, step_id=step_id, kind="set_weight", detail={"to": 30}, now=NOW)


def test_the_journal_reads_back_in_order(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    assert begin(ledger, rollout_id, token, "a") == 1
    ledger.end_step(rollout_id, token, step_id="a", outcome="done", detail={"read_back": 30}, now=LATER)
    begin(ledger, rollout_id, token, "b")
    entries = ledger.journal(rollout_id)
    assert [(e.step_id, e.kind, e.attempt, e.event, e.token, e.at) for e in entries] == [
        ("a", "set_weight", 1, "begun", token, NOW),
        ("a", "set_weight", 1, "done", token, LATER),
        ("b", "set_weight", 1, "begun", token, NOW),
    ]
    assert [e.detail for e in entries] == [{"to": 30}, {"read_back": 30}, {"to": 30}]
    assert [e.seq for e in entries] == sorted(e.seq for e in entries)


def test_a_step_begun_and_never_ended_is_visible(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    begin(ledger, rollout_id, token, "a")
    successor = ledger.take_token(rollout_id, "flow-2", now=NOW)
    assert begin(ledger, rollout_id, successor, "a") == 2
    ledger.end_step(rollout_id, successor, step_id="a", outcome="done", detail={}, now=LATER)
    assert [(e.step_id, e.attempt, e.token) for e in ledger.open_steps(rollout_id)] == [("a", 1, token)]


def test_ending_twice_alike_is_one_end(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    begin(ledger, rollout_id, token, "a")
    for _ in range(2):
        ledger.end_step(rollout_id, token, step_id="a", outcome="failed", detail={}, now=LATER)
    assert [e.event for e in ledger.journal(rollout_id)] == ["begun", "failed"]


def test_an_end_is_final_for_its_attempt(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    begin(ledger, rollout_id, token, "a")
    ledger.end_step(rollout_id, token, step_id="a", outcome="done", detail={}, now=LATER)
    with pytest.raises(LedgerError, match="ended done, it cannot end undone; begin the step again"):
        ledger.end_step(rollout_id, token, step_id="a", outcome="undone", detail={}, now=LATER)
    begin(ledger, rollout_id, token, "a")
    ledger.end_step(rollout_id, token, step_id="a", outcome="undone", detail={}, now=LATER)
    assert [(e.attempt, e.event) for e in ledger.journal(rollout_id)] == [
        (1, "begun"),
        (1, "done"),
        (2, "begun"),
        (2, "undone"),
    ]


def test_a_step_that_never_began_cannot_end(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    with pytest.raises(LedgerError, match="it never began"):
        ledger.end_step(rollout_id, token, step_id="a", outcome="done", detail={}, now=NOW)


def test_an_unknown_outcome_is_refused(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    begin(ledger, rollout_id, token, "a")
    with pytest.raises(LedgerError, match="'fine' is no outcome of a step"):
        ledger.end_step(rollout_id, token, step_id="a", outcome="fine", detail={}, now=NOW)  # type: ignore[arg-type]


def test_rollouts_have_journals_of_their_own(ledger: Ledger) -> None:
    first, token = started(ledger)
    second, other_token = started(ledger, service="other")
    begin(ledger, first, token, "a")
    assert begin(ledger, second, other_token, "a") == 1
    assert len(ledger.journal(first)) == len(ledger.journal(second)) == 1
