"""The report of a load test that a service's own pipeline leaves, for a checklist to read: a JSON object."""

import json
from datetime import UTC, datetime
from pathlib import Path

from chrysalis.effects.load_test import LoadResult
from chrysalis.sandbox.files import write_whole


def write_load_report(path: Path, users: int, result: LoadResult, speed: float) -> None:
    """`seconds` are of the plan's clock, which runs `speed` times as fast; the times of requests are real milliseconds."""
    told = {
        "ended_at": datetime.now(UTC).isoformat(),
        "users": users,
        "seconds": result.seconds * speed,
        "requests": result.requests,
        "failures": result.failed,
        "p50_ms": result.p50_ms,
        "p95_ms": result.p95_ms,
        "p99_ms": result.p99_ms,
    }
    write_whole(path, json.dumps(told, indent=2))
