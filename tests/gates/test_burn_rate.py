"""Burn rates as in the workbook, and the error budget."""

import pytest
from pydantic import ValidationError

from gates.burn_rate import BurnRate
from gates.condition import MetricFacts
from gates.observation import Selector, Series
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


def burn(is_="burning", **fields):
    return BurnRate.model_validate({"metric": "m", "objective": "99.9%", "is": is_, **fields})


def judge(spec, values, unit="ratio"):
    return spec.judge({Selector("m", "all"): every_minute(values, unit=unit)}, NOW_S)


def test_the_workbooks_burn_rates():
    rates = [burn().limit(window) / 0.001 for window in burn().windows]
    assert rates == pytest.approx([14.4, 6.0, 3.0, 1.0])
    assert burn().windows[0].spans_s == (3600.0, 300.0)


DAYS = 3 * 24 * 60
HEALTHY = [0.0002] * DAYS


@pytest.mark.parametrize(
    ("values", "burning", "within"),
    [
        (HEALTHY, FAIL, PASS),
        ([*HEALTHY[:-60], *[0.02] * 60], PASS, FAIL),
        ([*HEALTHY[:-360], *[0.02] * 355, *[0.0] * 5], PASS, FAIL),
        ([*HEALTHY[:-4], *[0.02] * 4], FAIL, PASS),
        ([0.0011] * DAYS, PASS, FAIL),
        ([0.0] * 600, FAIL, INCONCLUSIVE),
        ([0.05] * 600, PASS, FAIL),
    ],
    ids=[
        "healthy",
        "a fast burn",
        "over in the shortest window, still in the longer ones",
        "too short to matter",
        "a slow burn",
        "ten hours of nothing wrong",
        "ten hours of much wrong",
    ],
)
def test_burn_rate(values, burning, within):
    assert judge(burn(), values).verdict is burning
    assert judge(burn("within_budget"), values).verdict is within


def test_it_stops_when_the_short_window_is_clean():
    fast = burn(windows=[{"budget": "2%", "over": "1h"}])
    assert judge(fast, [0.03] * 60).passed
    assert judge(fast, [0.03] * 55 + [0.0] * 5).verdict is FAIL
    assert judge(burn(windows=[{"budget": "2%", "over": "1h", "short": "0"}]), [0.03] * 55 + [0.0] * 5).passed


def test_the_budget_that_is_spent():
    budget = burn(windows=[{"budget": "80%", "over": "1h", "short": "0"}], period="1h")
    assert judge(budget, [0.0009] * 60).passed
    assert judge(budget, [0.0007] * 60).verdict is FAIL


def test_percent_is_converted():
    assert judge(burn(windows=[{"budget": "2%", "over": "1h"}]), [3.0] * 60, unit="%").passed


def test_the_reason_shows_ratio_window_and_limit():
    found = judge(burn(windows=[{"budget": "2%", "over": "1h"}]), [0.03] * 60)
    assert found.reason == "m 3 % in 1h > and 3 % in 5m > 1.44 %, 2% of the budget"


def test_samples_without_a_value_are_left_out():
    series = Series.of([(NOW_S - 60 * i, None if i % 2 else 0.03) for i in range(60)], unit="ratio", interval_s=60)
    found = burn(windows=[{"budget": "2%", "over": "1h"}]).judge({Selector("m", "all"): series}, NOW_S)
    assert found.passed


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": "100%"},
        {"objective": "0%"},
        {"objective": "99ms"},
        {"is": "fine"},
        {"windows": []},
        {"windows": [{"budget": "0%", "over": "1h"}]},
        {"windows": [{"budget": "2ms", "over": "1h"}]},
        {"windows": [{"budget": "2%", "over": "31d"}]},
        {"windows": [{"budget": "2%", "over": "1h", "short": "2h"}]},
        {"windows": [{"budget": "2%", "over": "1h", "short": "1h"}]},
        {"windows": [{"budget": "2%", "over": "0s"}]},
        {"windows": [{"budget": "101%", "over": "1h"}]},
    ],
)
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        BurnRate.model_validate({"metric": "m", "objective": "99.9%", "is": "burning", **fields})


@pytest.mark.parametrize(
    ("fields", "facts", "said"),
    [
        ({}, MetricFacts("ms", 60.0, True, "neither"), "needs an error ratio"),
        ({}, MetricFacts("ratio", 600.0, True, "neither"), "a window of 5m"),
        ({"objective": "50%", "period": "90d"}, MetricFacts("ratio", 60.0, True, "neither"), "can never be"),
    ],
)
def test_problems(fields, facts, said):
    assert said in "; ".join(burn(**fields).problems({"m": facts}))


def ratio(values, unit="ratio", now_s=NOW_S):
    return canary(m=every_minute(values, unit=unit, now_s=now_s))


def half_budget(is_, windows, **fields):
    return condition(
        "burn_rate", metric="m", objective="50%", period="20m", side="canary", windows=windows, **{"is": is_}, **fields
    )


@pytest.mark.parametrize(
    ("over", "problem"),
    [("10m", "the window of 10m burns above 100 % errors, which can never be"), ("15m", None), ("8m", "above 125 % errors")],
)
def test_a_window_that_burns_above_all_errors_is_a_problem(over, problem):
    found = half_budget("burning", [{"budget": "100%", "over": over}]).problems(
        {"m": MetricFacts("ratio", 1.0, True, "neither")}
    )
    assert (problem in "; ".join(found)) if problem else found == []


@pytest.mark.parametrize(("is_", "verdict"), [("burning", Verdict.FAIL), ("within_budget", Verdict.INCONCLUSIVE)])
def test_a_window_without_samples_neither_burns_nor_is_known(is_, verdict):
    spec = half_budget(is_, [{"budget": "50%", "over": "20m", "short": "1m"}], stale_after="10m")
    found = spec.judge(ratio([0.9] * 18, now_s=NOW_S - 120), NOW_S)
    assert found.verdict is verdict, found.reason
    assert "no samples in 1m" in found.reason


def test_percent_are_ratios():
    windows = [{"budget": "50%", "over": "20m", "short": "5m"}]
    assert half_budget("burning", windows).judge(ratio([30.0] * 20, unit="%"), NOW_S).passed
    assert not half_budget("burning", windows).judge(ratio([20.0] * 20, unit="%"), NOW_S).passed


def test_samples_from_before_the_windows_are_not_among_those_wanted():
    windows = [{"budget": "20%", "over": "5m", "short": "0s"}]
    seen = ratio([0.9] * 30)
    assert half_budget("burning", windows, min_samples=5).judge(seen, NOW_S).passed
    assert half_budget("burning", windows, min_samples=6).judge(seen, NOW_S).verdict is Verdict.INCONCLUSIVE


def test_every_window_without_samples_is_named():
    windows = [{"budget": "50%", "over": "10m", "short": "5m"}, {"budget": "90%", "over": "20m"}]
    spec = half_budget("within_budget", windows, stale_after="30m")
    found = spec.judge(ratio([0.0] * 10, now_s=NOW_S - 900), NOW_S)
    assert "no samples in 10m and no samples in 5m" in found.reason


def test_only_the_windows_that_burn_are_the_reason():
    windows = [{"budget": "50%", "over": "10m", "short": "0s"}, {"budget": "90%", "over": "20m", "short": "0s"}]
    found = half_budget("burning", windows).judge(ratio([0.0] * 10 + [0.6] * 10), NOW_S)
    assert found.passed
    assert found.reason == "m 60 % in 10m > 50 %, 50% of the budget"
