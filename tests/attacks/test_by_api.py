"""Attacks through Prefect's own API: whoever reaches it can wake a run, and sign nothing."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.proved import Authenticators, proved
from tests.stack import RunningStack, until


@pytest.fixture
def telephones(stack: RunningStack) -> Iterator[Authenticators]:
    with proved(stack) as made:
        yield made


def pauses(stack: RunningStack, rollout_id: str) -> int:
    return next(one.pauses for one in stack.ledger.waits(rollout_id) if one.kind == "sign_off")


def refusals(stack: RunningStack, rollout_id: str) -> list[str]:
    entries = stack.ledger.audit(subject=rollout_id)
    return [str(one.details()["why"]) for one in entries if one.action == "refused: sign_off"]


def test_prefects_api_wakes_and_signs_nothing(
    stack: RunningStack, telephones: Authenticators, record_property: Callable[[str, object], None]
) -> None:
    """Resume without an entry, a made-up state, an answer put in by hand: the run sleeps again with nothing signed."""
    run_id = stack.start("2.0.0", plan="proved")
    stack.wait_for(run_id, "Suspended")
    rollout_id = stack.rollout_of(run_id).id

    def told(what: str, answer: str) -> None:
        assert stack.ledger.sign_offs(rollout_id) == ()
        record_property("attack", f"{what} → {answer}")

    def asked_again(attack: Callable[[], object]) -> str:
        before, known = pauses(stack, rollout_id), len(refusals(stack, rollout_id))
        attack()
        until(lambda: pauses(stack, rollout_id) > before, "the form to be asked again")
        stack.wait_for(run_id, "Suspended")
        assert len(refusals(stack, rollout_id)) == known + 1
        return refusals(stack, rollout_id)[-1]

    for body in ({}, {"run_input": None}, {"run_input": {}}, {"run_input": {"decision": "approve"}}):
        answer = httpx.post(f"{stack.api_url}/flow_runs/{run_id}/resume", json=body, timeout=20.0, trust_env=False).json()
        assert answer["status"] == "REJECT"
        told(f"Resume with {json.dumps(body)}", answer["details"]["reason"])
    assert stack.state(run_id)[1] == "Suspended"

    completed = {"state": {"type": "SCHEDULED", "name": "Approved", "message": "approved by pia"}, "force": True}
    why = asked_again(lambda: stack.call("POST", f"/flow_runs/{run_id}/set_state", completed))
    assert "without an answer" in why
    told("a made-up state `Approved`", why)

    def by_hand() -> None:
        (wait,) = (one for one in stack.ledger.waits(rollout_id) if one.kind == "sign_off")
        key = f"suspended-wait-{wait.id}-{wait.pauses}-response"
        entry = json.dumps({"decision": "approve", "approver": "pia", "comment": "", "code": "123456"})
        stack.call("POST", f"/flow_runs/{run_id}/input", {"key": key, "value": entry})
        stack.call("POST", f"/flow_runs/{run_id}/set_state", completed)

    told("an answer put into Prefect by hand", asked_again(by_hand))
    forged = asked_again(lambda: stack.resume(run_id, decision="approve", approver="pia", comment="", code=""))
    assert "has not proven who they are" in forged
    told("an answer without a code", forged)
    assert stack.ledger.verify_audit() == []
    assert stack.ledger.get(rollout_id).active
