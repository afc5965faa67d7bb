"""Breach conditions with `for`, exactly as Prometheus's alerts: inactive, pending, firing.

The condition states the breach: PASS is true, FAIL is false, INCONCLUSIVE is an evaluation without data.
- Pending from the first true evaluation; firing when every evaluation since was true, for at least `for`; with `for: 0` at
  once. One false evaluation resets, a pending one to inactive, a firing one as well.
- An evaluation without data neither resets nor advances: the state stays, and the time since the evaluation before it does
  not count. Time when nobody evaluated (more than `max_gap_s` between two) does not count either.
- `keep_firing_for` holds a firing trigger that long after the first false evaluation, as in Prometheus.
- `recover` holds it until its own condition was true for its own `for` (hysteresis); a breach starts that anew.

On data without gaps this is Prometheus to the evaluation. Prometheus itself takes a missing or NaN sample for false and
resets, so a rule exported from a trigger has to carry the last truth over such a sample to fire at the same evaluations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gates.burn_rate import BurnRate
from gates.combine import judge_one
from gates.condition import MetricFacts, Spec
from gates.conditions import AnyCondition
from gates.hold import Hold, advance, finite
from gates.observation import Need, Observations
from gates.response import AnyResponse, Notify
from gates.units import Duration, format_duration
from gates.verdict import Finding, Mode, Verdict

Phase = Literal["inactive", "pending", "firing"]
SEVERITY_OF: Mapping[str, str] = {"P0": "page", "P1": "warning", "P2": "info"}
"""The severity of a priority, where none is given."""


class Recovery(Spec):
    """`recover: {when: {threshold: {metric: error_rate, below: 1%}}, for: 10m}`."""

    when: AnyCondition
    for_: Duration = Field(default=timedelta(0), alias="for")


class Trigger(Spec):
    """`{when: {threshold: {metric: error_rate, above: 2%}}, for: 5m, respond: roll_back, severity: page}`.

    `when: manual` (or `manual: true`) is set off by a person, such as for a vulnerability that was reported.
    """

    when: AnyCondition | None = None
    manual: bool = False
    for_: Duration = Field(default=timedelta(0), alias="for")
    keep_firing_for: Duration = timedelta(0)
    respond: AnyResponse = Notify()
    severity: Literal["info", "warning", "page"] = "warning"
    priority: Literal["P0", "P1", "P2"] | None = None
    runbook: str = ""
    notify: tuple[str, ...] = Field(default=(), description="channels")
    settle: Duration = Field(default=timedelta(0), description="the response is not repeated within this time")
    recover: Recovery | None = None

    @model_validator(mode="before")
    @classmethod
    def _manual_in_a_word(cls, written: Any) -> Any:
        if isinstance(written, dict) and written.get("when") == "manual":
            return {**{key: value for key, value in written.items() if key != "when"}, "manual": True}
        return written

    @model_validator(mode="before")
    @classmethod
    def _as_urgent_as_its_priority(cls, written: Any) -> Any:
        if isinstance(written, dict) and "severity" not in written and written.get("priority") in SEVERITY_OF:
            return {**written, "severity": SEVERITY_OF[written["priority"]]}
        return written

    @model_validator(mode="after")
    def _one_cause(self) -> Self:
        if self.manual == (self.when is not None):
            raise ValueError("exactly one of when (a condition that states the breach) and manual: true is needed")
        if self.manual and self.for_ > timedelta(0):
            raise ValueError("for: a manual trigger fires when it is set off")
        if self.when is not None and self.when.mode is not Mode.BLOCK:
            raise ValueError(f"when: mode {self.when.mode} has no meaning in a trigger; respond: notify only reports")
        return self

    def needs(self) -> tuple[Need, ...]:
        """Every series the trigger and its recovery look at."""
        conditions = [self.when, self.recover.when if self.recover else None]
        return tuple(need for condition in conditions if condition is not None for need in condition.needs())

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        """What does not fit the metrics, and a condition that states health where the breach is needed."""
        found: list[str] = [] if self.when is None else self.when.problems(metrics)
        if isinstance(self.when, BurnRate) and self.when.is_ != "burning":
            found.append("when states the breach: burn_rate needs is: burning here")
        if self.recover is not None:
            found += self.recover.when.problems(metrics)
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        """The finding of the breach condition. PASS means that the breach is there."""
        if self.when is None:
            return Finding(Verdict.INCONCLUSIVE, "set off by a person only")
        return judge_one(self.when, observations, now_s)

    def is_quiet(self, state: "TriggerState", observations: Observations, now_s: float) -> bool:
        """Whether it is inactive and plainly stays so, so that its finding says nothing anybody asks for."""
        if state.phase != "inactive" or self.when is None:
            return False
        try:
            plainly: bool = self.when.plainly_fails(observations, now_s)
        except Exception:
            return False  # a fault of the judge is told by `judge`
        return plainly

    def recovered(self, observations: Observations, now_s: float) -> bool | None:
        """The truth of the recovery condition; None without one or without data."""
        if self.recover is None:
            return None
        return truth_of(judge_one(self.recover.when, observations, now_s))

    def describe(self) -> str:
        """The trigger in one line."""
        written = self.model_dump(exclude_defaults=True)
        cause = "set off by a person" if self.when is None else in_words(written["when"])
        lasting = f" for {format_duration(self.for_)}" if self.for_ else ""
        return f"{cause}{lasting}: {self.respond.kind.replace('_', ' ')} ({self.severity})"


@dataclass(frozen=True, slots=True)
class TriggerState:
    """Where a trigger stands after its last evaluation (`last_s`, unix seconds; None before the first)."""

    phase: Phase = "inactive"
    last_s: float | None = None
    active: Hold | None = None
    """Since when the breach is true; kept while firing, as `activeAt` of Prometheus."""
    firing_since_s: float | None = None
    ceased: Hold | None = None
    """Since when a firing trigger is kept only by `keep_firing_for`."""
    recovering: Hold | None = None

    @property
    def firing(self) -> bool:
        return self.phase == "firing"

    def as_json(self) -> dict[str, object]:
        """For the ledger; `from_json` takes it back."""
        return {
            "phase": self.phase,
            "last_s": self.last_s,
            "active": self.active.as_json() if self.active else None,
            "firing_since_s": self.firing_since_s,
            "ceased": self.ceased.as_json() if self.ceased else None,
            "recovering": self.recovering.as_json() if self.recovering else None,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> "TriggerState":
        """What `as_json` gave. Raises ValueError on anything else."""
        phase = kept.get("phase")
        if phase not in ("inactive", "pending", "firing"):
            raise ValueError(f"phase is {phase!r}, one of inactive, pending, firing is needed")
        known: Phase = phase
        return cls(
            known,
            None if kept.get("last_s") is None else finite(kept, "last_s"),
            Hold.from_json(kept.get("active")),
            None if kept.get("firing_since_s") is None else finite(kept, "firing_since_s"),
            Hold.from_json(kept.get("ceased")),
            Hold.from_json(kept.get("recovering")),
        )


def truth_of(finding: Finding) -> bool | None:
    """What a condition says as a truth: PASS is true, FAIL false, INCONCLUSIVE no data."""
    return None if finding.verdict is Verdict.INCONCLUSIVE else finding.passed


def step(
    spec: Trigger,
    state: TriggerState,
    truth: bool | None,
    now_s: float,
    max_gap_s: float,
    *,
    recovered: bool | None = None,
) -> TriggerState:
    """The state after an evaluation at `now_s` that found `truth` (None: no data) and, where asked, `recovered`.

    Times are unix seconds of the plan's clock. An evaluation at a time that is no number changes nothing.
    """
    if not isfinite(now_s):
        return state
    if state.firing:
        recovering = advance(state.recovering, recovered, now_s=now_s, last_s=state.last_s, max_gap_s=max_gap_s)
        return _still_firing(spec, state, truth, now_s, max_gap_s=max_gap_s, recovering=recovering)
    active = advance(state.active, truth, now_s=now_s, last_s=state.last_s, max_gap_s=max_gap_s)
    if active is None:
        return TriggerState(last_s=now_s)
    if truth and active.reached(spec.for_.total_seconds(), now_s):
        return TriggerState("firing", now_s, active, now_s)
    return TriggerState("pending", now_s, active)


def _still_firing(
    spec: Trigger, state: TriggerState, truth: bool | None, now_s: float, *, max_gap_s: float, recovering: Hold | None
) -> TriggerState:
    if truth:
        return TriggerState("firing", now_s, state.active, state.firing_since_s)
    ceasing = None if truth is None else True
    ceased = advance(state.ceased, ceasing, now_s=now_s, last_s=state.last_s, max_gap_s=max_gap_s)
    over = truth is False and ceased is not None and ceased.reached(spec.keep_firing_for.total_seconds(), now_s)
    if over and (spec.recover is None or _reached(recovering, spec.recover, now_s)):
        return TriggerState(last_s=now_s)
    return TriggerState("firing", now_s, state.active, state.firing_since_s, ceased, recovering)


def _reached(recovering: Hold | None, recover: Recovery, now_s: float) -> bool:
    return recovering is not None and recovering.reached(recover.for_.total_seconds(), now_s)


def in_words(written: object) -> str:
    """A part of a plan as one line: `{threshold: {metric: p99, above: 2s}}` is `threshold p99 above 2s`."""
    if isinstance(written, Mapping):
        metric_first = sorted(written.items(), key=lambda item: item[0] != "metric")
        return " ".join(_pair(str(key), value) for key, value in metric_first)
    if isinstance(written, list | tuple):
        return ", ".join(in_words(one) for one in written)
    return str(written)


def _pair(key: str, value: object) -> str:
    return in_words(value) if key in ("metric", "of") else f"{key.replace('_', ' ')} {in_words(value)}"
