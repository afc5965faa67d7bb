"""The plan's clock: real time, or real time made faster so that eight weeks pass in a minute.

Everything a plan says about time is in plan time. A rollout's plan clock starts with the rollout and runs `speed` times as
fast as the real one; judges see plan time only, and only the edges convert.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class PlanClock:
    """Plan time = origin + (real time - origin) x speed; all in unix seconds."""

    origin_s: float
    speed: float

    def to_plan(self, real_s: float) -> float:
        return self.origin_s + (real_s - self.origin_s) * self.speed

    def to_real(self, plan_s: float) -> float:
        return self.origin_s + (plan_s - self.origin_s) / self.speed

    def real_span_s(self, span: timedelta) -> float:
        """How long a span of the plan takes in real seconds."""
        return span.total_seconds() / self.speed

    def plan_now(self, real: datetime) -> datetime:
        return datetime.fromtimestamp(self.to_plan(real.timestamp()), UTC)


def utc_now() -> datetime:
    """The real time, timezone-aware. Called at the edges only."""
    return datetime.now(UTC)
