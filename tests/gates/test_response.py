"""Responses: their order, what they do to a weight, and which one to make now."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gates.response import RESPONSES, AnyResponse, Firing, Made, ReduceWeight, RollBack, due

RESPONSE = TypeAdapter(AnyResponse)
NOW_S = 10_000.0
WRITTEN = {
    "notify": "notify",
    "page": "page",
    "throttle": {"throttle": {"setting": "rate", "to": 0.5}},
    "set_value": {"set_value": {"target": "config", "changes": {"aether": 0.25}}},
    "reduce": {"reduce_weight": {"by": "20pp"}},
    "reduce more": {"reduce_weight": {"by": "40pp"}},
    "switch_off": {"switch_off": {"target": "config", "feature": "emergence"}},
    "step_down": {"step_down": {"ladder": "mode"}},
    "roll back to half": {"roll_back": {"to": "50%"}},
    "roll back": "roll_back",
}


def firing(name, *, since_s=NOW_S, settle_s=0.0):
    return Firing(name, RESPONSE.validate_python(WRITTEN[name]), since_s, settle_s)


def made(name, made_s, *, settle_s=0.0):
    return Made(name, RESPONSE.validate_python(WRITTEN[name]).rank, made_s, settle_s)


def names(responses):
    return [one.trigger for one in responses]


def test_from_least_to_worst():
    ranks = [RESPONSE.validate_python(written).rank for written in WRITTEN.values()]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert {type(RESPONSE.validate_python(written)).kind for written in WRITTEN.values()} == set(RESPONSES)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_reads_back_as_written(written):
    response = RESPONSE.validate_python(written)
    assert RESPONSE.validate_python(RESPONSE.dump_python(response, mode="json")) == response


@pytest.mark.parametrize(
    ("fields", "now", "after"),
    [
        ({"by": "20pp"}, 50, 30),
        ({"by": "20pp"}, 10, 0),
        ({"to": "50%"}, 90, 50),
        ({"to": "50%"}, 30, 30),
        ({"by": "0.5pp"}, 50, 49),
    ],
)
def test_a_weight_only_goes_down(fields, now, after):
    assert ReduceWeight.model_validate(fields).weight_after(now) == after


@pytest.mark.parametrize(
    "fields", [{}, {"by": "20pp", "to": "5%"}, {"by": "20%"}, {"by": "-5pp"}, {"by": "0pp"}, {"to": "101%"}, {"to": "5ms"}]
)
def test_weights_that_make_no_sense_are_refused(fields):
    with pytest.raises(ValidationError):
        ReduceWeight.model_validate(fields)


def test_roll_back_goes_to_zero_unless_told():
    assert RollBack().weight_percent == 0
    assert RollBack.model_validate({"to": "50%"}).weight_percent == 50


@pytest.mark.parametrize(
    ("fires", "history", "expected"),
    [
        ([], [], []),
        (["reduce", "roll back", "throttle"], [], ["roll back"]),
        (["reduce", "page", "notify"], [], ["page", "notify", "reduce"]),
        (["throttle"], [made("throttle", NOW_S)], []),
        (["throttle"], [made("throttle", NOW_S - 1)], ["throttle"]),
        (["roll back", "throttle"], [made("roll back", NOW_S)], []),
        (["roll back to half", "throttle"], [made("roll back to half", NOW_S)], ["throttle"]),
        (["reduce"], [made("roll back to half", NOW_S - 10, settle_s=60)], []),
        (["reduce"], [made("roll back to half", NOW_S - 60, settle_s=60)], ["reduce"]),
        (["roll back"], [made("reduce", NOW_S - 10, settle_s=60)], ["roll back"]),
        (["page"], [made("roll back", NOW_S - 10, settle_s=60)], ["page"]),
    ],
    ids=[
        "nothing fires",
        "the worst wins",
        "notices are always made",
        "once while it fires",
        "again when it fires anew",
        "after a rollback nothing else",
        "after a partial one the next worst",
        "a lesser one waits for the worse to settle",
        "and is made when it has settled",
        "a worse one never waits for a lesser",
        "a page never waits",
    ],
)
def test_due(fires, history, expected):
    assert names(due([firing(name) for name in fires], history, NOW_S)) == expected


@pytest.mark.parametrize(("age_s", "expected"), [(59.0, []), (60.0, ["reduce"])])
def test_repeated_only_after_its_settling_time(age_s, expected):
    one = firing("reduce", since_s=NOW_S - 500, settle_s=60)
    assert names(due([one], [made("reduce", NOW_S - age_s, settle_s=60)], NOW_S)) == expected


def test_a_repeat_comes_after_what_was_not_made_yet():
    fires = [firing("reduce", since_s=NOW_S - 500, settle_s=60), firing("throttle", since_s=NOW_S - 500)]
    history = [made("reduce", NOW_S - 60, settle_s=60)]
    assert names(due(fires, history, NOW_S)) == ["throttle"]
    assert names(due(fires, [*history, made("throttle", NOW_S)], NOW_S + 1)) == ["reduce"]


def test_one_that_fires_anew_is_no_repeat():
    fires = [firing("reduce", since_s=NOW_S - 30, settle_s=60), firing("throttle", since_s=NOW_S - 500)]
    assert names(due(fires, [made("reduce", NOW_S - 60, settle_s=60)], NOW_S)) == ["reduce"]


def test_the_repeat_of_a_full_rollback_waits_for_nothing():
    fires = [firing("roll back", since_s=NOW_S - 500, settle_s=60), firing("throttle", since_s=NOW_S - 500)]
    assert names(due(fires, [made("roll back", NOW_S - 60, settle_s=60)], NOW_S)) == ["roll back"]


@pytest.mark.parametrize(
    ("tree", "fires", "expected"),
    [
        (["throttle", "roll back"], ["roll back", "throttle"], ["throttle"]),
        (["roll back", "reduce", "switch_off"], ["switch_off", "reduce"], ["reduce"]),
        (["throttle", "reduce"], ["throttle", "reduce", "roll back"], ["roll back"]),
        (["throttle"], ["page", "throttle"], ["page", "throttle"]),
    ],
    ids=["first that fires", "in order of the tree", "those outside compete as ever", "notices are made all the same"],
)
def test_decision_tree(tree, fires, expected):
    assert names(due([firing(name) for name in fires], [], NOW_S, decision_tree=tree)) == expected


def test_while_the_first_of_the_tree_settles_the_others_do_not_take_its_place():
    fires = [firing("reduce", since_s=NOW_S - 100, settle_s=60), firing("throttle")]
    history = [made("reduce", NOW_S - 10, settle_s=60)]
    assert due(fires, history, NOW_S, decision_tree=["reduce", "throttle"]) == ()


def other(name, trigger):
    """The same response, asked for by another trigger."""
    one = firing(name)
    return Firing(trigger, one.response, one.since_s, one.settle_s)


def test_what_another_trigger_was_answered_with_is_not_an_answer_to_this_one():
    history = [made("throttle", NOW_S)]
    assert names(due([other("throttle", "second")], history, NOW_S)) == ["second"]


def test_another_answer_to_the_same_trigger_is_not_this_one():
    history = [Made("throttle", RESPONSE.validate_python("notify").rank, NOW_S)]
    assert names(due([firing("throttle")], history, NOW_S)) == ["throttle"]


@pytest.mark.parametrize(("age_s", "expected"), [(0.4, []), (0.5, ["second"])])
def test_one_that_is_as_bad_waits_for_the_other_to_settle_however_short_that_is(age_s, expected):
    history = [made("throttle", NOW_S - age_s, settle_s=0.5)]
    assert names(due([other("throttle", "second")], history, NOW_S)) == expected


@pytest.mark.parametrize(("age_s", "expected"), [(0.4, []), (0.5, ["throttle"])])
def test_a_settling_time_below_a_second_counts(age_s, expected):
    fires = [firing("throttle", since_s=NOW_S - 9, settle_s=0.5)]
    assert names(due(fires, [made("throttle", NOW_S - age_s, settle_s=0.5)], NOW_S)) == expected


@pytest.mark.parametrize(("age_s", "expected"), [(59.0, []), (60.0, ["page"])])
def test_a_page_is_repeated_after_its_settling_time(age_s, expected):
    fires = [firing("page", since_s=NOW_S - 500, settle_s=60)]
    assert names(due(fires, [made("page", NOW_S - age_s, settle_s=60)], NOW_S)) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"to": "101%"}, "to: 101% must be from 0% to 100%"), ({"to": "5ms"}, "to: 5ms is in 'ms' (time)")],
)
def test_a_weight_is_named_with_what_is_wrong(fields, said):
    for spec in (ReduceWeight, RollBack):
        with pytest.raises(ValidationError) as refused:
            spec.model_validate(fields)
        assert said in str(refused.value)


@pytest.mark.parametrize("to", ["0%", "100%"])
def test_both_ends_are_weights(to):
    assert ReduceWeight.model_validate({"to": to}).weight_after(100) == int(to.removesuffix("%"))


def test_one_without_a_settling_time_holds_no_other_even_when_the_clock_went_back():
    history = [made("roll back to half", NOW_S + 5)]
    assert names(due([firing("throttle")], history, NOW_S)) == ["throttle"]


@pytest.mark.parametrize(("by", "fits"), [("100pp", True), ("100.5pp", False), ("0.5pp", True)])
def test_the_whole_weight_is_the_most_that_can_be_taken(by, fits):
    if fits:
        assert ReduceWeight.model_validate({"by": by}).weight_after(100) in (0, 99)
    else:
        with pytest.raises(ValidationError, match="at most 100"):
            ReduceWeight.model_validate({"by": by})


@pytest.mark.parametrize(
    ("fields", "taken"), [({"by": "20pp"}, 20.0), ({"to": "80%"}, 20.0), ({"to": "0%"}, 100.0), ({"to": "100%"}, 0.0)]
)
def test_of_two_reductions_the_one_that_takes_more_is_worse(fields, taken):
    assert ReduceWeight.model_validate(fields).rank == (4, taken)
