"""What every kind of condition has: how much it counts, what it must be given, whether it fits its metrics, and a judge."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gates.observation import FloatArray, Need, Observations
from gates.verdict import Finding, Mode, Verdict

Truths = NDArray[np.bool_]
Direction = Literal["higher_is_better", "lower_is_better", "neither"]


class Spec(BaseModel):
    """A frozen part of a plan; an unknown field is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_by_name=True, serialize_by_alias=True
    )


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a plan says of a metric that a condition has to fit: unit, sides, spacing of samples (seconds), direction."""

    unit: str
    interval_s: float
    sided: bool
    direction: Direction


class Condition(Spec):
    """The base of all kinds. `weight` counts in an `at_least` by weight; `critical` fails a weighted gate by itself."""

    name: str = ""
    mode: Mode = Mode.BLOCK
    weight: float = Field(default=1.0, gt=0)
    critical: bool = False

    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """Every series the judge will look at, and how far back."""

    @abstractmethod
    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        """What does not fit: unknown metrics, units that do not match, a window shorter than the samples' spacing."""

    @abstractmethod
    def judge(self, observations: Observations, now_s: float) -> Finding:
        """The finding at `now_s` (unix seconds of the plan's clock). Never raises, whatever the observations hold."""

    def plainly_fails(self, observations: Observations, now_s: float) -> bool:
        """Whether `judge` says FAIL, where that can be told at once; False says nothing, then `judge` has to be asked.

        For thousands of triggers that see nothing: the words of a finding take most of a judge's time.
        """
        del observations, now_s
        return False

    def at_moments(self, observations: Observations, moments: FloatArray) -> tuple[Truths, Truths] | None:
        """Whether it was known, and whether it passed, at each of many moments (unix seconds): what `judge` says at each,
        found at once. None where that takes judging each."""
        return None

    def finding(
        self,
        verdict: Verdict,
        reason: str,
        *,
        numbers: Mapping[str, float] | None = None,
        holds_in_s: float | None = None,
        parts: tuple[Finding, ...] = (),
    ) -> Finding:
        """A finding that carries this condition's name and mode."""
        return Finding(verdict, reason, self.name, numbers or {}, holds_in_s, self.mode, parts)

    def unknown(self, reason: str, *, numbers: Mapping[str, float] | None = None) -> Finding:
        """INCONCLUSIVE: it could not be measured, for this reason."""
        return self.finding(Verdict.INCONCLUSIVE, reason, numbers=numbers)
