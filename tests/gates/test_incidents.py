"""Quiet for days, and stable for days."""

import math

import pytest
from pydantic import ValidationError

from gates.observation import Selector
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute, words

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL
HOURS = 7 * 24


def hourly(values, **options):
    return every_minute([float(v) for v in values], unit=options.get("unit", "count"), interval_s=3600.0)


@pytest.mark.parametrize(
    ("values", "samples_are", "verdict"),
    [
        ([0] * HOURS, "increments", PASS),
        ([1] + [0] * HOURS, "increments", PASS),
        ([1] + [0] * (HOURS - 1), "increments", INCONCLUSIVE),
        ([0] * (HOURS - 1) + [1], "increments", FAIL),
        ([0] * 100, "increments", INCONCLUSIVE),
        ([0] * 50 + [math.nan] * 10 + [0] * (HOURS - 60), "increments", INCONCLUSIVE),
        ([3] * (HOURS + 1), "total", PASS),
        ([2] + [3] * HOURS, "total", INCONCLUSIVE),
        ([2] * HOURS + [3], "total", FAIL),
        ([2] * 20 + [0] * (HOURS - 19), "total", PASS),
        ([2] * 20 + [1] * (HOURS - 19), "total", INCONCLUSIVE),
    ],
)
def test_incident_free(values, samples_are, verdict):
    spec = condition("incident_free", metric="p0", samples_are=samples_are, **{"for": "7d"})
    found = spec.judge(canary(p0=hourly(values)), NOW_S)
    assert found.verdict is verdict, found.reason


def test_an_incident_two_days_ago_leaves_five_days():
    values = [0] * (HOURS - 49) + [1] + [0] * 48
    found = condition("incident_free", metric="p0", **{"for": "7d"}).judge(canary(p0=hourly(values)), NOW_S)
    assert found.holds_in_s == 5 * 86400


def stable(*conditions, **fields):
    return condition("stable", of=list(conditions), **{"for": "7d", **fields})


QUICK = {"threshold": {"metric": "m", "at_most": "700ms"}}
NEAR = {"comparison": {"metric": "m", "against": "stable", "at_most": "10ms"}}


def test_a_threshold_is_held_over_every_sample():
    assert stable(QUICK).judge(canary(m=hourly([500] * HOURS, unit="ms")), NOW_S).passed
    dented = [500] * 100 + [800] + [500] * (HOURS - 101)
    found = stable(QUICK).judge(canary(m=hourly(dented, unit="ms")), NOW_S)
    assert found.verdict is INCONCLUSIVE
    assert found.holds_in_s == pytest.approx(101 * 3600)
    assert stable(QUICK).judge(canary(m=hourly([500] * 167 + [800], unit="ms")), NOW_S).verdict is FAIL


@pytest.mark.parametrize(
    ("stable_values", "verdict"),
    [
        ([500] * HOURS, PASS),
        ([500] * 100 + [400] + [500] * (HOURS - 101), INCONCLUSIVE),
        ([500] * (HOURS - 1) + [400], FAIL),
        ([500] * 60, INCONCLUSIVE),
        ([500] * 100 + [math.nan] * 8 + [500] * (HOURS - 108), INCONCLUSIVE),
    ],
    ids=["all the time", "not once", "not now", "not known for long", "not known in between"],
)
def test_other_conditions_are_judged_again_in_the_past(stable_values, verdict):
    seen = {
        Selector("m", "canary"): hourly([500] * HOURS, unit="ms"),
        Selector("m", "stable"): hourly(stable_values, unit="ms"),
    }
    found = stable(NEAR).judge(seen, NOW_S)
    assert found.verdict is verdict, found.reason


def test_needs_reach_back_over_the_days():
    assert {need.window_s for need in stable(QUICK, NEAR).needs()} == {7 * 86400.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"of": []},
        {"for": "0s"},
        {"every": "0s"},
        {"every": "8d"},
        {"every": "1s"},
        {"for": "10001m", "every": "1m"},
        {"of": [{"exists": {"metric": "m", "mode": "warn"}}]},
    ],
)
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        condition("stable", **{"of": [QUICK], "for": "7d", **fields})


def stable_words(values, every="5m", for_="30m"):
    spec = condition("stable", of=[{"category": {"metric": "m", "is": "full"}}], **{"for": for_, "every": every})
    return spec.judge(canary(m=words(values)), NOW_S)


@pytest.mark.parametrize(
    ("wrong_ago_min", "verdict"),
    [(None, PASS), (30, PASS), (25, INCONCLUSIVE), (26, PASS), (5, INCONCLUSIVE), (3, PASS), (0, FAIL)],
)
def test_moments_of_the_past_are_those_of_the_window(wrong_ago_min, verdict):
    """Judged 25, 20, ... and 0 minutes ago."""
    values = ["full" if 40 - index != wrong_ago_min else "lite" for index in range(41)]
    found = stable_words(values)
    assert found.verdict is verdict, found.reason
    if verdict is PASS:
        assert found.parts[0].reason == "m is 'full', one of 'full'; so for 30m"


def test_one_moment_is_enough_when_it_is_the_whole_time():
    assert stable_words(["full"] * 5, every="10m", for_="10m").passed


def test_numbers_go_along():
    quiet = condition("incident_free", metric="m", **{"for": "1h"}).judge(canary(m=every_minute([0.0] * 30)), NOW_S)
    assert quiet.numbers == {"held_s": 1740.0, "for_s": 3600.0}
    mean = {"threshold": {"metric": "m", "below": 5, "statistic": "mean", "over": "5m"}}
    for minutes, verdict in ((40, PASS), (12, INCONCLUSIVE)):
        part = (
            condition("stable", of=[mean], **{"for": "20m"}).judge(canary(m=every_minute([1.0] * minutes)), NOW_S).parts[0]
        )
        assert (part.verdict, part.numbers) == (verdict, {"value": 1.0, "limit": 5.0})


@pytest.mark.parametrize(("held", "verdict"), [("30m", PASS), ("31m", INCONCLUSIVE)])
def test_what_must_hold_as_long_anyway_is_held_once_and_not_twice(held, verdict):
    lasting = {"threshold": {"metric": "m", "below": 5, "held": held}}
    found = condition("stable", of=[lasting], **{"for": "30m"}).judge(canary(m=every_minute([1.0] * 35)), NOW_S)
    assert found.verdict is verdict, found.reason


def test_what_is_left_is_said():
    quiet = condition("incident_free", metric="m", **{"for": "1h"}).judge(canary(m=every_minute([0.0] * 30)), NOW_S)
    assert quiet.reason.startswith("m: quiet, 30 samples < at least 90% of the 60 expected; 1h wanted, ")


def test_ten_thousand_moments_are_the_most():
    assert condition("stable", of=[QUICK], every="1m", **{"for": "10000m"}).every_s == 60.0
    with pytest.raises(ValidationError):
        condition("incident_free", metric="m", **{"for": "0s"})


@pytest.mark.parametrize(("values", "verdict"), [([5.0, 5.0], PASS), ([-0.5, 0.0], INCONCLUSIVE), ([0.5, 0.0], PASS)])
def test_a_counter_is_quiet_when_it_stays_or_starts_again(values, verdict):
    spec = condition("incident_free", metric="m", samples_are="total", **{"for": "10m"})
    seen = canary(m=every_minute([values[0]] * 8 + [values[1]] * 8))
    assert spec.judge(seen, NOW_S).verdict is verdict


@pytest.mark.parametrize(("stale_after", "verdict"), [(None, INCONCLUSIVE), ("6m", INCONCLUSIVE), ("7m", PASS)])
def test_quiet_is_stale_when_the_plan_says_so(stale_after, verdict):
    spec = condition("incident_free", metric="m", stale_after=stale_after, **{"for": "70m"})
    observed = canary(m=every_minute([0.0] * 100, interval_s=150.0, now_s=NOW_S - 400)) if stale_after else canary()
    assert spec.judge(observed, NOW_S).verdict is verdict


def test_what_is_judged_again_says_how_long_is_left():
    mean = {"threshold": {"metric": "m", "below": 5, "statistic": "mean", "over": "5m"}}
    found = condition("stable", of=[mean], **{"for": "20m"}).judge(canary(m=every_minute([1.0] * 12)), NOW_S)
    assert found.holds_in_s is not None
    assert 0 < found.holds_in_s < 1200
