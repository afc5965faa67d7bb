"""Sign-offs: who may, one person in one role, what is missing, and that a refusal decides."""

import pytest

from chrysalis.errors import NotAllowed
from tasks import approve
from tests.tasks.conftest import NOW, TEXT, Bench, begin, rollout

STEP = "some.05.sign_off"


def waiting(bench: Bench) -> Bench:
    begin(bench, STEP, "sign_off")
    bench.ledger.open_wait(
        bench.rollout.id, bench.token, step_id=STEP, kind="sign_off", needed_s=None, detail={}, now=NOW
    )  # fmt: skip
    return bench


def sign(bench: Bench, approver: str, decision: str = "approve", role: str | None = None) -> approve.Tally:
    approve.sign(bench, STEP, approver, decision=decision, comment="c", door="cli", role=role)  # type: ignore[arg-type]
    return approve.count(bench, *approve.pending(bench, STEP))


def test_each_role_needs_a_person_of_its_own(bench: Bench) -> None:
    waiting(bench)
    assert sign(bench, "ada").missing == ("product_owner",)
    assert sign(bench, "ada").missing == ("product_owner",), "the same person again stands for the same role"
    assert sign(bench, "pia").missing == ()


def test_somebody_with_two_roles_stands_for_the_one_that_is_missing(bench: Bench) -> None:
    waiting(bench)
    assert sign(bench, "dmitri").missing == ("product_owner",)
    assert sign(bench, "ada") == approve.Tally(("dmitri", "ada"), (), None, "")


def test_a_role_may_be_named_when_it_is_held(bench: Bench) -> None:
    waiting(bench)
    assert sign(bench, "ada", role="product_owner").missing == ("devops_lead",)
    with pytest.raises(NotAllowed, match="'pia' may not sign"):
        sign(bench, "pia", role="devops_lead")


def test_a_quorum_counts_people(home: object) -> None:
    rule = "both: {roles: [devops_lead, product_owner]}"
    assert rule in TEXT
    bench = waiting(rollout(TEXT.replace(rule, "both: {roles: [devops_lead], quorum: 2}")))
    assert sign(bench, "ada").missing == ("1 more of devops_lead",)
    assert sign(bench, "dmitri").missing == ()


@pytest.mark.parametrize("who", ["mallory", "ravi", "", "PIA"])
def test_somebody_who_is_not_listed_may_not_sign_and_nothing_is_recorded(bench: Bench, who: str) -> None:
    waiting(bench)
    with pytest.raises(NotAllowed, match="they are ada, dmitri, pia"):
        sign(bench, who)
    assert bench.ledger.sign_offs(bench.rollout.id) == ()


def test_who_started_it_may_not_sign_it(home: object) -> None:
    bench = waiting(rollout(TEXT.replace("  dmitri:", "  ci:")))
    with pytest.raises(NotAllowed, match="ci started the rollout"):
        sign(bench, "ci")


def test_one_refusal_decides_until_the_same_person_changes_it(bench: Bench) -> None:
    waiting(bench)
    sign(bench, "dmitri")
    assert sign(bench, "pia", "reject").rejected_by == "pia"
    assert sign(bench, "pia").rejected_by is None


def test_nobody_signs_what_is_not_waited_for(bench: Bench) -> None:
    with pytest.raises(NotAllowed, match="does not wait for sign-off"):
        sign(bench, "pia")
