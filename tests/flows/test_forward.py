"""A rollout goes to its end as CI and people take it there."""

from tests.desk import Desk


def test_a_rollout_completes_with_sign_offs_from_the_command_line_and_the_form(desk: Desk) -> None:
    """Two roles sign by two doors; every step is done once."""
    rollout = desk.start("quick", "1.0.0")
    desk.await_sign_off(rollout.id)
    assert desk.weight == 30
    first = desk.say("approve", rollout.id, "--as", "ada", "--comment", "looks good", "--json")
    assert (first.code, first.json["missing"]) == (0, ["product_owner"])
    desk.await_sign_off(rollout.id)
    desk.stack.approve(desk.rollout(rollout.id).flow_run_id or "", "pia")
    ended = desk.await_end(rollout.id)
    assert (ended.outcome, desk.weight) == ("completed", 100)
    begun, done = desk.events(rollout.id, "begun"), desk.events(rollout.id, "done")
    assert sorted(begun) == sorted(set(begun)) == sorted(done)
