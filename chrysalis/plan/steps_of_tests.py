"""Kinds of steps that ask the service itself: a smoke test of single requests, a load test with thresholds."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from chrysalis.plan.parts import Scalar
from chrysalis.plan.step_base import Step
from gates.condition import Spec
from gates.units import Duration, Quantity, dimension


class Check(Spec):
    """One request of a smoke test and what must come back."""

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    status: int = 200
    expect_headers: dict[str, str] = Field(default_factory=dict, description="regular expressions")
    expect_json: dict[str, Scalar] = Field(default_factory=dict, description="JSON pointer to value")
    contains: str | None = None


class SmokeTest(Step):
    """Ask the service itself, and compare status, headers and body."""

    requests: tuple[Check, ...] = Field(min_length=1)
    timeout: Duration = Field(default="5s", validate_default=True)
    tries: int = Field(default=3, ge=1, le=20)


class LoadTest(Step):
    """Bounded load against the new version, with thresholds. Each user pauses between requests; bodies are sent by POST.

    `first_token` is for event streams: the time until the first event with something in it, 95th percentile.
    """

    url: str
    users: int = Field(ge=1, le=10_000)
    duration: Duration
    headers: dict[str, str] = Field(default_factory=dict)
    bodies: tuple[dict[str, Scalar], ...] = ()
    expect_headers: dict[str, str] = Field(default_factory=dict, description="regular expressions")
    contains: str = ""
    pause_at_least: Duration = Field(default="0s", validate_default=True)
    pause_at_most: Duration = Field(default="0s", validate_default=True)
    ramp: Duration | None = Field(
        default=None, description="all users are there after so long; 2s of real time when not given"
    )
    timeout: Duration = Field(default="10s", validate_default=True)
    p50: Quantity | None = None
    p95: Quantity | None = None
    p99: Quantity | None = None
    first_token: Quantity | None = None
    failures: Quantity | None = None

    @model_validator(mode="after")
    def _judged(self) -> "LoadTest":
        limits = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "first_token": self.first_token}
        if not any((*limits.values(), self.failures)):
            raise ValueError("a load test without a threshold cannot fail; give p50, p95, p99, first_token or failures")
        for name, limit in limits.items():
            if limit is not None and dimension(limit.unit) != "time":
                raise ValueError(f"{name} is {limit}, expected a time such as 700ms")
        if self.failures is not None and dimension(self.failures.unit) != "ratio":
            raise ValueError(f"failures is {self.failures}, expected a share such as 1%")
        if self.pause_at_most < self.pause_at_least:
            raise ValueError("pause_at_most is less than pause_at_least")
        if self.ramp is not None and not timedelta(0) < self.ramp <= self.duration:
            raise ValueError("ramp must be more than 0s and at most the duration")
        return self
