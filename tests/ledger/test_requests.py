"""Asking twice for the same is one request; a request is settled once."""

import pytest

from chrysalis.errors import LedgerError
from chrysalis.ledger import Ledger, Request
from tests.ledger.samples import LATER, NOW, started


def ask(ledger: Ledger, rollout_id: str, kind: str = "roll_back", **arguments: object) -> Request:
    return ledger.request(rollout_id, kind, by="kim", reason="errors", arguments=arguments, now=NOW)


def test_the_same_open_request_is_one(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    first = ask(ledger, rollout_id, to=50, of="x")
    assert ask(ledger, rollout_id, of="x", to=50) == first
    other = ask(ledger, rollout_id, to=0)
    abort = ask(ledger, rollout_id, "abort")
    assert ledger.open_requests(rollout_id) == (first, other, abort)


def test_after_it_was_settled_it_can_be_asked_anew(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    first = ask(ledger, rollout_id)
    settled = ledger.settle_request(first.id, "done", now=LATER)
    assert (settled.outcome, settled.settled_at) == ("done", LATER)
    again = ask(ledger, rollout_id)
    assert again.id != first.id
    assert ledger.open_requests(rollout_id) == (again,)


def test_the_first_settlement_stands(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    settled = ledger.settle_request(ask(ledger, rollout_id).id, "done", by="flow-1", now=NOW)
    assert ledger.settle_request(settled.id, "refused", now=LATER) == settled


def test_arguments_of_any_length_are_told_apart(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    first, second = (ask(ledger, rollout_id, note="x" * 20_000 + end) for end in "ab")
    assert first.id != second.id


def test_an_unknown_request_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no request 5"):
        ledger.settle_request(5, "done", now=NOW)
