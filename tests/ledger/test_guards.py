"""What the watch sees."""

import pytest

from chrysalis.errors import StaleToken
from chrysalis.ledger import Ledger
from tests.ledger.samples import LATER, NOW, started


def test_a_guarded_rollout_is_seen_with_waits_triggers_states_and_token(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    waits = tuple(
        ledger.open_wait(rollout_id, token, step_id=step, kind="soak", needed_s=60, detail={}, now=NOW)
        for step in ("a", "b")
    )
    ledger.arm_guard(rollout_id, token, triggers={"errors": {"at_most": "2%"}}, now=LATER)
    ledger.save_trigger_states({rollout_id: {"errors": {"pending_since": 3}}}, NOW)
    (seen,) = ledger.guarded()
    assert seen.rollout == ledger.get(rollout_id)
    assert seen.rollout.token == token
    assert (seen.armed_at, seen.triggers) == (LATER, {"errors": {"at_most": "2%"}})
    assert seen.trigger_states == {"errors": {"pending_since": 3}}
    assert seen.waits == waits


def test_what_changed_since_the_last_look_is_seen_and_what_did_not_is_not_read_again(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    wait = ledger.open_wait(rollout_id, token, step_id="a", kind="soak", needed_s=60, detail={"at": 1}, now=NOW)
    ledger.arm_guard(rollout_id, token, triggers={"errors": {}}, now=NOW)
    (first,) = ledger.watched()
    ledger.tick_wait(wait.id, 5.0, observed={"errors": 0.1}, now=LATER)
    (second,) = ledger.watched()
    assert second.rollout is first.rollout
    assert second.triggers is first.triggers
    assert second.waits == ledger.waits(rollout_id)
    assert (second.waits[0].watched_s, second.waits[0].ticked_at) == (5.0, LATER)
    ledger.set_position(rollout_id, token, phase="beta", weight_percent=30, status_text="", now=LATER)
    ledger.save_trigger_states({rollout_id: {"errors": {"pending_since": 3}}}, LATER)
    (third,) = ledger.watched()
    assert third.rollout == ledger.get(rollout_id) != first.rollout
    assert third.trigger_states == {"errors": {"pending_since": 3}}


def test_waiting_without_a_guard_is_seen_and_neither_is_not(ledger: Ledger) -> None:
    waiting, token = started(ledger)
    ledger.open_wait(waiting, token, step_id="a", kind="sign_off", needed_s=None, detail={}, now=NOW)
    armed, armed_token = started(ledger, service="armed")
    ledger.arm_guard(armed, armed_token, triggers={"e": {}}, now=NOW)
    started(ledger, service="busy")
    assert [(g.rollout.id, g.armed_at is None, len(g.waits)) for g in ledger.guarded()] == [
        (waiting, True, 1),
        (armed, False, 0),
    ]


def test_an_ended_rollout_is_guarded_no_more(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
    ledger.set_state(rollout_id, token, state="ended", outcome="aborted", now=NOW)
    assert ledger.guarded() == ()


def test_arming_again_keeps_the_states_of_the_triggers_that_stay(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.arm_guard(rollout_id, token, triggers={"stays": {}, "goes": {}}, now=NOW)
    ledger.save_trigger_states({rollout_id: {"stays": 1, "goes": 2}}, NOW)
    ledger.arm_guard(rollout_id, token, triggers={"stays": {}, "new": {}}, now=LATER)
    (seen,) = ledger.guarded()
    assert (seen.armed_at, dict(seen.trigger_states), set(seen.triggers)) == (NOW, {"stays": 1}, {"stays", "new"})


def test_disarming_forgets_the_states(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
    ledger.save_trigger_states({rollout_id: {"e": 1}}, NOW)
    for _ in range(2):
        ledger.disarm_guard(rollout_id, token, now=NOW)
    assert ledger.guarded() == ()
    ledger.save_trigger_states({rollout_id: {"e": 2}}, NOW)
    ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=LATER)
    assert ledger.guarded()[0].trigger_states == {}
    assert [entry.action for entry in ledger.audit(subject=rollout_id)].count("guard_disarmed") == 1


def test_states_of_many_rollouts_are_saved_at_once_or_not_at_all(ledger: Ledger) -> None:
    ids = []
    for n in range(3):
        rollout_id, token = started(ledger, service=f"s{n}")
        ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
        ids.append(rollout_id)
    lease = ledger.acquire_lease("watch", "one", ttl_s=10, now=NOW)
    assert lease is not None
    ledger.save_trigger_states({rollout_id: {"e": n} for n, rollout_id in enumerate(ids)}, NOW, lease=lease)
    assert [seen.trigger_states for seen in ledger.guarded()] == [{"e": 0}, {"e": 1}, {"e": 2}]
    ledger.acquire_lease("watch", "two", ttl_s=10, now=LATER)
    with pytest.raises(StaleToken):
        ledger.save_trigger_states({rollout_id: {"e": 9} for rollout_id in ids}, LATER, lease=lease)
    assert [seen.trigger_states for seen in ledger.guarded()] == [{"e": 0}, {"e": 1}, {"e": 2}]


def test_the_end_of_a_rollout_disarms_its_guard(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
    ledger.set_state(rollout_id, token, state="ended", outcome="completed", now=NOW)
    assert [entry.action for entry in ledger.audit()][-2:] == ["guard_disarmed", "state_set"]
