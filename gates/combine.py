"""Several conditions as one: all of them, any of them, at least so many, or at least so much of their weight.

A part with mode `warn` or `dry_run` is judged and reported, and counts for nothing; one part at least must count. A part
that is not known is neither a pass nor a failure: the answer is INCONCLUSIVE while it could still go both ways.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from gates.condition import Condition, MetricFacts
from gates.observation import Need, Observations
from gates.units import Quantity, UnitError
from gates.verdict import Finding, Mode, Verdict

if TYPE_CHECKING:
    AnyCondition = Condition

_ROUNDING = 1e-9


def judge_one(condition: Condition, observations: Observations, now_s: float) -> Finding:
    """The condition's finding; a judge that breaks is not known, and never takes the others with it."""
    try:
        found = condition.judge(observations, now_s)
    except Exception as error:
        reason = f"could not be judged, this is a fault of the judge: {type(error).__name__}: {error}"
        return condition.unknown(reason)
    return found


def needs_of_all(conditions: Sequence[Condition]) -> tuple[Need, ...]:
    """Every need once, with the longest window asked for."""
    longest: dict[Any, float] = {}
    for need in (need for condition in conditions for need in condition.needs()):
        longest[need.selector] = max(need.window_s, longest.get(need.selector, 0.0))
    return tuple(Need(selector, window_s) for selector, window_s in longest.items())


class _Combination(Condition):
    of: "tuple[AnyCondition, ...]" = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _a_bare_list(cls, written: Any) -> Any:
        return {"of": written} if isinstance(written, list | tuple) else written

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not any(part.mode is Mode.BLOCK for part in self.of):
            raise ValueError("no condition counts: all are warn or dry_run; at least one must have mode block")
        return self

    def needs(self) -> tuple[Need, ...]:
        return needs_of_all(self.of)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        return [problem for part in self.of for problem in part.problems(metrics)]

    def _parts(self, observations: Observations, now_s: float) -> tuple[Finding, ...]:
        return tuple(judge_one(part, observations, now_s) for part in self.of)


class All(_Combination):
    """`all: [...]`: every condition that counts passes. The verdict is the worst."""

    def judge(self, observations: Observations, now_s: float) -> Finding:
        parts = self._parts(observations, now_s)
        return all_of(self, parts)


class Any_(_Combination):  # noqa: N801 - `Any` is typing's
    """`any: [...]`: at least one condition that counts passes. The verdict is the best."""

    def judge(self, observations: Observations, now_s: float) -> Finding:
        parts = self._parts(observations, now_s)
        counted = [part for part in parts if part.mode is Mode.BLOCK]
        verdict = min(part.verdict for part in counted)
        passed = sum(part.passed for part in counted)
        deciding = [part for part in counted if part.verdict is verdict]
        waits = [part.holds_in_s for part in counted if part.holds_in_s is not None]
        reason = f"{passed} of {len(counted)} passed, at least 1: {_reasons(deciding)}"
        holds = min(waits) if waits and verdict is Verdict.INCONCLUSIVE else None
        return self.finding(verdict, reason, holds_in_s=holds, parts=parts)


class AtLeast(_Combination):
    """`at_least: {count: 2, of: [...]}`, or `{share: 75%, of: [...]}` of the weight of all that count.

    A `critical` condition must pass in any case: it fails the whole by itself.
    """

    count: int | None = Field(default=None, ge=1)
    share: Quantity | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.count is None) == (self.share is None):
            raise ValueError("exactly one of count (how many) and share (of the weight) is needed")
        counted = sum(part.mode is Mode.BLOCK for part in self.of)
        if self.count is not None and self.count > counted:
            raise ValueError(f"count: {self.count} can never pass, only {counted} conditions count")
        if self.share is not None:
            try:
                wanted = self.share.to("ratio")
            except UnitError as error:
                raise ValueError(f"share: {error}") from None
            if not 0 < wanted <= 1:
                raise ValueError(f"share: {self.share} must be above 0 and at most 100%")
        return self

    def judge(self, observations: Observations, now_s: float) -> Finding:
        parts = self._parts(observations, now_s)
        pairs = [(spec, part) for spec, part in zip(self.of, parts, strict=True) if part.mode is Mode.BLOCK]
        sized = [(1.0 if self.count is not None else spec.weight, part) for spec, part in pairs]
        whole = fsum(size for size, _ in sized)
        wanted = float(self.count) if self.count is not None else (self.share or Quantity(1.0)).to("ratio") * whole
        passed = fsum(size for size, part in sized if part.passed)
        open_ = fsum(size for size, part in sized if part.verdict is Verdict.INCONCLUSIVE)
        critical = max((part.verdict for spec, part in pairs if spec.critical), default=Verdict.PASS)
        slack = _ROUNDING * whole
        if passed >= wanted - slack:
            verdict = Verdict.PASS
        else:
            verdict = Verdict.INCONCLUSIVE if passed + open_ >= wanted - slack else Verdict.FAIL
        unit = "" if self.count is not None else " of the weight"
        sign = ">=" if passed >= wanted - slack else "< at least"
        reason = f"{passed:g} of {whole:g}{unit} passed {sign} {wanted:g}"
        if critical > verdict:
            named = [part for spec, part in pairs if spec.critical and part.verdict is critical]
            verdict, reason = critical, f"{reason}, but critical: {_reasons(named)}"
        elif verdict is not Verdict.PASS:
            reason = f"{reason}: {_reasons([part for _, part in pairs if not part.passed])}"
        numbers = {"passed": passed, "wanted": wanted, "whole": whole}
        return self.finding(verdict, reason, numbers=numbers, parts=parts)


def all_of(owner: Condition, parts: tuple[Finding, ...]) -> Finding:
    """The finding of a combination whose parts must all pass."""
    counted = [part for part in parts if part.mode is Mode.BLOCK]
    if not counted:
        return owner.finding(Verdict.INCONCLUSIVE, "no condition counts: nothing was decided", parts=parts)
    verdict = max(part.verdict for part in counted)
    deciding = [part for part in counted if part.verdict is verdict]
    waits = [part.holds_in_s for part in deciding]
    known = [wait for wait in waits if wait is not None]
    holds = max(known) if verdict is Verdict.INCONCLUSIVE and len(known) == len(waits) else None
    passed = sum(part.passed for part in counted)
    reason = f"{passed} of {len(counted)} passed" + (f": {_reasons(deciding)}" if verdict is not Verdict.PASS else "")
    return owner.finding(verdict, reason, holds_in_s=holds, parts=parts)


def _reasons(parts: Sequence[Finding]) -> str:
    return "; ".join(f"{part.name}: {part.reason}" if part.name else part.reason for part in parts)
