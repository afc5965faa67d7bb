"""The triggers of one rollout at one tick: what is due, once, and what cannot be seen."""

from chrysalis.ledger import Guarded
from gates.observation import Observations, Selector, Series, Unavailable
from tasks.judging import Judgement, States, armed, blindness, judge_triggers
from tasks.workspace import Measured
from tests.tasks.conftest import NOW, Bench

ERRORS = Selector("error_rate", "canary")
AT_S = NOW.timestamp()


def guarded(bench: Bench, states: dict[str, object] | None = None) -> Guarded:
    return Guarded(bench.ledger.get(bench.rollout.id), NOW, {"errors": {}, "vulnerability": {}}, states or {}, ())


def measured(bench: Bench, found: Series | Unavailable) -> Measured:
    observations: Observations = {ERRORS: found}
    return Measured({id(bench.plan.triggers["errors"].when): observations})


def judge(
    bench: Bench, ratio: float, *, at_s: float = AT_S, states: dict[str, object] | None = None, **more: str
) -> Judgement:
    seen = guarded(bench, states)
    series = Series.of([(at_s, ratio)], unit="ratio", interval_s=15.0)
    return judge_triggers(
        armed(bench, seen), States.from_json(seen.trigger_states), measured(bench, series),
        workspace=bench, now_s=at_s, max_gap_s=60.0, set_off=frozenset(more.values()),
    )  # fmt: skip


def test_a_breach_is_due_and_says_both_operands(bench: Bench) -> None:
    judgement = judge(bench, 0.3)
    assert [one.trigger for one in judgement.due] == ["errors"]
    assert "30 %" in judgement.findings["errors"].reason
    assert "5 %" in judgement.findings["errors"].reason


def test_what_was_answered_is_not_due_again_while_it_fires(bench: Bench) -> None:
    first = judge(bench, 0.3)
    made = first.having_made(first.states, first.due[0])
    assert judge(bench, 0.3, at_s=AT_S + 15, states=made.as_json()).due == ()


def test_below_the_threshold_nothing_is_due(bench: Bench) -> None:
    assert judge(bench, 0.01).due == ()


def test_a_manual_trigger_fires_only_when_it_was_set_off(bench: Bench) -> None:
    assert [one.trigger for one in judge(bench, 0.0, name="vulnerability").due] == ["vulnerability"]


def test_a_source_that_cannot_be_asked_is_blindness_and_not_a_breach(bench: Bench) -> None:
    seen = guarded(bench)
    nothing = measured(bench, Unavailable("prometheus does not answer"))
    triggers = armed(bench, seen)
    judgement = judge_triggers(
        triggers,
        States.from_json(seen.trigger_states),
        nothing,
        workspace=bench,
        now_s=AT_S,
        max_gap_s=60.0,
        set_off=frozenset(),
    )
    said = blindness(triggers, nothing, judgement, exposed=False)
    assert (said, judgement.due) == ("trigger errors: prometheus does not answer", ())
