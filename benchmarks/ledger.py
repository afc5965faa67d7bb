"""The ledger after 10,000 rollouts with full journals, on both databases: what people and the watch ask, beside 50 ms."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.result import Result
from chrysalis.clock import utc_now
from chrysalis.ledger import Ledger, Tick
from tasks.pauses import without_pauses
from tests.ledger.past import fill
from tests.postgres import embedded_postgres

ROLLOUTS = 10_000
ACTIVE = 1_000
LIMIT_MS = 50.0
ROUNDS = 15


def run() -> list[Result]:
    """Fill a ledger on each database, and ask."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="chrysalis-bench-") as home:
        results += _asked("SQLite", f"sqlite:///{home}/ledger.db")
        size_mb = Path(home, "ledger.db").stat().st_size / 1e6
        results.append(Result(f"ledger: size with {ROLLOUTS} rollouts, SQLite", size_mb, None, "", "MB"))
    with embedded_postgres() as server:
        results += _asked("PostgreSQL", server.get_uri())
    return results


def _asked(database: str, url: str) -> list[Result]:
    with Ledger.open(url) as ledger:
        fill(ledger, rollouts=ROLLOUTS, active=ACTIVE)
        last = f"crystal-{ROLLOUTS}"
        ticks = [Tick(wait.id, 0.5) for wait in ledger.open_waits()]
        questions: dict[str, Callable[[], object]] = {
            "status of one": lambda: (ledger.get(last), ledger.journal(last), ledger.waits(last)),
            f"status of all ({ACTIVE} active)": ledger.active,
            "history (50)": lambda: ledger.history(50),
            "history of a service": lambda: ledger.history(50, "old-7"),
            f"the watch's query ({ACTIVE} active)": ledger.watched,
            "the watch's requests": ledger.all_open_requests,
        }
        with without_pauses():
            return [
                Result(
                    f"ledger on {database}: {name}",
                    _median_ms(ask, before=lambda: ledger.tick_waits(ticks, utc_now())),
                    LIMIT_MS,
                    "the limit",
                    "ms",
                )
                for name, ask in questions.items()
            ]


def _median_ms(ask: Callable[[], object], *, before: Callable[[], object]) -> float:
    """`before` every round and not counted: all soaks have been watched on since the last one, as between two ticks."""
    ask()
    taken = []
    for _ in range(ROUNDS):
        before()
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
