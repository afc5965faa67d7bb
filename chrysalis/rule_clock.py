"""A trigger's clock in PromQL: `gates/trigger.py` and `gates/hold.py`, one recording rule per part of the state.

A rule that reads its own series sees what it wrote at the evaluation before, as its new value is not there yet. Hold h,
with b the breach now (1, 0, or -1 for no data) and gap the time since the evaluation before, 0 if that is too long:

    b = 1, h >= 0   ->  h + gap          b = 0    ->  -1
    b = 1, h < 0    ->  0                b = -1   ->  h as it was
"""

from collections.abc import Mapping
from typing import NamedTuple

MOST_GAP_INTERVALS = 4
LOOK_BACK = "1h"
"""How long the clock is kept while Prometheus does not evaluate."""
_ROUNDING_S = 0.0005
"""Prometheus counts in milliseconds."""

Rule = tuple[str, str]
"""What it records, and the expression."""


class Clock(NamedTuple):
    """The recording rules in the order they have to stand, and the alert's expression."""

    recorded: tuple[Rule, ...]
    firing: str


def first_rules(labels: Mapping[str, str], interval_s: float) -> tuple[Rule, ...]:
    """What a group begins with. Its last rule is `last_rules`."""
    passed = f"(time() - {_before('evaluated_at', labels)})"
    return (("chrysalis:gap_seconds", f"({passed} <= {MOST_GAP_INTERVALS * interval_s + _ROUNDING_S!r}) or vector(0)"),)


def last_rules() -> tuple[Rule, ...]:
    """What a group ends with."""
    return (("chrysalis:evaluated_at", "vector(time())"),)


def clock_rules(
    labels: Mapping[str, str],
    *,
    breach: str,
    recovered: str | None,
    for_s: float,
    keep_s: float,
    recover_s: float,
) -> Clock:
    """The rules of one trigger. `breach` and `recovered` are 1, 0, or have no element; times in seconds."""
    gap = _now("gap_seconds", {name: value for name, value in labels.items() if name in ("plan", "interval")})
    now = _now("breach", labels)
    held = _before("held_seconds", labels)
    rules = [
        ("chrysalis:breach", f"{breach} or vector(-1)"),
        (
            "chrysalis:held_seconds",
            _first_of(
                f"((({held} >= 0) + {gap}) and ({now} == 1))",
                f"(({now} == 1) * 0)",
                f"(({now} == 0) - 1)",
                held,
                "vector(-1)",
            ),
        ),
    ]
    long_enough = f"{_series('held_seconds', labels)} >= {_least(for_s)}"
    if keep_s <= 0 and recovered is None:
        return Clock(tuple(rules), long_enough)
    was_firing = f"({_before('firing', labels)} == 1)"
    ceased = _before("ceased_seconds", labels)
    rules.append(
        (
            "chrysalis:ceased_seconds",
            _first_of(
                f"((({ceased} >= 0) + {gap}) and ({now} == 0) and {was_firing})",
                f"((({now} == 0) * 0) and {was_firing})",
                f"({ceased} and {was_firing} and ({now} == -1))",
                "vector(-1)",
            ),
        )
    )
    over = f"{was_firing} and ({now} == 0) and ({_now('ceased_seconds', labels)} >= {_least(keep_s)})"
    if recovered is not None:
        rules += _recovery(labels, recovered, gap=gap, still=f"{was_firing} and ({now} < 1)")
        over += f" and ({_now('recovering_seconds', labels)} >= {_least(recover_s)})"
    firing = _first_of(f"(({over}) * 0)", f"((sum({long_enough}) * 0) + 1)", was_firing, "vector(0)")
    rules.append(("chrysalis:firing", firing))
    return Clock(tuple(rules), f"{_series('firing', labels)} == 1")


def _recovery(labels: Mapping[str, str], recovered: str, *, gap: str, still: str) -> list[Rule]:
    well = _now("recovered", labels)
    before = _before("recovering_seconds", labels)
    recovering = _first_of(
        f"((({before} >= 0) + {gap}) and ({well} == 1) and {still})",
        f"((({well} == 1) * 0) and {still})",
        f"({before} and ({well} == -1) and {still})",
        "vector(-1)",
    )
    return [("chrysalis:recovered", f"{recovered} or vector(-1)"), ("chrysalis:recovering_seconds", recovering)]


def _series(name: str, labels: Mapping[str, str]) -> str:
    matchers = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"chrysalis:{name}{{{matchers}}}"


def _now(name: str, labels: Mapping[str, str]) -> str:
    return f"sum({_series(name, labels)})"


def _before(name: str, labels: Mapping[str, str]) -> str:
    return f"sum(last_over_time({_series(name, labels)}[{LOOK_BACK}]))"


def _least(seconds: float) -> str:
    return repr(max(seconds - _ROUNDING_S, 0.0))


def _first_of(*choices: str) -> str:
    return "\nor ".join(choices)
