"""When the watch has a rollout's run go on: only when it sleeps without reason, or its process is gone."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from flows.watch import _tick
from tasks.prefect_api import Nudge, RunCancelled
from tasks.sentry import Sentry
from tests.tasks.conftest import NOW, Bench

SECOND = timedelta(seconds=1)


@dataclass
class FakePrefect:
    """Remembers who was nudged, and answers as it is told."""

    cancelled: bool = False
    nudges: list[Nudge] = field(default_factory=list)

    def wake(self, _: str, nudge: Nudge) -> bool:
        self.nudges.append(nudge)
        if self.cancelled:
            raise RunCancelled("cancelled in Prefect")
        return True


def tick(bench: Bench, prefect: FakePrefect, *, after_s: float) -> list[Nudge]:
    """One look of a new watch, so many seconds after the rollout's last sign of life."""
    sentry = Sentry(bench.ledger, prefect.wake, "watch-1", 1.0)
    sentry.tick(NOW + after_s * SECOND)
    sentry.waker.close(wait=True)
    sentry.close()
    return prefect.nudges


@pytest.fixture
def running(bench: Bench) -> Bench:
    bench.ledger.attach_flow_run(bench.rollout.id, "run-1", now=NOW)
    bench.ledger.set_state(bench.rollout.id, bench.token, state="running", now=NOW)
    return bench


def test_one_that_gives_signs_of_life_is_left_alone(running: Bench) -> None:
    running.ledger.acquire_lease(f"rollout:{running.rollout.id}", "p", ttl_s=15.0, now=NOW + 30 * SECOND)
    assert tick(running, FakePrefect(), after_s=33) == []


def test_one_that_is_silent_is_asked_after_and_one_silent_for_long_is_started_again(running: Bench) -> None:
    assert tick(running, FakePrefect(), after_s=5) == []
    assert tick(running, FakePrefect(), after_s=10) == [Nudge("its process ended", asleep=False)]
    assert tick(running, FakePrefect(), after_s=25) == [Nudge("its process is gone", gone=True)]


def test_one_that_waits_is_woken_when_nothing_is_left_to_wait_for(running: Bench) -> None:
    running.ledger.set_state(running.rollout.id, running.token, state="waiting", now=NOW)
    assert tick(running, FakePrefect(), after_s=1) == [Nudge("the wait is over")]


def test_one_that_was_told_to_pause_is_not_woken(running: Bench) -> None:
    running.ledger.set_state(running.rollout.id, running.token, state="waiting", now=NOW)
    running.ledger.request(running.rollout.id, "pause", by="x", reason="r", now=NOW)
    assert tick(running, FakePrefect(), after_s=1) == []


def test_a_way_back_wakes_even_one_that_was_cancelled(running: Bench) -> None:
    running.ledger.set_state(running.rollout.id, running.token, state="waiting", now=NOW)
    running.ledger.request(running.rollout.id, "roll_back", by="x", reason="r", now=NOW)
    assert tick(running, FakePrefect(), after_s=1) == [Nudge("roll_back by x: r", cancelled=True)]


def test_one_that_somebody_cancelled_holds_with_a_pause_that_says_so(running: Bench) -> None:
    tick(running, FakePrefect(cancelled=True), after_s=25)
    (pause,) = running.ledger.open_requests(running.rollout.id)
    assert (pause.kind, pause.reason) == ("pause", "cancelled in Prefect; `chrysalis resume quick-1` goes on")


def test_two_watches_never_look_at_once(running: Bench) -> None:
    first, second = (Sentry(running.ledger, FakePrefect().wake, name, 1.0) for name in ("one", "two"))
    assert (first.tick(NOW), second.tick(NOW)) == (0, 0)
    assert first.lease is not None
    assert second.lease is None
    for watch in (first, second):
        watch.close()


def test_a_soak_that_opens_while_a_tick_begins_is_counted_from_its_opening(running: Bench) -> None:
    """The tick takes its time, then reads the ledger, and finds a soak that is younger than it."""
    sentry = Sentry(running.ledger, FakePrefect().wake, "watch-1", 1.0)
    sentry.tick(NOW)
    running.ledger.open_wait(
        running.rollout.id,
        running.token,
        step_id="some.03.soak",
        kind="soak",
        needed_s=60.0,
        detail={},
        now=NOW + 1.3 * SECOND,
    )
    sentry.tick(NOW + SECOND)
    sentry.tick(NOW + 2 * SECOND)
    sentry.tick(NOW + 3 * SECOND)
    (soak,) = running.ledger.waits(running.rollout.id)
    assert soak.watched_s == pytest.approx(1.7)
    sentry.close()


def test_a_way_back_that_waits_for_its_next_try_is_watched_and_woken(running: Bench) -> None:
    """It is no step of the plan."""
    ledger, rollout_id = running.ledger, running.rollout.id
    ledger.set_state(rollout_id, running.token, state="waiting", now=NOW)
    again = {"kind": "retry", "needed_s": None, "detail": {"after_s": 2.0}, "now": NOW}
    ledger.open_wait(rollout_id, running.token, step_id="rollback", **again)
    prefect = FakePrefect()
    sentry = Sentry(ledger, prefect.wake, "watch-1", 1.0)
    assert [sentry.tick(NOW + second * SECOND) for second in (1, 2)] == [1, 1]
    sentry.waker.close(wait=True)
    sentry.close()
    assert prefect.nudges == [Nudge("the wait is over")]


def test_a_wait_that_cannot_be_looked_at_keeps_no_other_from_being_counted(running: Bench) -> None:
    ledger = running.ledger
    soak = {"kind": "soak", "needed_s": 60.0, "detail": {}, "now": NOW}
    for step in ("some.03.soak", "no such step"):
        ledger.open_wait(running.rollout.id, running.token, step_id=step, **soak)
    sentry = Sentry(ledger, FakePrefect().wake, "watch-1", 1.0)
    for second in (0, 1, 2):
        sentry.tick(NOW + second * SECOND)
    sentry.close()
    assert {wait.step_id: wait.watched_s for wait in ledger.waits(running.rollout.id)} == {
        "some.03.soak": pytest.approx(2.0),
        "no such step": 0.0,
    }


def test_a_watch_goes_on_after_a_tick_that_failed_by_a_fault_of_ours(
    running: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentry = Sentry(running.ledger, FakePrefect().wake, "watch-1", 0.01)
    beats: list[int] = []

    def beat(*_: object, **__: object) -> None:
        beats.append(len(beats))
        if len(beats) == 1:
            raise ValueError("a fault of ours")

    def until_the_third() -> None:
        if len(beats) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(running.ledger, "beat", beat)
    with pytest.raises(KeyboardInterrupt):
        _tick(sentry, time.monotonic() + 60.0, 0.01, until_the_third)
    sentry.close()
