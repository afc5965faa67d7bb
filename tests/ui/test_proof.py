"""One-time codes in the form of the Prefect UI: right, wrong, late, used, and somebody else's."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.proved import Authenticators, proved
from tests.stack import RunningStack, until
from tests.ui.page import Page
from tests.ui.test_rollout import RESUME_FORM, open_resume_form


@pytest.fixture
def telephones(stack: RunningStack) -> Iterator[Authenticators]:
    with proved(stack) as made:
        yield made


def enter(page: Page, stack: RunningStack, run_id: str, approver: str, code: str) -> None:
    """Fill the open form and press Resume."""
    rollout_id = stack.rollout_of(run_id).id
    (wait,) = (one for one in stack.ledger.waits(rollout_id) if one.kind == "sign_off")
    page.choose("Decision", "approve")
    page.fill("Approver", approver)
    page.fill("Code", code)
    page.click_until_gone("Resume", RESUME_FORM)
    until(lambda: _answered(stack, rollout_id, wait.pauses), "the entry to be answered")


def _answered(stack: RunningStack, rollout_id: str, pauses: int) -> bool:
    (wait,) = (one for one in stack.ledger.waits(rollout_id) if one.kind == "sign_off")
    return wait.pauses > pauses or not wait.is_open


def not_accepted(page: Page, stack: RunningStack, run_id: str, says: str, shot: str) -> None:
    """The form is open again, with the reason on top."""
    stack.wait_for(run_id, "Suspended")
    open_resume_form(page, run_id)
    page.see("Not accepted", says)
    page.shot(shot)


@pytest.mark.slow
def test_codes_in_the_form(page: Page, stack: RunningStack, telephones: Authenticators) -> None:
    """Nothing but the right code of the right person, once, signs."""
    run_id = stack.start("1.0.0", plan="proved")
    stack.wait_for(run_id, "Suspended")
    open_resume_form(page, run_id)
    page.see("Still needed: devops_lead, product_owner", "The six digits that your authenticator shows now")
    page.shot("14-code")
    enter(page, stack, run_id, "pia", "000000")
    not_accepted(page, stack, run_id, "not a code of pia for now", "15-wrong-code")
    enter(page, stack, run_id, "pia", telephones.code("dmitri", ago=timedelta(minutes=5)))
    not_accepted(page, stack, run_id, "not a code of pia for now", "16-foreign-code")
    enter(page, stack, run_id, "pia", telephones.code("pia", ago=timedelta(minutes=10)))
    not_accepted(page, stack, run_id, "not a code of pia for now", "17-late-code")
    code = telephones.code("pia")
    enter(page, stack, run_id, "pia", code)
    stack.wait_for(run_id, "Suspended")
    open_resume_form(page, run_id)
    page.see("Still needed: devops_lead. Signed so far: pia")
    enter(page, stack, run_id, "pia", code)
    # "used before" within its minute, "not a code for now" after that: how long the browser took decides.
    not_accepted(page, stack, run_id, "Signed so far: pia", "18-used-code")
    enter(page, stack, run_id, "dmitri", telephones.code("dmitri"))
    stack.wait_for(run_id, "Completed")
    rollout_id = stack.rollout_of(run_id).id
    assert {(one.approver, one.proof["kind"]) for one in stack.ledger.sign_offs(rollout_id)} == {
        ("dmitri", "code"),
        ("pia", "code"),
    }
    refused = [one.details()["why"] for one in stack.ledger.audit(subject=rollout_id) if one.action == "refused: sign_off"]
    assert ["not a code" in one for one in refused[:3]] == [True, True, True]
    assert len(refused) == 4
