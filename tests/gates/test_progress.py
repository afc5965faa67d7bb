"""What a rollout does next, in every order in which things can have happened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.progress import (
    ROLLBACK_STEP,
    Action,
    Entry,
    Event,
    Finish,
    Hold,
    Outcome,
    RollBack,
    Run,
    Stop,
    Wish,
    next_action,
    undo_order,
)

STOPS = (Stop("a.01", "a"), Stop("a.02", "a"), Stop("b.01", "b"))


def entry(step_id: str, event: str, reason: str = "", *, rejected: bool = False) -> Entry:
    return Entry(step_id, Event(event), reason, rejected)


def done(*step_ids: str) -> list[Entry]:
    return [one for step_id in step_ids for one in (entry(step_id, "begun"), entry(step_id, "done"))]


@pytest.mark.parametrize(
    ("entries", "wishes", "expected"),
    [
        pytest.param([], [], Run("a.01", "a", again=False), id="nothing happened: the first step"),
        pytest.param([entry("a.01", "begun")], [], Run("a.01", "a", again=True), id="begun and not ended: again"),
        pytest.param(done("a.01"), [], Run("a.02", "a", again=False), id="the next step"),
        pytest.param([*done("a.01"), entry("a.02", "skipped")], [], Run("b.01", "b", again=False), id="skipped counts"),
        pytest.param(
            [*done("a.01", "a.02"), entry("a.02", "undone")], [], Run("a.02", "a", again=False), id="undone: to do again"
        ),
        pytest.param(done("a.01", "a.02", "b.01"), [], Finish(Outcome.COMPLETED, "all 3 steps are done"), id="all done"),
        pytest.param(
            [entry("a.01", "begun"), entry("a.01", "failed", "no")],
            [],
            RollBack("no", "chrysalis", None, Outcome.ROLLED_BACK),
            id="a failed step goes back",
        ),
        pytest.param(
            [entry("a.01", "failed", "no", rejected=True)],
            [],
            RollBack("no", "chrysalis", None, Outcome.REJECTED),
            id="a rejected sign-off goes back and says so",
        ),
        pytest.param([], [Wish("pause", "ann", "lunch")], Hold("paused by ann: lunch"), id="paused"),
        pytest.param(
            [],
            [Wish("pause", "ann", "lunch"), Wish("roll_back", "watch", "errors")],
            RollBack("errors", "watch", None, Outcome.ROLLED_BACK),
            id="going back comes before a pause",
        ),
        pytest.param(
            [],
            [Wish("roll_back", "watch", "errors"), Wish("abort", "ann", "stop")],
            RollBack("stop", "ann", 0, Outcome.ABORTED),
            id="an abort comes first",
        ),
        pytest.param(
            [],
            [Wish("roll_back", "ann", "part", 50), Wish("roll_back", "watch", "all")],
            RollBack("all", "watch", None, Outcome.ROLLED_BACK),
            id="the deepest way back wins",
        ),
        pytest.param(
            [*done("a.01"), entry(ROLLBACK_STEP, "begun", "breach")],
            [],
            RollBack("breach", "chrysalis", None, Outcome.ROLLED_BACK),
            id="a way back that was begun is finished",
        ),
        pytest.param(
            [*done("a.01"), entry(ROLLBACK_STEP, "begun", "breach"), entry(ROLLBACK_STEP, "done", "breach")],
            [],
            Finish(Outcome.ROLLED_BACK, "breach"),
            id="after the way back nothing goes forward again",
        ),
        pytest.param(
            [*done("a.01"), entry(ROLLBACK_STEP, "failed", "router gone")],
            [],
            Hold("the way back could not be finished: router gone"),
            id="a way back that is stuck waits for a person",
        ),
    ],
)
def test_next_action(entries: list[Entry], wishes: list[Wish], expected: Action) -> None:
    assert next_action(STOPS, entries, wishes) == expected


def test_a_plan_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to do"):
        next_action((), [], [])


def test_what_was_touched_is_undone_newest_first() -> None:
    entries = [*done("a.01"), entry("a.02", "begun")]
    assert undo_order(STOPS, entries) == ("a.02", "a.01")


@pytest.mark.parametrize(
    ("event", "touched"),
    [("begun", True), ("done", True), ("failed", True), ("skipped", False), ("undone", False), ("abandoned", False)],
)
def test_a_step_whose_end_is_not_known_or_that_failed_may_have_changed_something(event: str, touched: bool) -> None:
    assert undo_order(STOPS, [*done("a.01"), entry("a.02", event)]) == (("a.02", "a.01") if touched else ("a.01",))


events = st.lists(
    st.tuples(st.sampled_from([stop.id for stop in STOPS]), st.sampled_from(list(Event))).map(lambda one: Entry(*one)),
    max_size=12,
)


@given(events)
def test_a_step_runs_only_when_all_before_it_are_settled(entries: list[Entry]) -> None:
    action = next_action(STOPS, entries, [])
    if isinstance(action, Run):
        newest = {one.step_id: one.event for one in entries}
        before = STOPS[: [stop.id for stop in STOPS].index(action.step_id)]
        assert all(newest.get(stop.id) in (Event.DONE, Event.SKIPPED) for stop in before)


@given(events)
def test_a_wish_to_go_back_is_never_passed_over(entries: list[Entry]) -> None:
    action = next_action(STOPS, entries, [Wish("roll_back", "watch", "errors")])
    assert isinstance(action, RollBack | Hold)


@given(events)
def test_completion_needs_every_step(entries: list[Entry]) -> None:
    if isinstance(next_action(STOPS, entries, []), Finish):
        newest = {one.step_id: one.event for one in entries}
        assert all(newest.get(stop.id) in (Event.DONE, Event.SKIPPED) for stop in STOPS)


@pytest.mark.parametrize(
    ("percents", "expected"),
    [([50], 50), ([50, 30], 30), ([1, None], None), ([None, 50], None), ([50, 0], 0), ([0, 1], 0)],
)
def test_of_several_ways_back_the_deepest_is_taken_as_far_as_it_was_asked(
    percents: list[int | None], expected: int | None
) -> None:
    wishes = [Wish("roll_back", f"p{percent}", f"to {percent}", percent) for percent in percents]
    assert next_action(STOPS, done("a.01"), wishes) == RollBack(
        f"to {expected}", f"p{expected}", expected, Outcome.ROLLED_BACK
    )
