"""How long something has been true: what counts, what does not, what resets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.hold import Hold, advance

GAP = 60.0


def run(looks, *, max_gap_s=GAP):
    """The hold after evaluations at these times with these truths."""
    hold, last_s = None, None
    for now_s, truth in looks:
        hold = advance(hold, truth, now_s=now_s, last_s=last_s, max_gap_s=max_gap_s)
        last_s = now_s
    return hold


@pytest.mark.parametrize(
    ("looks", "since_s", "held_s"),
    [
        ([(0, True)], 0, 0),
        ([(0, True), (15, True)], 0, 15),
        ([(0, False), (15, True), (30, True)], 15, 15),
        ([(0, True), (60, True)], 0, 60),
        ([(0, True), (60.1, True)], 0, 0),
        ([(0, True), (15, None), (30, True)], 0, 15),
        ([(0, True), (15, None), (30, None)], 0, 0),
        ([(0, True), (15, True), (10, True), (25, True)], 0, 30),
        ([(0, None), (15, True)], 15, 0),
    ],
    ids=[
        "first",
        "both",
        "after a false one",
        "the longest gap",
        "too long a gap",
        "no data",
        "none twice",
        "back",
        "none first",
    ],
)
def test_what_counts(looks, since_s, held_s):
    hold = run(looks)
    assert hold.since_s == since_s
    assert hold.held_s(looks[-1][0]) == pytest.approx(held_s)


@pytest.mark.parametrize("looks", [[(0, False)], [(0, None)], [(0, True), (15, False)], [(0, None), (15, None)], []])
def test_what_does_not_hold(looks):
    assert run(looks) is None


def test_the_first_look_ever_counts_nothing_however_it_is_kept():
    kept = Hold(100.0, 5.0)
    assert advance(kept, True, now_s=200.0, last_s=None, max_gap_s=GAP) == Hold(200.0)
    assert advance(kept, None, now_s=200.0, last_s=None, max_gap_s=GAP) is kept


@pytest.mark.parametrize(("now_s", "reached"), [(129.999, False), (129.9999999, True), (130.0, True), (131.0, True)])
def test_reached_is_at_least(now_s, reached):
    assert Hold(100.0).reached(30.0, now_s) is reached


def test_time_never_counts_below_zero():
    assert Hold(100.0, 50.0).held_s(120.0) == 0.0


@given(
    st.lists(st.tuples(st.floats(0.1, 100.0), st.sampled_from([True, True, True, False, None])), min_size=1, max_size=30),
)
def test_it_is_the_sum_of_the_steps_that_count(steps):
    now_s, looks = 0.0, []
    for passed_s, truth in steps:
        now_s += passed_s
        looks.append((now_s, truth))
    expected = None
    for passed_s, truth in steps:
        if truth is False:
            expected = None
        elif expected is None:
            expected = 0.0 if truth else None
        elif truth and passed_s <= GAP:
            expected += passed_s
    hold = run(looks)
    assert (hold is None) == (expected is None)
    if hold is not None:
        assert hold.held_s(now_s) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kept", [3, {}, {"since_s": "x", "uncounted_s": 0}, {"since_s": 1, "uncounted_s": True}, []])
def test_what_is_no_hold_is_refused(kept):
    with pytest.raises(ValueError, match="is needed"):
        Hold.from_json(kept)


def test_it_reads_back():
    assert Hold.from_json(Hold(1.5, 2.5).as_json()) == Hold(1.5, 2.5)
    assert Hold.from_json(None) is None
