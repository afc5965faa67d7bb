"""Kinds of steps that ask the service itself: a smoke test of single requests, a load test with thresholds."""

from typing import Any, Literal

from pydantic import Field

from chrysalis.plan.parts import Scalar
from chrysalis.plan.step_base import Step
from gates.condition import Spec
from gates.units import Duration, Quantity


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
    """Bounded load against the new version, with thresholds."""

    url: str
    users: int = Field(ge=1, le=10_000)
    duration: Duration
    headers: dict[str, str] = Field(default_factory=dict)
    bodies: tuple[dict[str, Scalar], ...] = ()
    expect_headers: dict[str, str] = Field(default_factory=dict)
    p50: Quantity | None = None
    p95: Quantity | None = None
    p99: Quantity | None = None
    failures: Quantity | None = None
