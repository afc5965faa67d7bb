"""What is promised of every kind: it never raises, never passes without evidence, and reads back as it was written."""

import math
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.conditions import CONDITIONS, GateSpec, judge_gate
from gates.count import Exists
from gates.observation import Selector, Series, Unavailable
from gates.verdict import Mode, Verdict
from tests.gates.strategies import (
    CONDITION,
    EVERY_KIND,
    NOW_S,
    any_series,
    any_time,
    any_unit,
    any_value,
    canary,
    every_minute,
    observed,
    words,
)

KINDS = pytest.mark.parametrize("written", EVERY_KIND.values(), ids=EVERY_KIND.keys())
FACTS = {name: MetricFacts("", 60.0, True, "lower_is_better") for name in ("m", "n", "k")}


def test_every_kind_is_in_the_table_of_these_tests():
    assert {next(iter(written)) for written in EVERY_KIND.values()} == set(CONDITIONS)


@KINDS
def test_reads_back_as_written(written):
    spec = CONDITION.validate_python(written)
    kept = CONDITION.dump_python(spec, mode="json")
    assert CONDITION.validate_python(kept) == spec
    assert CONDITION.validate_json(CONDITION.dump_json(spec)) == spec


@KINDS
def test_needs_name_metrics_and_windows(written):
    needs = CONDITION.validate_python(written).needs()
    assert needs
    assert all(need.window_s >= 0 and need.selector.metric in FACTS for need in needs)


@KINDS
def test_unknown_metric_is_a_problem(written):
    assert any("m" in problem for problem in CONDITION.validate_python(written).problems({}))


@KINDS
@pytest.mark.parametrize(
    "series",
    [
        None,
        Unavailable("connection refused"),
        Series.of([], unit="", interval_s=60),
        every_minute([math.nan] * 80, unit=""),
        every_minute([2.0] * 80, unit="", now_s=NOW_S - 7200),
        every_minute([2.0] * 80, unit="", now_s=NOW_S + 9000),
        every_minute([2.0] * 80, unit="", interval_s=0.0),
    ],
    ids=["not measured", "unavailable", "empty", "only NaN", "stale", "from the future", "spacing not known"],
)
def test_without_evidence_is_inconclusive_with_a_reason(written, series):
    found = CONDITION.validate_python(written).judge({} if series is None else observed(series), NOW_S)
    if found.verdict is Verdict.FAIL:  # a critical part may say more, never better
        pytest.fail(found.reason)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason


@KINDS
@given(series=any_series(), now_s=st.one_of(st.just(NOW_S), st.floats()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_input_raises(written, series, now_s):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = CONDITION.validate_python(written).judge(observed(series), now_s)
    assert found.reason
    assert "fault of the judge" not in found.reason
    assert all(isinstance(number, float) for number in found.numbers.values())
    if not math.isfinite(now_s) or not math.isfinite(series.interval_s) or series.interval_s <= 0:
        assert not found.passed
    if found.passed:
        assert len(series.window(start_s=-math.inf, end_s=now_s))


@KINDS
@given(
    values=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=70),
    missing=st.lists(st.integers(0, 90), max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_a_missing_sample_never_makes_a_pass_of_what_was_not_known(written, values, missing):
    spec = CONDITION.validate_python(written)
    if next(iter(written)) in ("rank_sum", "sequential", "canary_score"):
        return
    first_s = NOW_S - 60 * (len(values) - 1)
    rows = [(first_s + 60 * i, value) for i, value in enumerate(values)]
    more = [*rows, *((NOW_S - 60 * ago, None) for ago in missing)]
    before = spec.judge(observed(Series.of(rows, unit="", interval_s=60)), NOW_S)
    after = spec.judge(observed(Series.of(more, unit="", interval_s=60)), NOW_S)
    assert not (before.verdict is not Verdict.PASS and after.passed)


MONOTONE = {
    name: EVERY_KIND[name]
    for name in ("threshold last", "threshold held", "threshold sum", "count", "incident free", "stable threshold", "all")
} | {
    "threshold mean below": {"threshold": {"metric": "m", "at_most": 5, "statistic": "mean", "over": "60m"}},
    "threshold p95 below": {"threshold": {"metric": "m", "at_most": 5, "statistic": "p95", "over": "60m"}},
    "comparison": {"comparison": {"metric": "m", "against": "baseline:before", "at_most": "5%"}},
    "comparison multiple": {"comparison": {"metric": "m", "against": "baseline:before", "at_most": "2x"}},
    "comparison speed-up": {"comparison": {"metric": "m", "against": "baseline:before", "speed_up": "2x"}},
    "in a row": {"in_a_row": {"metric": "m", "at_most": 3, "above": 5}},
    "product": {"product": {"metrics": ["m", "n"], "at_most": 4}},
    "within budget": EVERY_KIND["within budget"],
    "stable mean": {
        "stable": {
            "of": [{"threshold": {"metric": "m", "at_most": 5, "statistic": "mean", "over": "10m"}}],
            "for": "20m",
            "every": "1m",
        }
    },
    "stable count": {
        "stable": {"of": [{"count": {"metric": "m", "at_most": 9, "over": "5m"}}], "for": "20m", "every": "1m"}
    },
    "any": {"any": [{"threshold": {"metric": "m", "at_most": 5}}, {"count": {"metric": "n", "at_most": 9, "over": "5m"}}]},
    "at least": {
        "at_least": {
            "count": 2,
            "of": [
                {"threshold": {"metric": "m", "at_most": 5}},
                {"threshold": {"metric": "n", "at_most": 7, "critical": True}},
                {"count": {"metric": "k", "at_most": 9, "over": "5m"}},
            ],
        }
    },
}
LOWER_IS_WORSE = {
    "threshold mean above": EVERY_KIND["threshold mean"],
    "threshold held above": {"threshold": {"metric": "m", "above": 5, "held": "10m"}},
    "comparison multiple above": EVERY_KIND["comparison multiple"],
    "count at least": {"count": {"metric": "m", "at_least": 3, "over": "1h"}},
    "exists": EVERY_KIND["exists"],
    "exists in a window": EVERY_KIND["exists in a window"],
    "product at least": EVERY_KIND["product"],
}
BREACHES = {
    "threshold above": {"threshold": {"metric": "m", "above": 5}},
    "in a row": {"in_a_row": {"metric": "m", "more_than": 3, "above": 5}},
    "burning": EVERY_KIND["burn rate"],
}
"""Conditions of triggers, which pass where something is wrong."""
NOT_MONOTONE = {
    "trend": "a sample that is higher makes the rise less sure as well as larger",
    "distribution": "no word is worse than another",
    "category": "words, below",
    "consensus": "what is higher may agree better",
    "rank_sum": "by single samples Kayenta's tolerance grows with the shift; by whole sides in test_two_sided_evidence",
    "sequential": "by single samples an outlier widens the interval; by whole sides in test_two_sided_evidence",
    "canary_score": "as rank_sum",
}


def test_every_kind_is_held_to_get_no_better_or_says_why_not():
    held = {next(iter(written)) for table in (MONOTONE, LOWER_IS_WORSE, BREACHES) for written in table.values()}
    assert held | NOT_MONOTONE.keys() == set(CONDITIONS)


changes = given(
    values=st.lists(st.one_of(st.floats(0, 10), st.floats(0, 1.7e308)), min_size=1, max_size=70),
    place=st.integers(0, 69),
    worse_by=st.one_of(st.floats(0, 10), st.floats(0, 1.7e308)),
    baseline=st.floats(0, 10),
)


@pytest.mark.parametrize("written", MONOTONE.values(), ids=MONOTONE.keys())
@changes
@settings(max_examples=80, deadline=None)
def test_the_verdict_never_improves_when_a_sample_gets_worse(written, values, place, worse_by, baseline):
    index = place % len(values)
    worse = [*values[:index], min(values[index] + worse_by, 1.7e308), *values[index + 1 :]]
    before, after = judged(written, values, baseline), judged(written, worse, baseline)
    assert after.verdict >= before.verdict, (before, after)


@pytest.mark.parametrize("written", LOWER_IS_WORSE.values(), ids=LOWER_IS_WORSE.keys())
@changes
@settings(max_examples=40, deadline=None)
def test_nor_where_a_lower_sample_is_the_worse_one(written, values, place, worse_by, baseline):
    index = place % len(values)
    worse = [*values[:index], max(values[index] - worse_by, 0.0), *values[index + 1 :]]
    before, after = judged(written, values, baseline), judged(written, worse, baseline)
    assert after.verdict >= before.verdict, (before, after)


@pytest.mark.parametrize("written", BREACHES.values(), ids=BREACHES.keys())
@changes
@settings(max_examples=40, deadline=None)
def test_nor_is_a_breach_less_true_when_a_sample_gets_worse(written, values, place, worse_by, baseline):
    index = place % len(values)
    worse = [*values[:index], min(values[index] + worse_by, 1.7e308), *values[index + 1 :]]
    before, after = judged(written, values, baseline), judged(written, worse, baseline)
    assert after.verdict <= before.verdict, (before, after)


@pytest.mark.parametrize("name", ["category", "category held"])
@given(labels=st.lists(st.sampled_from(["full", "lite", "off", ""]), min_size=1, max_size=20), place=st.integers(0, 19))
@settings(max_examples=60, deadline=None)
def test_nor_when_a_word_becomes_one_that_is_not_allowed(name, labels, place):
    index = place % len(labels)
    spec = CONDITION.validate_python(EVERY_KIND[name])
    before = spec.judge(observed(words(labels)), NOW_S)
    after = spec.judge(observed(words([*labels[:index], "off", *labels[index + 1 :]])), NOW_S)
    assert after.verdict >= before.verdict, (before, after)


def judged(written, values, baseline):
    unit = "s" if "sum" in str(written) else "ratio" if "burn_rate" in written else ""
    kept = {Selector("m", "all", 0.0, "before"): every_minute([baseline], unit=unit)}
    return CONDITION.validate_python(written).judge(observed(every_minute(values, unit=unit)) | kept, NOW_S)


def test_an_unknown_kind_lists_the_kinds_there_are():
    with pytest.raises(ValidationError, match="the kinds are all, any, at_least, burn_rate") as refused:
        CONDITION.validate_python({"thresold": {"metric": "m"}})
    assert [one["type"] for one in refused.value.errors()] == ["unknown_kind"]


def test_the_json_schema_covers_every_kind():
    schema = str(CONDITION.json_schema())
    assert all(f"'{kind}'" in schema for kind in CONDITIONS)


def test_an_empty_gate_is_an_error():
    with pytest.raises(ValidationError):
        GateSpec.model_validate([])


def test_a_gate_of_warnings_alone_is_an_error():
    with pytest.raises(ValidationError, match="no condition counts"):
        GateSpec.model_validate([{"exists": {"metric": "m", "mode": "warn"}}])


def test_a_gate_is_the_worst_of_its_conditions_and_shows_each():
    gate = GateSpec.model_validate(
        {
            "all": [
                {"threshold": {"name": "slow", "metric": "p95", "at_most": "700ms"}},
                {"threshold": {"metric": "p50", "at_most": "350ms"}},
                {"threshold": {"metric": "p50", "at_most": "1ms", "mode": "warn"}},
                {"threshold": {"metric": "p50", "at_most": "1ms", "mode": "dry_run"}},
            ]
        }
    )
    found = judge_gate(gate, canary(p95=every_minute([812.0]), p50=every_minute([300.0])), NOW_S)
    assert found.verdict is Verdict.FAIL
    assert found.reason == "1 of 2 passed: slow: p95 812 ms > at most 700 ms"
    assert [part.verdict for part in found.parts] == [Verdict.FAIL, Verdict.PASS, Verdict.FAIL, Verdict.FAIL]
    assert [part.mode for part in found.parts] == [Mode.BLOCK, Mode.BLOCK, Mode.WARN, Mode.DRY_RUN]


def test_a_gate_that_must_still_hold_says_how_long():
    gate = GateSpec.model_validate([{"threshold": {"metric": "p95", "at_most": "700ms", "held": h}} for h in ("60m", "30m")])
    found = judge_gate(gate, canary(p95=every_minute([500.0] * 20)), NOW_S)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.holds_in_s == max(part.holds_in_s for part in found.parts)


def test_needs_of_a_gate_are_asked_once_with_the_longest_window():
    gate = GateSpec.model_validate([{"threshold": {"metric": "m", "at_most": 1, "held": h}} for h in ("60m", "30m")])
    assert gate.needs() == ((Selector("m", "canary"), 3600.0),)


class Broken(Exists):
    """A kind with a fault."""

    def judge(self, observations, now_s):
        raise ZeroDivisionError("by zero")


def test_a_judge_that_breaks_is_not_known_and_leaves_the_others():
    whole = CONDITION.validate_python({"exists": {"metric": "m"}})
    gate = GateSpec.model_construct(conditions=(Broken(metric="m"), whole), name="")
    found = judge_gate(gate, canary(m=every_minute([1.0])), NOW_S)
    assert [part.verdict for part in found.parts] == [Verdict.INCONCLUSIVE, Verdict.PASS]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "fault of the judge" in found.reason


@KINDS
def test_problems_of_a_fitting_metric_name_no_crash(written):
    assert isinstance(CONDITION.validate_python(written).problems(FACTS), list)


UNSIDED = {"m": MetricFacts("ratio", 1.0, False, "neither")}


@pytest.mark.parametrize(
    "written",
    [
        {"threshold": {"metric": "m", "below": 1}},
        {"comparison": {"metric": "m", "target": 1, "within": 1}},
        {"count": {"metric": "m", "below": 1}},
        {"exists": {"metric": "m"}},
        {"in_a_row": {"metric": "m", "at_most": 1}},
        {"incident_free": {"metric": "m", "for": "1h"}},
        {"burn_rate": {"metric": "m", "objective": "99%", "is": "burning", "period": "3d"}},
        {"trend": {"metric": "m", "is": "rising", "over": "1h"}},
        {"product": {"metrics": ["m"], "below": 1}},
        {"consensus": {"metrics": ["m"], "below": 1}},
    ],
    ids=lambda written: next(iter(written)),
)
def test_the_stable_side_of_a_metric_without_sides_is_a_problem_in_every_kind(written):
    (kind,) = written
    spec = CONDITION.validate_python({kind: {**written[kind], "side": "stable"}})
    assert any("side stable asked for, but the metric has no sides" in problem for problem in spec.problems(UNSIDED))
    assert spec.needs()[0].selector.side == "stable"


def test_problems_and_the_name_of_a_gate():
    gate = GateSpec.model_validate({"name": "ready", "all": [{"exists": {"metric": "m"}}, {"exists": {"metric": "n"}}]})
    assert len(gate.problems({"m": MetricFacts("count", 60.0, True, "neither")})) == 1
    assert judge_gate(gate, {}, NOW_S).name == "ready"


def test_a_gate_whose_metrics_fit_has_no_problems():
    gate = GateSpec.model_validate([{"exists": {"metric": "m"}}])
    assert gate.problems({"m": MetricFacts("count", 60.0, True, "neither")}) == []


@KINDS
@settings(max_examples=60)
@given(series=any_series(), now_s=any_time)
def test_what_plainly_fails_is_judged_to_fail(written, series, now_s):
    one = CONDITION.validate_python(written)
    assert not one.plainly_fails(observed(series), now_s) or one.judge(observed(series), now_s).verdict is Verdict.FAIL


@pytest.mark.parametrize("bound", [{"above": 5}, {"below": 5}, {"at_least": 5}, {"at_most": 5}, {"between": [4, 5]}])
@given(value=st.one_of(any_value, st.sampled_from([3.9, 4.0, 5.0, 5.1])), unit=any_unit)
def test_a_newest_sample_that_breaks_the_bound_plainly_fails(bound, value, unit):
    one = CONDITION.validate_python({"threshold": {"metric": "m", **bound}})
    seen = observed(Series.of([(NOW_S, value)], unit=unit, interval_s=60.0))
    assert one.plainly_fails(seen, NOW_S) is (one.judge(seen, NOW_S).verdict is Verdict.FAIL)
