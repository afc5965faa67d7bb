"""Factors, codes that count once, delegations; and sign-offs that are placed, voided and refused."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from chrysalis.errors import LedgerError, NotAllowed
from chrysalis.ledger import Ledger, SignOff
from chrysalis.ledger.identities import REMEMBERED, CodeVerdict
from tests.ledger.samples import LATER, NOW, sign_off, started

RIGHT, WRONG = CodeVerdict(time_step=7), CodeVerdict(refused="wrong", counts=True)


def tried(ledger: Ledger, verdict: CodeVerdict) -> CodeVerdict:
    return ledger.try_code("pia", lambda factor, attempts: verdict, subject="crystal-1", detail={}, now=NOW)


def test_a_factor_is_kept_replaced_and_forgotten(ledger: Ledger) -> None:
    ledger.enrol("pia", "sealed 1", by="kim", now=NOW)
    ledger.enrol("pia", "sealed 2", by="kim", now=LATER)
    (kept,) = ledger.enrolled()
    assert (kept.person, kept.sealed, kept.enrolled_at, kept.enrolled_by) == ("pia", "sealed 2", LATER, "kim")
    ledger.unenrol("pia", by="kim", now=LATER)
    assert ledger.enrolled() == ()
    with pytest.raises(LedgerError, match="'pia' is not enrolled"):
        ledger.unenrol("pia", by="kim", now=LATER)
    assert [one.action for one in ledger.audit()] == ["person_enrolled", "person_enrolled", "person_unenrolled"]
    assert "sealed" not in "".join(one.detail for one in ledger.audit())


def test_a_code_counts_once_however_many_try_it_at_once(ledger: Ledger) -> None:
    ledger.enrol("pia", "sealed", by="kim", now=NOW)
    with ThreadPoolExecutor(6) as pool:
        verdicts = list(pool.map(lambda _: tried(ledger, RIGHT), range(6)))
    assert sorted(one.time_step is not None for one in verdicts) == [False] * 5 + [True]
    assert {one.refused for one in verdicts if one.time_step is None} == {"that code was used before; wait for the next one"}


def test_tries_are_counted_and_those_of_yesterday_forgotten(ledger: Ledger) -> None:
    tried(ledger, WRONG)
    tried(ledger, RIGHT)
    tried(ledger, CodeVerdict(refused="locked"))
    assert [one.right for one in ledger.attempts("pia", NOW)] == [False, True]
    assert ledger.attempts("bob", NOW) == ()
    assert ledger.attempts("pia", NOW + REMEMBERED) == ()
    assert [one.details()["why"] for one in ledger.audit() if one.action == "code_refused"] == ["wrong", "locked"]


def test_a_delegation_holds_for_its_time(ledger: Ledger) -> None:
    made = ledger.delegate("pia", "bob", until=LATER, reason="away", by="kim", now=NOW)
    assert ledger.delegations(NOW) == (made,)
    assert ledger.delegations(LATER) == ()
    assert ledger.end_delegation(made.id, by="kim", now=NOW) == made
    assert ledger.delegations(NOW) == ()
    with pytest.raises(LedgerError, match="before it begins"):
        ledger.delegate("pia", "bob", until=NOW, reason="", by="kim", now=NOW)
    with pytest.raises(LedgerError, match="no delegation 99"):
        ledger.end_delegation(99, by="kim", now=NOW)


def test_a_sign_off_is_placed_while_nobody_else_can_sign(ledger: Ledger) -> None:
    """Each of many at once sees all that were before it; what is refused leaves nothing."""
    rollout_id, _ = started(ledger)

    def settle(made: SignOff, standing: tuple[SignOff, ...]) -> SignOff:
        if len(standing) >= 2:
            raise NotAllowed("enough")
        return replace(made, role=f"role {len(standing)}")

    def sign(name: str) -> bool:
        made = sign_off(rollout_id, approver=name)
        try:
            ledger.record_sign_off(made, lambda standing: settle(made, standing))
        except NotAllowed:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(sign, ["ada", "bo", "cy", "di", "ed"])) == [False] * 3 + [True] * 2
    assert sorted(one.role for one in ledger.sign_offs(rollout_id)) == ["role 0", "role 1"]


def test_a_void_sign_off_stays_void_until_the_person_signs_anew(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    first = ledger.record_sign_off(sign_off(rollout_id, shown=[{"name": "errors"}], release="2.0", on_behalf_of="cy"))
    assert ledger.sign_offs(rollout_id) == (first,)
    assert ledger.void_sign_off(first, "errors rose", now=LATER)
    assert not ledger.void_sign_off(first, "again", now=LATER)
    assert [one.void for one in ledger.sign_offs(rollout_id)] == ["errors rose"]
    again = ledger.record_sign_off(replace(first, at=LATER))
    assert not ledger.void_sign_off(first, "of the first", now=LATER + timedelta(seconds=1))
    assert ledger.sign_offs(rollout_id) == (again,)


def test_what_a_form_shows_is_kept_as_it_was_first(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.begin_step(rollout_id, token, step_id="s", kind="sign_off", detail={}, now=NOW)
    wait = ledger.open_wait(rollout_id, token, step_id="s", kind="sign_off", needed_s=None, detail={}, now=NOW)
    ledger.keep_shown(wait.id, 1, [{"verdict": "PASS"}], now=NOW)
    ledger.keep_shown(wait.id, 1, [{"verdict": "FAIL"}], now=LATER)
    assert ledger.shown(wait.id, 1) == [{"verdict": "PASS"}]
    assert ledger.shown(wait.id, 2) is None
