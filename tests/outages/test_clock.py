"""The clock is set by an hour, in both directions, under a running watch: nothing is counted, ended or woken by it."""

from datetime import timedelta
from pathlib import Path

import pytest

from chrysalis.clock import utc_now
from chrysalis.sandbox.sandbox import Sandbox
from tasks.set_weight import watch_missing
from tasks.waking import DEAD_AFTER
from tests.outages.scene import CONSTANT, Scene, Watch, begin

HOUR = timedelta(hours=1)
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


def look(watch: Watch, seconds: int, *, shift: timedelta = timedelta(0)) -> None:
    """As many ticks, a second apart by the steady clock; the wall clock says `shift` more than it should."""
    for _ in range(seconds):
        watch.sentry.tick(utc_now() + shift, 1.0)


@STEPS
def test_a_soak_is_counted_by_what_was_watched(sandbox: Sandbox, home: Path, step: timedelta) -> None:
    scene = measured(sandbox, home)
    watch = Watch.of(scene.ledger)
    look(watch, 3)
    before_s = scene.soak.watched_s
    look(watch, 4, shift=step)
    assert scene.soak.watched_s - before_s == pytest.approx(4.0)
    watch.sentry.close()


@STEPS
def test_a_process_that_lives_is_not_taken_for_dead_and_one_that_died_is(
    sandbox: Sandbox, home: Path, step: timedelta
) -> None:
    scene = measured(sandbox, home)
    scene.ledger.set_state(scene.rollout_id, scene.token, state="running", now=utc_now())
    name = f"rollout:{scene.rollout_id}"
    held = scene.ledger.acquire_lease(name, "process", ttl_s=15.0, now=utc_now())
    assert held is not None
    watch = Watch.of(scene.ledger)
    look(watch, 2)
    look(watch, 4, shift=step)
    scene.ledger.renew_lease(held, ttl_s=15.0, now=utc_now() + step)
    look(watch, 4, shift=step)
    assert watch.nudges == []
    look(watch, int(DEAD_AFTER.total_seconds()) + 1, shift=step)
    watch.sentry.waker.close(wait=True)
    assert watch.nudges[-1].gone
    watch.sentry.close()


def test_the_lease_of_a_watch_that_died_before_the_clock_was_set_back_does_not_last_an_hour(
    sandbox: Sandbox, home: Path
) -> None:
    """Whoever wants it shortens it to its length; a holder that lives renews it and keeps it."""
    scene = begin(sandbox, home)
    now = utc_now()
    ledger = scene.ledger
    dead = ledger.acquire_lease("watch", "dead", ttl_s=5.0, now=now + HOUR)
    assert dead is not None
    assert ledger.acquire_lease("watch", "next", ttl_s=5.0, now=now) is None
    ledger.renew_lease(dead, ttl_s=5.0, now=now + HOUR)
    assert ledger.acquire_lease("watch", "next", ttl_s=5.0, now=now + timedelta(seconds=6)) is None
    taken = ledger.acquire_lease("watch", "next", ttl_s=5.0, now=now + timedelta(seconds=12))
    assert taken is not None
    assert taken.token == dead.token + 1


def test_no_weight_goes_up_on_a_sign_of_life_from_the_future(sandbox: Sandbox, home: Path) -> None:
    scene = begin(sandbox, home)
    scene.ledger.beat("watch", detail={}, now=utc_now() + HOUR)
    assert "by a clock that was set since" in (watch_missing(scene.workspace()) or "")
    scene.ledger.beat("watch", detail={}, now=utc_now())
    assert watch_missing(scene.workspace()) is None


@STEPS
def test_a_step_that_waits_to_be_tried_again_is_tried_again(sandbox: Sandbox, home: Path, step: timedelta) -> None:
    scene = measured(sandbox, home)
    detail = {"reason": "away", "after_s": 3.0}
    scene.ledger.begin_step(scene.rollout_id, scene.token, step_id="retry", kind="set_weight", detail={}, now=utc_now())
    wait = scene.ledger.open_wait(
        scene.rollout_id,
        scene.token,
        step_id="some.03.set_weight",
        kind="retry",
        needed_s=None,
        detail=detail,
        now=utc_now(),
    )
    watch = Watch.of(scene.ledger)
    look(watch, 2, shift=step)
    assert next(one for one in scene.ledger.waits(scene.rollout_id) if one.id == wait.id).outcome == "try again"
    watch.sentry.close()


def measured(sandbox: Sandbox, home: Path) -> Scene:
    """A rollout whose trigger sees one value as of now, whatever the clock says: its waits and signs of life matter here."""
    return begin(sandbox, home, text=CONSTANT)
