"""Mode ladders: down at once, up after it was stable, the last rung by a person."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.hold import Hold
from gates.ladder import Ladder, LadderLook, LadderState, may_leave, move_by_person, move_down, step_ladder, values_at
from tests.gates.strategies import NOW_S, canary, every_minute


def crossing(bound, value, for_):
    return {"when": {"threshold": {"metric": "errors", bound: value}}, "for": for_}


LADDER = Ladder.model_validate(
    {
        "target": "config",
        "rungs": [
            {"mode": "full", "values": {"mode": "full"}},
            {"mode": "lite", "enter": crossing("above", 2, "60s"), "recover": crossing("below", 1, "120s")},
            {"mode": "fallback", "enter": crossing("above", 5, "60s"), "recover": crossing("below", 1, "120s")},
            {"mode": "baseline", "enter": crossing("above", 10, "60s")},
        ],
    }
)


def walk(values, state=None, ladder=LADDER):
    """The rungs after evaluations a minute apart, with the errors measured at each (None: nothing measured)."""
    state, rungs = state or LadderState(), []
    for index, value in enumerate(values):
        now_s = NOW_S + 60.0 * index
        seen = {} if value is None else canary(errors=every_minute([float(value)], unit="", now_s=now_s))
        state = step_ladder(ladder, state, ladder.look(seen, now_s), now_s, 90.0)
        state = LadderState.from_json(json.loads(json.dumps(state.as_json())))
        rungs.append(state.rung)
    return rungs


@pytest.mark.parametrize(
    ("values", "rungs"),
    [
        ([3, 3, 3], [0, 1, 1]),
        ([3, 0, 3, 3], [0, 0, 0, 1]),
        ([7, 7], [0, 2]),
        ([3, 3, 7, 7], [0, 1, 1, 2]),
        ([3, 3, 0, 0, 0], [0, 1, 1, 1, 0]),
        ([7, 7, 0, 0, 0, 0, 0, 0], [0, 2, 2, 2, 1, 1, 1, 0]),
        ([3, 3, 0, 0, 3, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 0]),
        ([3, 3, 1.5, 1.5, 1.5, 1.5], [0, 1, 1, 1, 1, 1]),
        ([3, 3, 0, None, None, 0, 0], [0, 1, 1, 1, 1, 1, 0]),
        ([20, 20] + [0] * 9, [0, 3] + [3] * 9),
        ([3, None, None, None], [0, 0, 0, 0]),
    ],
    ids=[
        "down after its for",
        "one good one resets",
        "past a rung at once",
        "down again",
        "up after its own for",
        "up one rung at a time, each with its for",
        "a breach starts recovery anew",
        "between the two bounds it stays",
        "no data does not count",
        "the last rung is not left",
        "no data moves nothing",
    ],
)
def test_ladder(values, rungs):
    assert walk(values) == rungs


def test_a_last_rung_may_be_allowed_to_recover():
    written = LADDER.model_dump(mode="json")
    written["rungs"][3]["recover"] = crossing("below", 1, "60s")
    free = Ladder.model_validate({**written, "last_rung_needs_a_person": False})
    assert walk([20, 20, 0, 0, 0], ladder=free) == [0, 3, 3, 2, 2]


def test_a_person_leaves_the_last_rung():
    state = move_by_person(LADDER, LadderState(3, NOW_S), "fallback")
    assert state.rung == 2
    assert walk([0, 0, 0], state) == [2, 2, 1]


@pytest.mark.parametrize(("rung", "to", "after"), [(0, None, 1), (3, None, 3), (0, "baseline", 3), (2, "lite", 2)])
def test_stepping_down_never_goes_up(rung, to, after):
    assert move_down(LADDER, LadderState(rung), to=to).rung == after


def test_an_unknown_mode_names_those_there_are():
    with pytest.raises(ValueError, match="full, lite, fallback, baseline"):
        move_by_person(LADDER, LadderState(), "slow")


@given(
    looks=st.lists(
        st.tuples(
            st.sampled_from([True, False, None]), st.sampled_from([True, False, None]), st.floats(), st.floats(0, 300)
        ),
        max_size=30,
    )
)
@settings(max_examples=150, deadline=None)
def test_up_one_at_a_time_and_never_from_the_last(looks):
    state, now_s = LadderState(), NOW_S
    for enter, recover, odd, wait_s in looks:
        now_s += wait_s
        look = LadderLook(dict.fromkeys(LADDER.modes, enter), dict.fromkeys(LADDER.modes, recover))
        after = step_ladder(
            LADDER, step_ladder(LADDER, state, look, odd if abs(odd) > 1e300 else now_s, 90.0), look, now_s, 90.0
        )
        assert after.rung >= state.rung - 2
        assert state.rung < 3 or after.rung == 3
        assert after.rung <= state.rung or enter
        state = after


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ([{"mode": "a"}], "at least 2"),
        ([{"mode": "a"}, {"mode": "a"}], "each mode once"),
        ([{"mode": "a", "recover": crossing("below", 1, "0")}, {"mode": "b"}], "is the best mode"),
        ([{"mode": "a"}, {"mode": "b", "recover": crossing("below", 1, "0")}], "only a person"),
        ([{"mode": "a"}, {"mode": "b"}, {"mode": "c", "recover": crossing("below", 1, "0")}], "c is the last rung"),
    ],
)
def test_ladders_that_make_no_sense_are_refused(rungs, message):
    with pytest.raises(ValidationError, match=message):
        Ladder.model_validate({"rungs": rungs})


def test_problems_and_needs_are_those_of_its_conditions():
    assert len(LADDER.needs()) == 5
    assert LADDER.problems({"errors": MetricFacts("", 60.0, True, "neither")}) == []
    assert len(LADDER.problems({})) == 5


@pytest.mark.parametrize("kept", [{}, {"rung": -1, "entering": {}}, {"rung": 1}, {"rung": True, "entering": {}}])
def test_a_state_that_is_none_is_refused(kept):
    with pytest.raises(ValueError, match="no state of a ladder"):
        LadderState.from_json(kept)


def test_moves_keep_the_clocks_that_go_on():
    entering = {"fallback": Hold(NOW_S - 30)}
    state = LadderState(0, NOW_S, entering, Hold(NOW_S))
    assert move_down(LADDER, state) == LadderState(1, NOW_S, entering)
    assert move_down(LADDER, state, to="fallback") == LadderState(2, NOW_S, entering)
    assert move_by_person(LADDER, state, "lite") == LadderState(1, NOW_S)


def test_the_whole_state_moves_on():
    high = LadderLook(enter={"lite": True, "fallback": True, "baseline": False})
    before = LadderState(0, NOW_S - 60, {"lite": Hold(NOW_S - 60), "fallback": Hold(NOW_S - 60)})
    down = step_ladder(LADDER, before, high, NOW_S, 90.0)
    assert down == LadderState(2, NOW_S, before.entering)
    well = LadderLook(enter=dict.fromkeys(("lite", "fallback", "baseline"), False), recover={"fallback": True})
    recovering = LadderState(2, NOW_S - 60, {}, Hold(NOW_S - 120))
    up = step_ladder(LADDER, recovering, LadderLook({**well.enter, "lite": True}, well.recover), NOW_S, 90.0)
    assert up == LadderState(1, NOW_S, {"lite": Hold(NOW_S)})


def test_it_does_not_go_up_while_the_breach_that_led_down_is_there():
    both = LadderLook(enter={"lite": False, "fallback": True, "baseline": False}, recover={"fallback": True})
    state = LadderState(2, NOW_S - 60, {"fallback": Hold(NOW_S - 600)}, Hold(NOW_S - 600))
    after = step_ladder(LADDER, state, both, NOW_S, 90.0)
    assert (after.rung, after.recovering) == (2, None)


@pytest.mark.parametrize(
    ("needs_a_person", "leaves"), [(True, [False, True, True, False]), (False, [False, True, True, True])]
)
def test_which_rungs_it_leaves_by_itself(needs_a_person, leaves):
    ladder = LADDER.model_copy(update={"last_rung_needs_a_person": needs_a_person})
    assert [may_leave(ladder, rung) for rung in range(4)] == leaves


def test_a_rung_that_the_ladder_no_longer_has_is_its_last():
    assert step_ladder(LADDER, LadderState(9), LadderLook(), NOW_S, 90.0).rung == 3


def test_a_state_before_the_first_look_reads_back():
    assert LadderState.from_json(LadderState().as_json()) == LadderState()


SWITCHES = Ladder.model_validate(
    {
        "target": "config",
        "rungs": [
            {"mode": "full", "values": {"mode": "full"}},
            {"mode": "lite", "values": {"mode": "lite", "search": "off"}, "enter": crossing("above", 2, "60s")},
            {"mode": "baseline", "values": {"mode": "baseline", "search": "slow"}, "enter": crossing("above", 10, "60s")},
        ],
    }
)


@pytest.mark.parametrize(
    ("rung", "stood", "values"),
    [
        (0, {"mode": "old", "search": "on", "other": 1}, {"mode": "full", "search": "on"}),
        (1, {"search": "on"}, {"mode": "lite", "search": "off"}),
        (2, {"search": "on"}, {"mode": "baseline", "search": "slow"}),
        (0, {}, {"mode": "full"}),
    ],
    ids=["best, as it stood", "what it switches off", "further down", "nothing stood"],
)
def test_values_of_a_rung_lie_over_what_stood_before(rung, stood, values):
    assert values_at(SWITCHES, rung, stood) == values
