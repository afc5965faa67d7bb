"""What every kind of condition has: how much it counts, what it must be given, whether it fits its metrics, and a judge."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gates.observation import Need, Observations
from gates.verdict import Finding, Mode

Direction = Literal["higher_is_better", "lower_is_better", "neither"]


class Spec(BaseModel):
    """A frozen part of a plan; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What a plan says of a metric that a condition has to fit: its unit, sides, spacing of samples in seconds, direction."""

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
