"""A wait counts what was watched, survives its worker, and is closed once."""

import pytest

from chrysalis.errors import LedgerError, StaleToken
from chrysalis.ledger import Ledger, Tick, Wait
from tests.ledger.samples import LATER, NOW, started


def soak(ledger: Ledger, rollout_id: str, token: int, step_id: str = "hybrid.soak") -> Wait:
    return ledger.open_wait(rollout_id, token, step_id=step_id, kind="soak", needed_s=3600, detail={"a": 1}, now=NOW)


def test_a_soak_adds_up_what_was_watched(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    wait = soak(ledger, rollout_id, token)
    assert (wait.watched_s, wait.needed_s, wait.observed, wait.is_open) == (0, 3600, None, True)
    ledger.tick_wait(wait.id, 5, observed={"error_ratio": 0.01}, now=NOW)
    ticked = ledger.tick_wait(wait.id, 2.5, observed={"error_ratio": 0.02}, now=LATER)
    assert (ticked.watched_s, ticked.observed, ticked.ticked_at) == (7.5, {"error_ratio": 0.02}, LATER)


def test_opening_again_finds_the_same_wait_with_all_that_was_watched(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
    wait = ledger.tick_wait(soak(ledger, rollout_id, token).id, 1800, observed=None, now=NOW)
    assert soak(ledger, rollout_id, token) == wait


def test_a_worker_that_begins_the_step_again_still_finds_the_open_wait(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
    wait = ledger.tick_wait(soak(ledger, rollout_id, token).id, 1800, observed=None, now=NOW)
    ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
    assert soak(ledger, rollout_id, token) == wait


def test_a_wait_closed_while_its_worker_was_dead_is_found_closed(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
    wait = soak(ledger, rollout_id, token)
    ledger.close_wait(wait.id, "passed", now=LATER)
    found = soak(ledger, rollout_id, token)
    assert (found.id, found.outcome) == (wait.id, "passed")


def test_the_next_attempt_after_a_closed_wait_waits_anew(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    for attempt in (1, 2):
        ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
        wait = soak(ledger, rollout_id, token)
        assert (wait.attempt, wait.watched_s) == (attempt, 0)
        ledger.tick_wait(wait.id, 10, observed=None, now=NOW)
        ledger.close_wait(wait.id, "breached", now=NOW)
    assert [wait.attempt for wait in ledger.waits(rollout_id)] == [1, 2]


def test_the_first_to_close_decides(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    wait = soak(ledger, rollout_id, token)
    closed = ledger.close_wait(wait.id, "breached", by="watch", now=NOW)
    assert ledger.close_wait(wait.id, "passed", now=LATER) == closed
    assert (closed.outcome, closed.closed_at) == ("breached", NOW)
    assert [entry.actor for entry in ledger.audit() if entry.action == "wait_closed"] == ["watch"]


def test_a_closed_wait_counts_no_more(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    closed = ledger.close_wait(soak(ledger, rollout_id, token).id, "passed", now=NOW)
    assert ledger.tick_wait(closed.id, 5, observed={"late": True}, now=LATER) == closed


def test_open_waits_are_those_of_all_rollouts(ledger: Ledger) -> None:
    first, token = started(ledger)
    second, other_token = started(ledger, service="other")
    waits = [soak(ledger, first, token), soak(ledger, first, token, "b"), soak(ledger, second, other_token)]
    assert ledger.open_waits() == tuple(waits)
    ledger.close_wait(waits[1].id, "passed", now=NOW)
    assert ledger.open_waits() == (waits[0], waits[2])


def test_a_watch_that_lost_its_lease_counts_nothing(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    wait = soak(ledger, rollout_id, token)
    old = ledger.acquire_lease("watch", "first", ttl_s=10, now=NOW)
    assert old is not None
    ledger.tick_waits([Tick(wait.id, 5, None)], NOW, lease=old)
    assert ledger.acquire_lease("watch", "second", ttl_s=10, now=LATER) is not None
    with pytest.raises(StaleToken, match="second holds 2"):
        ledger.tick_waits([Tick(wait.id, 5, None)], LATER, lease=old)
    assert ledger.waits(rollout_id)[0].watched_s == 5


def test_ticks_are_not_in_the_audit(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    wait = soak(ledger, rollout_id, token)
    head = ledger.audit_head()
    ledger.tick_waits([Tick(wait.id, 5, {"seen": float("nan")})], NOW)
    assert ledger.audit_head() == head


def test_pause_keys_are_never_the_same_twice(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    keys = []
    for _ in range(2):
        ledger.begin_step(rollout_id, token, step_id="hybrid.soak", kind="soak", detail={}, now=NOW)
        wait = soak(ledger, rollout_id, token)
        keys += [ledger.next_pause_key(rollout_id, "hybrid.soak") for _ in range(3)]
        ledger.close_wait(wait.id, "passed", now=NOW)
    assert len(set(keys)) == 6


def test_there_is_no_pause_without_a_wait(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    with pytest.raises(LedgerError, match="open a wait first"):
        ledger.next_pause_key(rollout_id, "hybrid.soak")


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_time_that_cannot_have_been_watched_is_refused(ledger: Ledger, seconds: float) -> None:
    rollout_id, token = started(ledger)
    wait = soak(ledger, rollout_id, token)
    with pytest.raises(LedgerError, match="at least 0"):
        ledger.tick_wait(wait.id, seconds, observed=None, now=NOW)


def test_an_unknown_wait_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no wait 7"):
        ledger.close_wait(7, "passed", now=NOW)
    with pytest.raises(LedgerError, match="no wait 7"):
        ledger.tick_wait(7, 1, observed=None, now=NOW)
