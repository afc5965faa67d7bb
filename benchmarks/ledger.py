"""The ledger with many rollouts: what the command line and the watch ask of it, beside the limit of 50 ms."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from chrysalis.ledger import Ledger, NewRollout

ROLLOUTS = 10_000
ACTIVE = 1_000
STEPS = 3
LIMIT_MS = 50.0
ROUNDS = 15
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run() -> list[Result]:
    """Fill a ledger, and ask."""
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home,
        Ledger.open(f"sqlite:///{home}/ledger.db") as ledger,
    ):
        for number in range(ROLLOUTS):
            _fill(ledger, number)
        last = f"crystal-{ROLLOUTS}"
        questions: dict[str, Callable[[], object]] = {
            "status (active)": ledger.active,
            "history (50)": lambda: ledger.history(50),
            "journal of one": lambda: ledger.journal(last),
            f"the watch's query ({ACTIVE} guarded)": ledger.guarded,
        }
        size_mb = Path(home, "ledger.db").stat().st_size / 1e6
        results = [
            Result(f"ledger: {name}", _median_ms(ask), LIMIT_MS, "the limit", "ms") for name, ask in questions.items()
        ]
    return [*results, Result(f"ledger: size with {ROLLOUTS} rollouts", size_mb, None, "", "MB")]


def _median_ms(ask: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _fill(ledger: Ledger, number: int) -> None:
    active = number >= ROLLOUTS - ACTIVE
    service = f"service-{number}" if active else "service"
    new = NewRollout(
        plan_name="crystal",
        service=service,
        version=str(number),
        plan_text="",
        plan_hash="",
        idempotency_key=f"crystal:{number}",
        started_by="bench",
        reason="",
    )
    rollout, _ = ledger.start_rollout(new, NOW)
    token = ledger.take_token(rollout.id, "bench", now=NOW)
    for step in range(STEPS):
        step_id = f"all.{step:02d}"
        ledger.begin_step(rollout.id, token, step_id=step_id, kind="set_weight", detail={}, now=NOW)
        ledger.end_step(rollout.id, token, step_id=step_id, outcome="done", detail={}, now=NOW)
    if not active:
        ledger.set_state(rollout.id, token, state="ended", outcome="completed", now=NOW)
        return
    ledger.begin_step(rollout.id, token, step_id="all.soak", kind="soak", detail={}, now=NOW)
    ledger.open_wait(rollout.id, token, step_id="all.soak", kind="soak", needed_s=3600.0, detail={}, now=NOW)
    ledger.arm_guard(rollout.id, token, triggers={"errors": {}}, now=NOW)
