"""All, any, at least: verdicts of combinations, weights, critical parts, parts that do not count."""

import math
from itertools import product

import pytest
from pydantic import ValidationError

from gates.combine import all_of
from gates.condition import MetricFacts
from gates.verdict import Finding, Mode, Verdict
from tests.gates.strategies import CONDITION, NOW_S, canary, condition, every_minute

VALUES = {"p": 1.0, "i": math.nan, "f": 9.0}
LETTERS = {Verdict.PASS: "p", Verdict.INCONCLUSIVE: "i", Verdict.FAIL: "f"}


def judge(kind, letters, *, parts=None, **fields):
    parts = parts or [{}] * len(letters)
    of = [{"threshold": {"metric": f"m{i}", "at_most": 5, **part}} for i, part in enumerate(parts)]
    seen = canary(**{f"m{i}": every_minute([VALUES[letter]]) for i, letter in enumerate(letters)})
    return CONDITION.validate_python({kind: {"of": of, **fields}}).judge(seen, NOW_S)


@pytest.mark.parametrize("letters", ["".join(letters) for letters in product("pif", repeat=3)])
def test_truth_tables(letters):
    assert LETTERS[judge("all", letters).verdict] == max(letters, key="pif".index)
    assert LETTERS[judge("any", letters).verdict] == min(letters, key="pif".index)
    passes, open_ = letters.count("p"), letters.count("i")
    expected = "p" if passes >= 2 else "i" if passes + open_ >= 2 else "f"
    assert LETTERS[judge("at_least", letters, count=2).verdict] == expected
    assert LETTERS[judge("at_least", letters, share="60%").verdict] == expected


@pytest.mark.parametrize(
    ("letters", "weights", "share", "expected"),
    [
        ("pff", (3, 1, 1), "60%", "p"),
        ("fpp", (3, 1, 1), "60%", "f"),
        ("ipp", (3, 1, 1), "60%", "i"),
        ("ppp", (0.1, 0.2, 0.3), "100%", "p"),
        ("pf", (70_000, 930_000), "7%", "p"),
        ("pf", (69_999, 930_001), "7%", "f"),
        ("if", (70_000, 930_000), "7%", "i"),
        ("pf", (385_000_000, 315_000_000), "55%", "p"),
    ],
)
def test_weights(letters, weights, share, expected):
    parts = [{"weight": weight} for weight in weights]
    assert LETTERS[judge("at_least", letters, parts=parts, share=share).verdict] == expected


@pytest.mark.parametrize(("letters", "expected"), [("fpp", "f"), ("ipp", "i"), ("ppf", "p")])
def test_a_critical_part_must_pass(letters, expected):
    found = judge("at_least", letters, parts=[{"critical": True, "name": "first"}, {}, {}], count=2)
    assert LETTERS[found.verdict] == expected
    assert ("but critical: first: m0" in found.reason) == (expected != "p")


@pytest.mark.parametrize("mode", ["warn", "dry_run"])
@pytest.mark.parametrize("kind", ["all", "any", "at_least"])
def test_parts_that_do_not_count_are_shown_and_decide_nothing(kind, mode):
    fields = {"count": 1} if kind == "at_least" else {}
    found = judge(kind, "pf", parts=[{}, {"mode": mode}], **fields)
    assert found.verdict is Verdict.PASS
    assert found.parts[1].verdict is Verdict.FAIL
    assert judge(kind, "fp", parts=[{}, {"mode": mode}], **fields).verdict is Verdict.FAIL


def holding(kind, *spans, **fields):
    of = [{"threshold": {"metric": "m0", "at_most": 5, "held": span}} for span in spans]
    spec = CONDITION.validate_python({kind: {"of": of, **fields}})
    return spec.judge(canary(m0=every_minute([1.0] * 10)), NOW_S)


def test_all_wait_for_the_last_and_any_for_the_first():
    assert holding("all", "30m", "60m").holds_in_s == max(p.holds_in_s for p in holding("all", "30m", "60m").parts)
    assert holding("any", "30m", "60m").holds_in_s == min(p.holds_in_s for p in holding("any", "30m", "60m").parts)


@pytest.mark.parametrize(
    "written",
    [
        {"all": []},
        {"any": [{"exists": {"metric": "m", "mode": "warn"}}]},
        {"at_least": {"of": [{"exists": {"metric": "m"}}]}},
        {"at_least": {"count": 2, "of": [{"exists": {"metric": "m"}}]}},
        {"at_least": {"count": 0, "of": [{"exists": {"metric": "m"}}]}},
        {"at_least": {"share": "0%", "of": [{"exists": {"metric": "m"}}]}},
        {"at_least": {"share": "101%", "of": [{"exists": {"metric": "m"}}]}},
        {"at_least": {"share": "5ms", "of": [{"exists": {"metric": "m"}}]}},
        {"all": [{"nothing": {}}]},
    ],
)
def test_what_makes_no_sense_is_refused(written):
    with pytest.raises(ValidationError):
        CONDITION.validate_python(written)


def test_needs_once_and_problems_of_all_parts():
    spec = CONDITION.validate_python({"all": [{"exists": {"metric": "m"}}, {"any": [{"exists": {"metric": "m"}}]}]})
    assert len(spec.needs()) == 1
    assert len(spec.problems({})) == 2
    assert spec.problems({"m": MetricFacts("", 60.0, True, "neither")}) == []


def test_a_count_takes_no_notice_of_weights():
    heavy = {"threshold": {"metric": "m", "at_most": 5, "weight": 3}}
    light = {"threshold": {"metric": "m", "above": 5, "weight": 1}}
    found = condition("at_least", count=2, of=[heavy, light, light]).judge(canary(m=every_minute([1.0])), NOW_S)
    assert (found.verdict, found.reason.split(":")[0]) == (Verdict.FAIL, "1 of 3 passed < at least 2")
    assert found.numbers == {"passed": 1.0, "wanted": 2.0, "whole": 3.0}


def test_only_the_critical_conditions_that_failed_are_named():
    kept = {"threshold": {"name": "kept", "metric": "m", "at_most": 5, "critical": True}}
    broken = {"threshold": {"name": "broken", "metric": "m", "above": 5, "critical": True}}
    plain = {"threshold": {"name": "plain", "metric": "m", "above": 5}}
    found = condition("at_least", count=1, of=[kept, broken, plain]).judge(canary(m=every_minute([1.0])), NOW_S)
    assert found.verdict is Verdict.FAIL
    assert found.reason == "1 of 3 passed >= 1, but critical: broken: m 1 ms <= 5 ms"


@pytest.mark.parametrize("share", ["30%", "60%", "90%"])
def test_a_share_of_weights_that_do_not_add_up_exactly_is_reached(share):
    """0.1 + 0.2 is not 0.3 in binary numbers, and is three tenths all the same."""
    weights = [0.1] * 10
    passing = round(float(share.removesuffix("%")) / 10)
    parts = [
        {"threshold": {"metric": "m", "at_most" if index < passing else "above": 5, "weight": weight}}
        for index, weight in enumerate(weights)
    ]
    assert condition("at_least", share=share, of=parts).judge(canary(m=every_minute([1.0])), NOW_S).passed


def test_where_nothing_counts_nothing_is_known_and_what_was_seen_is_shown():
    warned = Finding(Verdict.PASS, "said", mode=Mode.WARN)
    found = all_of(condition("exists", metric="m", name="gate"), (warned,))
    assert (found.verdict, found.name, found.parts) == (Verdict.INCONCLUSIVE, "gate", (warned,))
    assert found.reason == "no condition counts: nothing was decided"
