"""What holds for the judges of two sides as conditions: worse never reads better, missing is no evidence."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.observation import Selector, Series, Unavailable
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, condition

JUDGES = {
    "rank_sum": {"metric": "m", "over": "60m", "worse": "higher"},
    "sequential": {"metric": "m", "over": "60m", "minimum_relative_effect": "50%"},
    "canary_score": {"metrics": [{"metric": "m", "worse": "higher"}], "over": "60m"},
}
KINDS = pytest.mark.parametrize("kind", JUDGES)
noise = st.lists(st.floats(90, 110), min_size=60, max_size=60)


def series(values):
    rows = [(NOW_S - 60 * (len(values) - 1 - index), value) for index, value in enumerate(values)]
    return Series.of(rows, unit="ms", interval_s=60.0)


def judge(kind, stable, canary):
    observed = {Selector("m", "stable"): stable, Selector("m", "canary"): canary}
    return condition(kind, **JUDGES[kind]).judge({key: one for key, one in observed.items() if one is not None}, NOW_S)


@KINDS
@given(stable=noise, canary=noise, worse_by=st.floats(0, 1e6))
@settings(max_examples=40)
def test_a_canary_that_is_worse_throughout_never_reads_better(kind, stable, canary, worse_by):
    before = judge(kind, series(stable), series(canary))
    after = judge(kind, series(stable), series([value + worse_by for value in canary]))
    assert after.verdict >= before.verdict, (before.reason, after.reason)


@KINDS
@given(stable=noise)
@settings(max_examples=20)
def test_one_that_is_far_worse_fails_and_the_direction_is_that_of_the_metric(kind, stable):
    far = series([value * 4 + index % 3 for index, value in enumerate(stable)])
    assert judge(kind, series(stable), far).verdict is Verdict.FAIL
    assert judge(kind, far, series(stable)).verdict is not Verdict.FAIL


@KINDS
@given(values=noise, missing=st.sets(st.integers(0, 59), max_size=59), side=st.sampled_from(["canary", "stable"]))
@settings(max_examples=40)
def test_missing_samples_never_make_a_pass_of_what_was_not_known(kind, values, missing, side):
    """From a side with nothing at all: adding samples without a value is still nothing."""
    nothing = [math.nan if index in missing else None for index in range(60)]
    sides = {"canary": series(values), "stable": series(values[::-1]), side: series(nothing)}
    found = judge(kind, sides["stable"], sides["canary"])
    assert found.verdict is Verdict.INCONCLUSIVE, found.reason


@KINDS
@given(
    values=noise,
    other=noise,
    shift=st.floats(0, 100),
    missing=st.lists(st.floats(0, 3600), max_size=8),
    side=st.sampled_from(["canary", "stable"]),
)
@settings(max_examples=40)
def test_adding_a_missing_sample_never_turns_anything_into_a_pass(kind, values, other, shift, missing, side):
    sides = {"stable": values, "canary": [value + shift for value in other]}
    before = judge(kind, series(sides["stable"]), series(sides["canary"]))
    whole = {name: series(one) for name, one in sides.items()}
    rows = list(zip(whole[side].times_s.tolist(), whole[side].values.tolist(), strict=True))
    whole[side] = Series.of([*rows, *((NOW_S - ago, None) for ago in missing)], unit="ms", interval_s=60.0)
    after = judge(kind, whole["stable"], whole["canary"])
    assert not (before.verdict is not Verdict.PASS and after.passed), (before.reason, after.reason)


@KINDS
@pytest.mark.parametrize("side", ["canary", "stable"])
@pytest.mark.parametrize(
    "broken",
    [None, Unavailable("refused"), series([]), series([math.nan] * 60), series([100.0] * 60).shifted(-3600.0)],
    ids=["not measured", "unavailable", "empty", "NaN", "stale"],
)
def test_a_side_without_evidence_is_inconclusive(kind, side, broken):
    whole = series([100.0 + index % 7 for index in range(60)])
    sides = {"canary": whole, "stable": whole, side: broken}
    found = judge(kind, sides["stable"], sides["canary"])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert side in found.reason + "".join(part.reason for part in found.parts)
