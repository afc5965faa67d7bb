"""A gate is as good as the worst of what counts."""

import pytest

from gates.verdict import Finding, Mode, Verdict, worst

PASS, OPEN, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([PASS], PASS),
        ([PASS, PASS], PASS),
        ([PASS, OPEN], OPEN),
        ([OPEN, PASS], OPEN),
        ([FAIL, OPEN, PASS], FAIL),
        ([PASS, OPEN, FAIL], FAIL),
    ],
)
def test_worst_of_all_that_count(verdicts: list[Verdict], expected: Verdict) -> None:
    assert worst(Finding(verdict, "said") for verdict in verdicts) is expected


@pytest.mark.parametrize("mode", [Mode.WARN, Mode.DRY_RUN])
def test_what_only_warns_or_is_tried_never_counts(mode: Mode) -> None:
    assert worst([Finding(PASS, "said"), Finding(FAIL, "said", mode=mode)]) is PASS
    assert worst([Finding(FAIL, "said"), Finding(PASS, "said", mode=mode)]) is FAIL


@pytest.mark.parametrize("findings", [[], [Finding(PASS, "said", mode=Mode.WARN), Finding(PASS, "said", mode=Mode.DRY_RUN)]])
def test_nothing_that_counts_decides_nothing(findings: list[Finding]) -> None:
    with pytest.raises(ValueError, match="at least one with mode block"):
        worst(findings)


def test_as_json_names_the_verdict_and_carries_the_numbers() -> None:
    part = Finding(OPEN, "500 ms <= at most 700 ms, held 30m", "latency", {"value": 0.5}, 1800.0)
    whole = Finding(FAIL, "0 of 1 passed", "gate", mode=Mode.WARN, parts=(part,))
    assert whole.as_json() == {
        "name": "gate",
        "verdict": "FAIL",
        "reason": "0 of 1 passed",
        "numbers": {},
        "holds_in_s": None,
        "mode": "warn",
        "parts": [
            {
                "name": "latency",
                "verdict": "INCONCLUSIVE",
                "reason": "500 ms <= at most 700 ms, held 30m",
                "numbers": {"value": 0.5},
                "holds_in_s": 1800.0,
                "mode": "block",
                "parts": [],
            }
        ],
    }


def test_only_pass_has_passed() -> None:
    assert [Finding(verdict, "said").passed for verdict in (PASS, OPEN, FAIL)] == [True, False, False]
