"""What rollouts wait for: time that must be watched, gates, people, windows.

A soak counts what was watched, not what the clock says: each tick adds the seconds that somebody really looked. A worker
that died and comes back finds its wait again with all that was watched so far. Ticks are frequent and not in the audit;
opening and closing are. Whoever closes a wait first decides its outcome.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.columns import UtcTime
from chrysalis.ledger.database import Database
from chrysalis.ledger.journal import latest_attempt
from chrysalis.ledger.leases import require_held
from chrysalis.ledger.part import Part, require_not_negative, require_word
from chrysalis.ledger.records import UNCHANGED, Details, Lease, Tick, Wait, WaitKind
from chrysalis.ledger.rows import columns, record, records
from chrysalis.ledger.transaction import require_current

MOST_IDS = 5_000
"""In one statement; SQLite takes 32,766 values."""
_TABLE = schema.waits
_COLUMNS = columns(_TABLE, Wait)


class Waits(Part):
    """The waits of all rollouts."""

    def open_wait(
        self,
        rollout_id: str,
        token: int,
        *,
        step_id: str,
        kind: WaitKind,
        needed_s: float | None,
        detail: Details,
        now: datetime,
    ) -> Wait:
        """The wait of the step's current attempt, or the one still open from an earlier attempt; else a new one.

        So it may come back closed: then the waiting was over before the worker died. Raises StaleToken.
        """
        require_word(kind, WaitKind, "kind of wait")
        require_not_negative(needed_s, f"needed_s of step {step_id}")
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            attempt = latest_attempt(tx, rollout_id, step_id)
            mine = (_TABLE.c.rollout_id == rollout_id) & (_TABLE.c.step_id == step_id)
            there = select(*_COLUMNS).where(mine, schema.is_open | (_TABLE.c.attempt == attempt))
            if (row := tx.one(there.order_by(_TABLE.c.attempt))) is not None:
                return record(Wait, row)
            made = insert(_TABLE).values(
                rollout_id=rollout_id,
                step_id=step_id,
                attempt=attempt,
                kind=kind,
                needed_s=needed_s,
                watched_s=0.0,
                detail=detail,
                pauses=0,
                opened_at=tx.now,
            )
            wait = record(Wait, tx.execute(made.returning(*_COLUMNS)).one())
            told = {"step_id": step_id, "kind": kind, "attempt": attempt, "needed_s": needed_s, "detail": detail}
            tx.note(rollout.holder, "wait_opened", rollout_id, {"wait_id": wait.id, "token": token, **told})
            return wait

    def tick_wait(self, wait_id: int, watched_s_increment: float, *, observed: Any, now: datetime) -> Wait:
        """Add plan seconds that were watched, and what was seen; a closed wait stays as it is."""
        self.tick_waits([Tick(wait_id, watched_s_increment, observed)], now)
        with self._database.read() as connection:
            return _require(connection, wait_id)

    def tick_waits(self, ticks: Sequence[Tick], now: datetime, *, lease: Lease | None = None) -> None:
        """Many ticks in one transaction. With `lease`, raises StaleToken and adds nothing when it was lost meanwhile."""
        for tick in ticks:
            require_not_negative(tick.watched_s_increment, f"watched_s_increment of wait {tick.wait_id}")
        if not ticks:
            return
        more = {"watched_s": _TABLE.c.watched_s + bindparam("more_s"), "ticked_at": bindparam("at", type_=UtcTime)}
        seen = [tick for tick in ticks if tick.observed is not UNCHANGED]
        alike: dict[float, list[int]] = {}
        for tick in ticks:
            if tick.observed is UNCHANGED:
                alike.setdefault(tick.watched_s_increment, []).append(tick.wait_id)
        with self._database.write(now) as tx:
            if lease is not None:
                require_held(tx, lease)
            if seen:
                add = update(_TABLE).where(_TABLE.c.id == bindparam("wait"), schema.is_open)
                tx.execute(
                    add.values(**more, observed=bindparam("seen")),
                    [
                        {"wait": tick.wait_id, "more_s": tick.watched_s_increment, "seen": tick.observed, "at": tx.now}
                        for tick in sorted(seen, key=lambda tick: tick.wait_id)
                    ],
                )
            for more_s, ids in alike.items():
                for first in range(0, len(ids), MOST_IDS):
                    some = sorted(ids)[first : first + MOST_IDS]
                    add = update(_TABLE).where(_TABLE.c.id.in_(some), schema.is_open).values(**more)
                    tx.execute(add, [{"more_s": more_s, "at": tx.now}])

    def close_wait(
        self, wait_id: int, outcome: str, *, now: datetime, by: str | None = None, token: int | None = None
    ) -> Wait:
        """End the wait; one that is closed keeps its outcome and is returned as it is. With `token`, raises StaleToken."""
        with self._database.write(now) as tx:
            rollout = tx.rollout(_require(tx.connection, wait_id).rollout_id)
            if token is not None:
                require_current(rollout, token)
            wait = _require(tx.connection, wait_id)
            if not wait.is_open:
                return wait
            closed = update(_TABLE).where(_TABLE.c.id == wait_id).values(closed_at=tx.now, outcome=outcome)
            tx.execute(closed)
            told = {"wait_id": wait_id, "step_id": wait.step_id, "outcome": outcome, "watched_s": wait.watched_s}
            tx.note(by or rollout.holder, "wait_closed", rollout.id, told)
            return _require(tx.connection, wait_id)

    def open_waits(self) -> tuple[Wait, ...]:
        """The open waits of all rollouts."""
        return _all(self._database, select(*_COLUMNS).where(schema.is_open).order_by(_TABLE.c.id))

    def waits(self, rollout_id: str) -> tuple[Wait, ...]:
        """All waits of a rollout, in the order in which they were opened."""
        return _all(self._database, select(*_COLUMNS).where(_TABLE.c.rollout_id == rollout_id).order_by(_TABLE.c.id))

    def next_pause_key(self, rollout_id: str, step_id: str) -> str:
        """A key for one suspension, never the same twice: Prefect refuses a key that was used in a run's life.

        `wait-` and two numbers: Prefect's inputs take lower case letters, digits and dashes only.
        """
        mine = (_TABLE.c.rollout_id == rollout_id) & (_TABLE.c.step_id == step_id)
        latest = select(_TABLE.c.id).where(mine).order_by(_TABLE.c.attempt.desc()).limit(1).scalar_subquery()
        count = update(_TABLE).where(_TABLE.c.id == latest).values(pauses=_TABLE.c.pauses + 1)
        with self._database.exclusive() as connection:
            row = connection.execute(count.returning(_TABLE.c.id, _TABLE.c.pauses)).first()
        if row is None:
            raise LedgerError(
                f"rollout {rollout_id}: step {step_id} waits for nothing, so there is no pause; open a wait first"
            )
        return f"wait-{row.id}-{row.pauses}"


def _all(database: Database, statement: Select[Any]) -> tuple[Wait, ...]:
    with database.read() as connection:
        return records(Wait, connection.execute(statement).all())


def _require(connection: Connection, wait_id: int) -> Wait:
    row = connection.execute(select(*_COLUMNS).where(_TABLE.c.id == wait_id)).first()
    if row is None:
        raise LedgerError(f"the ledger has no wait {wait_id}; `chrysalis show` lists a rollout's waits")
    return record(Wait, row)
