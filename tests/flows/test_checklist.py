"""A rollout behind a checklist: it sleeps until somebody attests, goes on by itself, and shows the page in the UI."""

from tests.desk import Desk
from tests.stack import until


def test_a_rollout_waits_for_an_attestation_and_goes_on_when_it_came(desk: Desk) -> None:
    desk.variable("PAGE", "health")
    rollout = desk.start("checked", "1.0.0")
    until(lambda: desk.open_wait(rollout.id) == "checklist", "the checklist to wait")
    refused = desk.say("checklist", "attest", "runbook", "--as", "pia", "--evidence", "x", "--rollout", rollout.id)
    assert "'pia' may not attest runbook" in refused.error
    said = desk.say("checklist", "attest", "runbook", "--as", "dmitri", "--evidence", "wiki", "--rollout", rollout.id)
    assert (said.code, said.out.startswith("runbook: attested by dmitri (devops_lead) until")) == (0, True), said
    assert desk.await_end(rollout.id).outcome == "completed"
    decided = [(one.step_id, one.decision) for one in desk.stack.ledger.go_no_gos(rollout.id)]
    assert decided[0] == ("all.01.checklist", "not yet")
    assert decided[-2:] == [("all.01.checklist", "go"), ("all.03.checklist", "go")]
    shown = desk.stack.call("POST", "/artifacts/filter", {"artifacts": {"key": {"like_": f"{rollout.id}-all"}}})
    assert any("# Ready or not" in str(one["data"]) and "**go**" in str(one["data"]) for one in shown)
