"""How much of a wait was watched."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.ledger import Wait
from tasks.watched_time import WatchedTime
from tests.tasks.conftest import NOW

SECOND = timedelta(seconds=1)
MOST_S = 2.0


def soak(*, opened: float = 0.0, ticked: float | None = None) -> Wait:
    last = None if ticked is None else NOW + ticked * SECOND
    return Wait(
        id=1, rollout_id="quick-1", step_id="some.03.soak", attempt=1, kind="soak", needed_s=60.0, watched_s=0.0, detail={},
        observed=None, pauses=0, opened_at=NOW + opened * SECOND, ticked_at=last,
        closed_at=None, outcome=None,
    )  # fmt: skip


def ticked(*, known: bool) -> WatchedTime:
    """One whose last tick was at second 4 and saw the soak, or did not."""
    time = WatchedTime(MOST_S)
    time.begin(NOW + 4 * SECOND, 0.0)
    time.counts([soak()] if known else [], NOW + 4 * SECOND)
    time.end(NOW + 4 * SECOND)
    return time


@pytest.mark.parametrize(
    ("wait", "known", "passed_s", "now", "counted"),
    [
        pytest.param(soak(ticked=4.0), True, 1.0, 5.0, 1.0, id="the time since the last tick"),
        pytest.param(soak(opened=4.5), False, 1.0, 5.0, 0.5, id="not before it was opened"),
        pytest.param(soak(ticked=4.8), False, 1.0, 5.0, 0.2, id="not what another watch has counted"),
        pytest.param(soak(ticked=4.0), True, 56.0, 60.0, 2.0, id="a gap was not watched"),
        pytest.param(soak(ticked=4.0), True, 1.0, 3605.0, 1.0, id="a clock set forward by an hour changes nothing"),
        pytest.param(soak(ticked=4.0), True, 1.0, -3595.0, 1.0, id="a clock set back by an hour changes nothing"),
        pytest.param(soak(opened=4.0), False, 1.0, -3595.0, 0.0, id="one opened before the clock was set back begins now"),
    ],
)
def test_what_counts(wait: Wait, known: bool, passed_s: float, now: float, counted: float) -> None:
    time = ticked(known=known)
    time.begin(NOW + now * SECOND, passed_s)
    assert time.counts([wait], NOW + now * SECOND) == [pytest.approx(counted)]


def test_the_first_tick_has_watched_nothing_and_so_has_the_first_after_a_lost_lease() -> None:
    time = WatchedTime(MOST_S)
    time.begin(NOW + SECOND, 1.0)
    assert time.counts([soak()], NOW + SECOND) == [0.0]
    time.end(NOW + SECOND)
    time.lose()
    time.begin(NOW + 2 * SECOND, 1.0)
    assert time.counts([soak(ticked=1.0)], NOW + 2 * SECOND) == [0.0]


TICKS = st.lists(
    st.tuples(st.floats(0.01, MOST_S / 2), st.sampled_from(["whole", "counted, then failed", "failed"])),
    min_size=1,
    max_size=30,
)


@given(TICKS, st.floats(0.0, 3.0), st.sampled_from([0.0, 3600.0, -3600.0]), st.integers(0, 30))
def test_no_moment_is_counted_twice_and_none_is_lost_whatever_fails(
    ticks: list[tuple[float, str]], opened: float, step: float, stepped_at: int
) -> None:
    """Against a soak that the ledger adds to; the wall clock is set by an hour at some tick after it is known."""
    time, wait = WatchedTime(60.0), soak(opened=opened)
    now = done = counted_until = 0.0
    known, shift = False, 0.0
    time.begin(NOW, 0.0)
    time.end(NOW)
    for index, (seconds, what) in enumerate(ticks):
        now += seconds
        if known and index >= stepped_at:
            shift = step
        wall = NOW + (now + shift) * SECOND
        time.begin(wall, now - done)
        [more] = time.counts([wait], wall) if now >= opened else [0.0]
        assert time.steady_s == pytest.approx(now)
        if what != "failed" and now >= opened:
            wait = replace(wait, watched_s=wait.watched_s + more, ticked_at=wall)
            counted_until = now
        if what == "whole":
            time.end(wall)
            done, known = now, now >= opened
    assert wait.watched_s == pytest.approx(max(0.0, counted_until - opened), abs=1e-4)
