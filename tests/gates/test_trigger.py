"""Triggers: Prometheus's `for` to the evaluation, no data, gaps, restarts, recovery."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.hold import Hold
from gates.observation import Selector
from gates.trigger import Trigger, TriggerState, step, truth_of
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, every_minute

BREACH = {"threshold": {"metric": "m", "above": 5}}
EVERY_S = 15.0
MARKS = {"T": True, "F": False, "N": None}


def trigger(**fields):
    return Trigger.model_validate({"when": BREACH, **fields})


def run(spec, marks, *, every_s=EVERY_S, max_gap_s=60.0, recovered=None):
    """The phases, one letter each, after evaluations `every_s` apart; `-` is one that nobody made."""
    state, letters = TriggerState(), ""
    for index, mark in enumerate(marks):
        if mark == "-":
            letters += "-"
            continue
        healed = None if recovered is None else MARKS[recovered[index]]
        state = step(spec, state, MARKS[mark], NOW_S + index * every_s, max_gap_s, recovered=healed)
        state = TriggerState.from_json(json.loads(json.dumps(state.as_json())))
        letters += state.phase[0]
    return letters


@pytest.mark.parametrize(
    ("for_", "marks", "phases"),
    [
        ("0", "FTF", "ifi"),
        ("30s", "TTTT", "ppff"),
        ("30s", "TTFTTT", "ppippf"),
        ("40s", "TTTTT", "pppff"),
        ("30s", "TNTT", "pppf"),
        ("30s", "TNNNNT", "pppppp"),
        ("30s", "NNN", "iii"),
        ("0", "N", "i"),
        ("30s", "TTN", "ppp"),
        ("30s", "TTTNNF", "ppfffi"),
        ("30s", "TNFTTT", "ppippf"),
        ("30s", "T------TTT", "p------ppf"),
        ("30s", "TT---TT", "pp---ff"),
    ],
    ids=[
        "for 0 fires at once",
        "fires when it lasted",
        "one false resets",
        "at least for, not before",
        "no data does not advance",
        "no data for long keeps what there was",
        "no data alone is inactive",
        "no data never fires, for 0 neither",
        "no data never makes it fire",
        "no data keeps it firing",
        "false after no data resets",
        "time that nobody watched does not count",
        "a short gap counts",
    ],
)
def test_for(for_, marks, phases):
    assert run(trigger(**{"for": for_}), marks) == phases


def prometheus(marks, for_s, keep_s, every_s=EVERY_S):
    """The alert's states by Prometheus's own rules (rules/alerting.go, Eval), for data without gaps."""
    active_at = keep_since = None
    firing, letters = False, ""
    for index, mark in enumerate(marks):
        now = index * every_s
        if mark == "T":
            keep_since = None
            active_at = now if active_at is None else active_at
            firing = firing or now - active_at >= for_s
        elif firing and keep_s > 0:
            keep_since = now if keep_since is None else keep_since
            if now - keep_since >= keep_s:
                active_at, keep_since, firing = None, None, False
        else:
            active_at, firing = None, False
        letters += "f" if firing else "p" if active_at is not None else "i"
    return letters


@given(
    marks=st.text("TF", min_size=1, max_size=60),
    for_s=st.sampled_from([0, 1, 15, 20, 30, 60, 100]),
    keep_s=st.sampled_from([0, 1, 15, 40, 60]),
    every_s=st.sampled_from([1.0, 0.1, 15.0, 7.3]),
)
@settings(max_examples=400, deadline=None)
def test_same_evaluations_as_prometheus(marks, for_s, keep_s, every_s):
    spec = trigger(**{"for": f"{for_s}s", "keep_firing_for": f"{keep_s}s"})
    assert run(spec, marks, every_s=every_s) == prometheus(marks, for_s, keep_s, every_s)


@given(marks=st.text("TFN", min_size=1, max_size=60), for_s=st.sampled_from([0, 15, 30, 60]))
@settings(max_examples=200, deadline=None)
def test_no_data_is_as_if_the_clock_had_stood_still(marks, for_s):
    """Leaving the evaluations without data out, with their time, gives the same states."""
    spec = trigger(**{"for": f"{for_s}s"})
    with_data = [phase for phase, mark in zip(run(spec, marks), marks, strict=True) if mark != "N"]
    assert "".join(with_data) == run(spec, marks.replace("N", ""))


@pytest.mark.parametrize(
    ("marks", "phases"),
    [("TFFFF", "ffffi"), ("TFFTFFFF", "fffffffi"), ("TFNNFFF", "ffffffi")],
    ids=["kept from the first false one", "a breach starts it anew", "no data does not count"],
)
def test_keep_firing_for(marks, phases):
    assert run(trigger(keep_firing_for="45s"), marks) == phases


@pytest.mark.parametrize(
    ("marks", "recovered", "phases"),
    [
        ("TFFFF", "FTTTT", "fffii"),
        ("TFFFFFF", "FTTFTTT", "ffffffi"),
        ("TFFTFFF", "FTTTTTT", "ffffffi"),
        ("TFFNFF", "FTTNTT", "ffffii"),
        ("TNNNNN", "FTTTTT", "ffffff"),
        ("TFFFFF", "FNNNNN", "ffffff"),
    ],
    ids=[
        "its own for",
        "one false starts it anew",
        "a breach starts it anew",
        "no data does not count",
        "not known is not over",
        "not known is not recovered",
    ],
)
def test_recovery_has_its_own_for(marks, recovered, phases):
    spec = trigger(recover={"when": {"threshold": {"metric": "m", "below": 1}}, "for": "30s"})
    assert run(spec, marks, recovered=recovered) == phases


def test_a_clock_that_goes_back_counts_nothing():
    spec = trigger(**{"for": "30s"})
    state = TriggerState()
    for now_s in (100.0, 115.0, 60.0, 60.0, 75.0):
        state = step(spec, state, True, NOW_S + now_s, 60.0)
    assert state.phase == "firing"
    assert state.active.held_s(NOW_S + 75.0) == pytest.approx(30.0)


@given(
    looks=st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats()), max_size=20),
    gap_s=st.floats(0, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_no_times_raise_and_only_a_true_evaluation_begins_to_fire(looks, gap_s):
    spec, state = trigger(**{"for": "30s"}), TriggerState()
    for truth, now_s in looks:
        after = step(spec, state, truth, now_s, gap_s)
        assert not (after.firing and not state.firing) or truth
        assert math.isfinite(now_s) or after == state
        state = after


@pytest.mark.parametrize(
    ("value", "verdict", "truth"),
    [(9.0, Verdict.PASS, True), (1.0, Verdict.FAIL, False), (math.nan, Verdict.INCONCLUSIVE, None)],
)
def test_the_condition_states_the_breach(value, verdict, truth):
    found = trigger().judge(canary(m=every_minute([value])), NOW_S)
    assert (found.verdict, truth_of(found)) == (verdict, truth)


@pytest.mark.parametrize("written", [{"when": "manual"}, {"manual": True}])
def test_a_manual_trigger_needs_no_metric(written):
    spec = Trigger.model_validate({**written, "respond": "roll_back", "severity": "page"})
    assert spec.needs() == ()
    assert spec.problems({}) == []
    assert spec.judge({}, NOW_S).verdict is Verdict.INCONCLUSIVE
    assert step(spec, TriggerState(), True, NOW_S, 60.0).firing
    assert spec.describe() == "set off by a person: roll back (page)"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"when": None}, "exactly one of when"),
        ({"manual": True}, "exactly one of when"),
        ({"when": "manual", "for": "5m"}, "a manual trigger fires when it is set off"),
        ({"when": {"exists": {"metric": "m", "mode": "warn"}}}, "no meaning in a trigger"),
        ({"respond": "explode"}, "the kinds are notify, page"),
        ({"priority": "P9"}, "'P0', 'P1' or 'P2'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        trigger(**fields)


def test_problems_are_those_of_the_conditions():
    facts = {"m": MetricFacts("ms", 60.0, True, "neither")}
    spec = Trigger.model_validate(
        {
            "when": {"threshold": {"metric": "m", "above": "2%"}},
            "recover": {"when": {"threshold": {"metric": "gone", "below": 1}}},
        }
    )
    assert len(spec.problems(facts)) == 2
    assert {need.selector.metric for need in spec.needs()} == {"m", "gone"}
    healthy = {"burn_rate": {"metric": "m", "objective": "99%", "is": "within_budget"}}
    assert "is: burning" in "; ".join(Trigger.model_validate({"when": healthy}).problems({}))


def test_reads_back_as_written_and_in_one_line():
    spec = trigger(**{"for": "5m", "respond": {"reduce_weight": {"by": "20pp"}}, "settle": "15m", "notify": ["oncall"]})
    assert Trigger.model_validate(spec.model_dump(mode="json")) == spec
    assert spec.describe() == "threshold m above 5 for 5m: reduce weight (warning)"


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"phase": "odd"},
        {"phase": "firing", "last_s": "x"},
        {"phase": "firing", "active": 3},
        {"phase": "firing", "active": {}},
    ],
)
def test_a_state_that_is_none_is_refused(kept):
    with pytest.raises(ValueError, match="needed"):
        TriggerState.from_json(kept)


def test_the_whole_state_moves_on_and_reads_back():
    spec = trigger(recover={"when": {"threshold": {"metric": "m", "below": 1}}, "for": "1m"}, keep_firing_for="10s")
    looks = [(0, True, None), (15, True, True), (30, False, True), (45, None, True), (60, False, True), (75, True, True)]
    states = [TriggerState()]
    for at, truth, healed in looks:
        states.append(step(spec, states[-1], truth, NOW_S + at, 60.0, recovered=healed))
    since = Hold(NOW_S)
    assert states[1:] == [
        TriggerState("firing", NOW_S, since, NOW_S),
        TriggerState("firing", NOW_S + 15, since, NOW_S),
        TriggerState("firing", NOW_S + 30, since, NOW_S, Hold(NOW_S + 30), Hold(NOW_S + 15 + 15)),
        TriggerState("firing", NOW_S + 45, since, NOW_S, Hold(NOW_S + 30, 15.0), Hold(NOW_S + 30)),
        TriggerState("firing", NOW_S + 60, since, NOW_S, Hold(NOW_S + 30, 15.0), Hold(NOW_S + 30)),
        TriggerState("firing", NOW_S + 75, since, NOW_S),
    ]
    for state in states:
        assert TriggerState.from_json(json.loads(json.dumps(state.as_json()))) == state


def test_what_ends_is_as_new_but_for_the_time_of_the_look():
    ended = step(trigger(), TriggerState("firing", NOW_S, Hold(NOW_S), NOW_S), False, NOW_S + 15, 60.0)
    assert ended == TriggerState(last_s=NOW_S + 15)
    assert step(trigger(), TriggerState(), False, NOW_S, 60.0) == TriggerState(last_s=NOW_S)


def test_lists_and_quantities_are_said_in_words():
    spec = Trigger.model_validate({"when": {"any": [BREACH, {"threshold": {"metric": "n", "between": [1, 2]}}]}})
    assert spec.describe() == "any threshold m above 5, threshold n between 1, 2: notify (warning)"
    assert Trigger.model_validate({"when": "manual"}).judge({}, NOW_S).reason == "set off by a person only"


def test_problems_name_both_the_breach_and_its_form():
    burning = {"burn_rate": {"metric": "gone", "objective": "99%", "is": "within_budget"}}
    found = Trigger.model_validate({"when": burning}).problems({})
    assert len(found) == 2


@pytest.mark.parametrize(("value", "truth"), [(0.5, True), (1.5, False), (math.nan, None)])
def test_recovered_is_what_its_own_condition_says(value, truth):
    spec = trigger(recover={"when": {"threshold": {"metric": "n", "below": 1}}, "for": "1m"})
    assert spec.recovered(canary(m=every_minute([9.0]), n=every_minute([value])), NOW_S) is truth
    assert trigger().recovered(canary(m=every_minute([9.0]), n=every_minute([value])), NOW_S) is None


def test_a_burn_rate_that_states_the_breach_is_no_problem():
    burning = {"burn_rate": {"metric": "m", "objective": "99%", "is": "burning"}}
    assert Trigger.model_validate({"when": burning}).problems({"m": MetricFacts("ratio", 60.0, False, "neither")}) == []


def test_quantities_are_described_as_they_were_written():
    spec = Trigger.model_validate({"when": {"threshold": {"metric": "m", "above": "2.5%", "held": "90s"}}})
    assert spec.describe() == "threshold m above 2.5% held 1m30s: notify (warning)"


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ({"priority": "P0"}, "page"),
        ({"priority": "P1"}, "warning"),
        ({"priority": "P2"}, "info"),
        ({"priority": "P0", "severity": "info"}, "info"),
        ({"severity": "page"}, "page"),
        ({}, "warning"),
    ],
)
def test_it_is_as_urgent_as_its_priority_unless_said(written, severity):
    assert trigger(**written).severity == severity
    assert Trigger.model_validate({"when": "manual", **written}).severity == severity


@pytest.mark.parametrize("phase", ["inactive", "pending", "firing"])
@pytest.mark.parametrize(("value", "below"), [(5.0, True), (5.1, False), (math.nan, False), (None, False)])
def test_quiet_is_inactive_and_plainly_below_the_breach(phase, value, below):
    observed = {} if value is None else canary(m=every_minute([value], unit=""))
    assert trigger().is_quiet(TriggerState(phase), observed, NOW_S) is (below and phase == "inactive")


def test_what_only_a_person_sets_off_and_what_cannot_be_judged_is_never_quiet():
    assert not Trigger.model_validate({"when": "manual"}).is_quiet(TriggerState(), {}, NOW_S)
    unreadable = {Selector("m", "canary"): "no series"}
    assert not trigger().is_quiet(TriggerState(), unreadable, NOW_S)
