"""Back: by the watch, by people, in part, after a refusal; always traffic first, then the rest in reverse, then proof."""

import time

import httpx
import pytest

from tests.desk import Desk, tidy
from tests.stack import until


def test_a_breach_while_a_sign_off_is_waited_for_is_taken_back_at_once(desk: Desk) -> None:
    """No process of the rollout runs; the watch takes the traffic off, then the rollout goes back by itself."""
    rollout = desk.start("quick", "breach-1")
    desk.await_sign_off(rollout.id)
    assert desk.weight == 30
    desk.stack.sandbox.fault("canary", error_rate=0.5)
    until(lambda: desk.weight == 0, "the watch to take the traffic off", timeout_s=15)
    safe = next(one for one in desk.stack.ledger.actions(rollout.id) if one.action == "make_safe")
    assert (safe.actor, safe.before["traffic"], safe.after["traffic"]) == ("watch", 30, 0)
    assert (safe.before["traffic.bypassed"], safe.after["traffic.bypassed"]) == (True, False)
    ended = desk.await_end(rollout.id)
    assert ended.outcome == "rolled_back"
    assert "error_rate" in ended.status_text
    assert desk.events(rollout.id, "done")[-2:] == ["rollback.verify", "rollback"]
    state = desk.stack.state(ended.flow_run_id or "")
    until(lambda: desk.stack.state(ended.flow_run_id or "") == ("FAILED", "RolledBack"), f"a red run; it was {state}")


def test_the_way_back_leads_out_of_a_mode_that_a_person_chose(desk: Desk) -> None:
    def emergence() -> object:
        answer = httpx.get(desk.stack.sandbox.state.urls["service"] + "/api/config", trust_env=False).json()
        return answer["features"]["emergence"]

    rollout = desk.start("quick", "mode-1")
    desk.await_sign_off(rollout.id)
    stood = emergence()
    assert desk.say("mode", rollout.id).out == "depth: full\n"
    said = desk.say("mode", rollout.id, "lite", "--as", "dmitri", "--reason", "too slow")
    assert (said.code, said.out) == (0, f"{rollout.id}: depth goes to lite at the watch's next look\n"), said
    until(lambda: emergence() is False, "the watch to go to lite")
    until(lambda: desk.say("mode", rollout.id).out == "depth: lite\n", "the ledger to know it")
    assert desk.say("rollback", rollout.id, "--as", "nadia", "--reason", "slow").code == 0
    assert desk.await_end(rollout.id).outcome == "rolled_back"
    assert emergence() is stood
    assert "rollback.values" in desk.events(rollout.id, "done")


def test_in_part_it_holds_until_it_is_resumed_and_then_completes(desk: Desk) -> None:
    """The steps above the weight are taken again, their soak from its beginning."""
    rollout = desk.start("quick", "part-1")
    desk.await_sign_off(rollout.id)
    desk.say("approve", rollout.id, "--as", "dmitri")
    desk.say("approve", rollout.id, "--as", "pia")
    until(lambda: desk.rollout(rollout.id).weight_percent == 60 and desk.open_wait(rollout.id) == "soak", "60 %")
    back = desk.say("rollback", rollout.id, "--to", "30", "--as", "nadia", "--reason", "slow", "--json")
    assert (back.code, back.json["weights"], desk.weight) == (0, {"traffic": 30}, 30)
    until(lambda: "rollback.partial" in desk.events(rollout.id, "done"), "the partial way back")
    until(lambda: desk.rollout(rollout.id).state == "waiting", "it to hold")
    assert "most.01.set_weight" in desk.events(rollout.id, "undone")
    desk.stack.wait_for(desk.rollout(rollout.id).flow_run_id or "", "Suspended")
    assert (desk.weight, desk.open_wait(rollout.id)) == (30, "")
    assert desk.say("resume", rollout.id, "--as", "nadia").code == 0
    assert (desk.await_end(rollout.id).outcome, desk.weight) == ("completed", 100)
    assert desk.events(rollout.id, "done").count("most.02.soak") == 1


def test_a_manual_trigger_is_answered_by_the_watch_and_settled(desk: Desk) -> None:
    """Whoever learns of a vulnerability sets it off; the record says who and why."""
    rollout = desk.start("quick", "manual-1")
    until(lambda: desk.rollout(rollout.id).weight_percent == 30, "30 %")
    said = desk.say("trigger", rollout.id, "vulnerability", "--as", "sanjay", "--reason", "CVE-1")
    assert said.code == 0, said
    ended = desk.await_end(rollout.id)
    assert (ended.outcome, desk.weight) == ("rolled_back", 0)
    assert ended.status_text == "vulnerability: set off by sanjay: CVE-1"
    assert not desk.stack.ledger.open_requests(rollout.id)


@pytest.mark.slow
def test_a_rollout_whose_run_was_cancelled_in_prefect_holds_until_somebody_says_what_now(desk: Desk) -> None:
    """It is not started again behind the back of the person who cancelled it; an abort still ends it."""
    rollout = desk.start("quick", "cancel-1")
    desk.await_sign_off(rollout.id)
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    desk.stack.call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    until(lambda: any(one.kind == "pause" for one in desk.stack.ledger.open_requests(rollout.id)), "the pause")
    began = time.monotonic()
    assert desk.say("abort", rollout.id, "--as", "nadia").code == 0
    assert desk.await_end(rollout.id).outcome == "aborted"
    assert time.monotonic() - began < 60


def test_a_run_whose_rollout_was_ended_by_another_hand_ends_too(desk: Desk) -> None:
    """It does not try again and again what the ledger refuses to an ended rollout."""
    rollout = desk.start("quick", "ended-1")
    until(lambda: desk.open_wait(rollout.id) == "soak", "the soak")
    tidy(desk)
    run_id = desk.rollout(rollout.id).flow_run_id or ""
    assert desk.stack.wait_for(run_id, "Aborted", "Failed", "Crashed") == "Aborted"
