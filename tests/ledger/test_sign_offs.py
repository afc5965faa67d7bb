"""One standing decision per person and step."""

from dataclasses import replace

import pytest

from chrysalis.errors import LedgerError, UnknownRollout
from chrysalis.ledger import Ledger
from tests.ledger.samples import LATER, NOW, sign_off, started


def test_a_sign_off_reads_back_as_it_was_given(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    given = sign_off(rollout_id, comment="looks fine", proof={"method": "totp", "step": 57})
    assert ledger.record_sign_off(given) == given
    assert ledger.sign_offs(rollout_id) == (given,)


def test_a_person_may_change_their_mind_and_the_audit_keeps_both(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    first = ledger.record_sign_off(sign_off(rollout_id))
    second = ledger.record_sign_off(replace(first, decision="reject", comment="errors rose", at=LATER))
    assert ledger.sign_offs(rollout_id) == (second,)
    signed = [entry.details()["decision"] for entry in ledger.audit() if entry.action == "signed"]
    assert signed == ["approve", "reject"]


def test_sign_offs_are_by_step_and_person(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    given = [
        sign_off(rollout_id),
        sign_off(rollout_id, approver="bo"),
        sign_off(rollout_id, step_id="crystal.gate", at=LATER),
    ]
    for one in given:
        ledger.record_sign_off(one)
    assert ledger.sign_offs(rollout_id) == tuple(given)
    assert ledger.sign_offs(rollout_id, "hybrid.gate") == tuple(given[:2])


def test_a_wait_that_was_signed_says_how_often_and_when_last(ledger: Ledger) -> None:
    """What is void does not count, nor what was signed for another step, nor a wait that is closed."""
    rollout_id, token = started(ledger)
    kind = {"kind": "sign_off", "needed_s": None, "detail": {}, "now": NOW}
    wait = ledger.open_wait(rollout_id, token, step_id="hybrid.gate", **kind)
    ledger.open_wait(rollout_id, token, step_id="crystal.gate", **kind)
    assert ledger.signed_waits() == {}
    ledger.record_sign_off(sign_off(rollout_id))
    second = ledger.record_sign_off(sign_off(rollout_id, approver="bo", at=LATER))
    ledger.record_sign_off(sign_off(rollout_id, step_id="other.gate", at=LATER))
    assert ledger.signed_waits() == {wait.id: (2, LATER)}
    ledger.void_sign_off(second, "errors rose", now=LATER)
    assert ledger.signed_waits() == {wait.id: (1, NOW)}
    ledger.close_wait(wait.id, "signed", now=LATER)
    assert ledger.signed_waits() == {}


@pytest.mark.parametrize(("field", "word"), [("decision", "maybe"), ("door", "window")])
def test_an_unknown_word_is_refused(ledger: Ledger, field: str, word: str) -> None:
    rollout_id, _ = started(ledger)
    with pytest.raises(LedgerError, match=f"'{word}' is no {field}"):
        ledger.record_sign_off(sign_off(rollout_id, **{field: word}))


def test_a_sign_off_for_no_rollout_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UnknownRollout):
        ledger.record_sign_off(sign_off("crystal-9"))
