"""Words: the newest one, and one held."""

import pytest
from pydantic import ValidationError

from gates.condition import MetricFacts
from gates.verdict import Verdict
from tests.gates.strategies import NOW_S, canary, condition, every_minute, words

PASS, INCONCLUSIVE, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


@pytest.mark.parametrize(
    ("labels", "fields", "verdict"),
    [
        (["still", "flowing"], {"is": "flowing"}, PASS),
        (["flowing", "still"], {"is": "flowing"}, FAIL),
        (["flowing", ""], {"is": "flowing"}, INCONCLUSIVE),
        (["lite"], {"one_of": ["full", "lite"]}, PASS),
        (["lite"] * 10, {"is": "lite", "held": "10m"}, PASS),
        (["full"] + ["lite"] * 10, {"is": "lite", "held": "10m"}, PASS),
        (["full"] + ["lite"] * 9, {"is": "lite", "held": "10m"}, INCONCLUSIVE),
        (["lite"] * 9 + ["full"], {"is": "lite", "held": "10m"}, FAIL),
        (["lite"] * 4 + [""] + ["lite"] * 5, {"is": "lite", "held": "10m"}, PASS),
        (["lite"] * 3, {"is": "lite", "held": "10m"}, INCONCLUSIVE),
    ],
)
def test_category(labels, fields, verdict):
    found = condition("category", metric="m", **fields).judge(canary(m=words(labels)), NOW_S)
    assert found.verdict is verdict, found.reason


def test_numbers_are_no_words():
    found = condition("category", metric="m", **{"is": "flowing"}).judge(canary(m=every_minute([1.0])), NOW_S)
    assert found.verdict is INCONCLUSIVE
    assert "not words" in found.reason


@pytest.mark.parametrize("fields", [{}, {"is": "a", "one_of": ["b"]}, {"is": ""}, {"one_of": ["a", ""]}])
def test_what_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        condition("category", metric="m", **fields)


def test_a_metric_of_numbers_is_a_problem():
    spec = condition("category", metric="m", **{"is": "flowing"})
    assert "needs a metric of words" in spec.problems({"m": MetricFacts("ms", 60.0, True, "neither")})[0]
    assert spec.problems({"m": MetricFacts("category", 60.0, True, "neither")}) == []


@pytest.mark.parametrize(("held", "problems"), [("1m", 0), ("59s", 1)])
def test_a_window_holds_one_sample_at_least(held, problems):
    found = condition("category", metric="m", held=held, **{"is": "a"}).problems(
        {"m": MetricFacts("category", 60.0, True, "neither")}
    )
    assert len(found) == problems
    assert all(problem.startswith("m: a window of 59s") for problem in found)
