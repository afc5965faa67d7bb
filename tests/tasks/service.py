"""A service on loopback for tests of the watch: what it measures, its configuration, and a switch that breaks its writes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from chrysalis.ledger import Guarded
from tasks.lifecycle import arm
from tasks.prefect_api import Nudge
from tasks.sentry import Sentry
from tests.metrics.servers import Asked, Reply, serving
from tests.tasks.conftest import NOW, Bench, rollout


@dataclass
class Service:
    """`measured` is read by the plan's metrics, `values` by its target; with `broken` no write is taken."""

    measured: dict[str, float]
    values: dict[str, Any]
    broken: bool = False
    writes: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/measured":
            return Reply(200, json.dumps(self.measured).encode())
        if asked.method == "PATCH":
            if self.broken:
                return Reply(503, b"{}")
            changes = json.loads(asked.body)
            self.writes.append(changes)
            self.values |= changes
        return Reply(200, json.dumps(self.values).encode())


@dataclass
class Watched:
    """A rollout that a watch looks at."""

    service: Service
    bench: Bench
    seconds: float = 0.0

    def tick(self, *, after_s: float = 5.0, **measured: float) -> Guarded:
        """One look by a watch that has just started, so many seconds after the last one."""
        self.service.measured |= measured
        self.seconds += after_s
        sentry = Sentry(self.bench.ledger, _nobody_sleeps, "watch", 1.0)
        try:
            sentry.tick(NOW + timedelta(seconds=self.seconds))
        finally:
            sentry.close()
        return self.bench.ledger.guarded()[0]

    def enter(self, phase: str) -> None:
        """The rollout goes on to a phase, and its guard is armed again."""
        ledger, row = self.bench.ledger, self.bench.rollout
        ledger.set_position(row.id, self.bench.token, phase=phase, weight_percent=30, status_text="", now=NOW)
        arm(row.id, self.bench.token, self.bench.plan.phase(phase))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, plan: str, service: Service) -> Iterator[Watched]:
    """A rollout of `plan`, whose `${SERVICE_URL}` is the service, in its first phase."""
    with serving(service.answer) as server:
        monkeypatch.setenv("SERVICE_URL", server.url)
        seen = Watched(service, rollout(plan))
        seen.enter(seen.bench.plan.phase_names[0])
        yield seen


def _nobody_sleeps(_: str, __: Nudge) -> bool:
    return True
