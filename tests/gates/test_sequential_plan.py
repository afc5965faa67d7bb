"""The sequential condition in a plan: what it refuses there, what does not fit its metrics, and what it needs."""

from typing import Any

import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.sequential import Sequential
from tests.gates.test_sequential import errors, latency


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"minimum_relative_effect": "5ms"}, "is a share of the stable side"),
        ({"minimum_relative_effect": "0%"}, "error, minimum_relative_effect 0% must be above 0"),
        ({"minimum_effect": "-3ms"}, "error, minimum_effect -3ms must be above 0"),
        ({"alpha": 0}, "greater than 0"),
        ({"alpha": 0.5}, "less than or equal to 0.2"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fields: dict[str, Any], error: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValidationError, match=error):
        latency(**fields)


MS = MetricFacts("ms", 60, True, "lower_is_better")
RATIO = MetricFacts("ratio", 60, True, "lower_is_better")
COUNT = MetricFacts("count", 60, True, "neither")


@pytest.mark.parametrize(
    ("condition", "metrics", "problems"),
    [
        (latency(), {"p95": MS}, []),
        (latency(), {}, ["'p95' is not defined"]),
        (latency(), {"p95": MetricFacts("ms", 60, False, "neither")}, ["has no sides"]),
        (latency(over="9m"), {"p95": MS}, ["fewer than 10 samples"]),
        (latency(over="10m"), {"p95": MS}, []),
        (latency(over="1s"), {"p95": MetricFacts("ms", 0.5, True, "neither")}, ["fewer than 10 samples"]),
        (latency(over="9m"), {"p95": MetricFacts("ms", 0, True, "neither")}, []),
        (latency(worse="lower"), {"p95": MetricFacts("ms", 60, True, "higher_is_better")}, []),
        (latency(worse="lower"), {"p95": MS}, ["lower_is_better, but the condition says worse: lower"]),
        (latency(worse="either"), {"p95": MS}, []),
        (latency(), {"p95": MetricFacts("ms", 60, True, "higher_is_better")}, ["says worse: higher"]),
        (latency(minimum_effect="5%"), {"p95": MS}, ["minimum_effect: 5% is in '%'"]),
        (errors(), {"errors": RATIO, "requests": COUNT}, []),
        (errors(), {"errors": RATIO}, ["'requests' is not defined"]),
        (errors(), {"requests": MetricFacts("count", 60, False, "neither")}, ["'errors' is not defined", "no sides"]),
        (errors(over="2m"), {"errors": RATIO, "requests": COUNT}, []),
        (errors(over="1m"), {"errors": RATIO, "requests": COUNT}, ["'errors': 1m", "'requests': 1m"]),
        (errors(), {"errors": MS, "requests": COUNT}, ["must be a share of them"]),
        (errors(minimum_effect="1pp"), {"errors": RATIO, "requests": COUNT}, []),
        (errors(minimum_effect="1ms"), {"errors": RATIO, "requests": COUNT}, ["minimum_effect: 1ms"]),
    ],
)
def test_problems_name_what_does_not_fit(
    condition: Sequential, metrics: dict[str, MetricFacts], problems: list[str]
) -> None:
    """Units, sides, direction and length of the window."""
    found = condition.problems(metrics)
    assert len(found) == len(problems)
    for said, expected in zip(found, problems, strict=True):
        assert expected in said


def test_needs_the_requests_too() -> None:
    """Both metrics: the canary since the last split, the stable side as far back again."""
    assert {(*need.selector[:2], need.selector.constant_split, need.window_s) for need in errors().needs()} == {
        (metric, side, side == "canary", 7200.0 if side == "canary" else 14400.0)
        for metric in ("errors", "requests")
        for side in ("canary", "stable")
    }
    assert {need.selector.metric for need in latency().needs()} == {"p95"}
