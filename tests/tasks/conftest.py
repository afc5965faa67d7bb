"""A ledger of its own and a small rollout in it: the tasks' decisions need no server and no target."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chrysalis.ledger import NewRollout
from chrysalis.plan import parse_plan
from chrysalis.targets.base import SideCounters, Split, Stamp
from tasks.workspace import Workspace, open_ledger, settings
from tests.caches import forget
from tests.stack import PLANS

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TEXT = (PLANS / "quick" / "plan.yaml").read_text()


@dataclass
class FakeRouter:
    """A router in memory. With `trouble` set, it raises that at every call."""

    percent: int
    trouble: Exception | None = None
    writes: list[Stamp] = field(default_factory=list)
    bypassed: bool = False

    def read(self) -> Split:
        self._fail()
        return Split(self.percent, bypassed=self.bypassed)

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        self._fail()
        self.percent = canary_percent
        self.bypassed = self.bypassed and canary_percent > 0
        self.writes.append(stamp)
        return Split(canary_percent, stamp)

    def counters(self) -> dict[str, SideCounters]:
        return {}

    def _fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@dataclass(frozen=True)
class Bench(Workspace):
    """A workspace whose routers are the given ones."""

    fakes: dict[str, FakeRouter] = field(default_factory=dict)

    def routers(self) -> dict[str, FakeRouter]:  # type: ignore[override]
        return self.fakes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder of its own, forgotten at the end."""
    monkeypatch.setenv("CHRYSALIS_HOME", str(tmp_path))
    monkeypatch.setenv("CHRYSALIS_PLANS", str(PLANS))
    monkeypatch.delenv("CHRYSALIS_LEDGER_URL", raising=False)
    forget()
    yield tmp_path
    open_ledger().close()
    forget()


@pytest.fixture
def bench(home: Path) -> Bench:
    """A rollout of the quick plan under its first token, with a router at 30 %."""
    return rollout()


def rollout(text: str = TEXT, *, dry_run: bool = False, routers: dict[str, FakeRouter] | None = None) -> Bench:
    """A new rollout in the ledger of this home."""
    loaded = parse_plan(text, "quick")
    ledger = open_ledger()
    new = NewRollout(
        plan_name="quick",
        service=loaded.plan.service,
        version="1",
        plan_text=text,
        plan_hash=loaded.sha256,
        idempotency_key=f"quick:1:{dry_run}",
        started_by="ci",
        reason="test",
        dry_run=dry_run,
    )
    made, _ = ledger.start_rollout(new, NOW)
    token = ledger.take_token(made.id, "test", now=NOW)
    given = {"traffic": FakeRouter(30)} if routers is None else routers
    return Bench(ledger, ledger.get(made.id), token, loaded.plan, settings(), given)


def begin(bench: Bench, step_id: str, kind: str, *, outcome: str | None = None, **detail: object) -> None:
    """Journal a step as begun, and as ended where `outcome` is given."""
    bench.ledger.begin_step(bench.rollout.id, bench.token, step_id=step_id, kind=kind, detail={}, now=NOW)
    if outcome is not None:
        bench.ledger.end_step(
            bench.rollout.id, bench.token, step_id=step_id, outcome=outcome, detail=detail, now=NOW  # type: ignore[arg-type]
        )  # fmt: skip


def with_plan(bench: Bench, **changes: object) -> Bench:
    """The same bench with parts of its plan changed."""
    return replace(bench, plan=bench.plan.model_copy(update=changes))
