"""Which rollouts are guarded, by which triggers, and how far each trigger is.

Armed triggers are what the watch judges at every tick. Arming again, as a worker does that died and came back, keeps the
states of the triggers that stay, so that a `for` that was nearly over is not begun anew. States are saved at every tick
and not in the audit; arming and disarming are.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, literal, or_, select, true, update

from chrysalis.ledger import schema
from chrysalis.ledger.database import Database
from chrysalis.ledger.leases import require_held
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Details, Guarded, Lease, Rollout, Wait
from chrysalis.ledger.rows import Unread, columns
from chrysalis.ledger.transaction import Transaction

_TABLE = schema.guards
_GUARD = (_TABLE.c.armed_at, _TABLE.c.triggers, _TABLE.c.trigger_states)


@dataclass(frozen=True, slots=True)
class _Guard:
    armed_at: datetime | None
    triggers: Details | None
    trigger_states: Details | None
    alive_until: datetime | None


_ROLLOUTS = Unread(Rollout, columns(schema.rollouts, Rollout))
_GUARDS = Unread(_Guard, (*_GUARD, schema.leases.c.expires_at))
_WAITS = Unread(Wait, columns(schema.waits, Wait))
_GUARD_AT = len(_ROLLOUTS.columns)
_WAIT_AT = _GUARD_AT + len(_GUARDS.columns)


class Guards(Part):
    """The watch's view of the ledger."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._read: dict[tuple[Any, ...], Any] = {}
        """What was read last time, by the text that it was read from: at most ticks only the waits are other ones."""

    def arm_guard(
        self, rollout_id: str, token: int, *, triggers: Details, now: datetime, keep: Collection[str] = ()
    ) -> None:
        """Have the watch judge `triggers` (name to what it needs to know) from now on. Raises StaleToken.

        `keep` names states that stay besides those of the triggers: what was answered already, where a ladder stands.
        """
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            row = tx.one(select(*_GUARD).where(_TABLE.c.rollout_id == rollout_id))
            armed = row is not None and row.armed_at is not None
            stays = {*triggers, *keep}
            kept = {name: state for name, state in row.trigger_states.items() if name in stays} if row and armed else {}
            values: dict[str, Any] = {"triggers": triggers, "trigger_states": kept}
            if not armed:
                values["armed_at"] = tx.now
            made = tx.upsert(_TABLE).values(rollout_id=rollout_id, **values)
            tx.execute(made.on_conflict_do_update(index_elements=["rollout_id"], set_=values))
            tx.note(rollout.holder, "guard_armed", rollout_id, {"token": token, "triggers": triggers})

    def disarm_guard(self, rollout_id: str, token: int, *, now: datetime) -> None:
        """Stop guarding, and forget the states. Repeating it changes nothing. Raises StaleToken."""
        with self._database.write(now) as tx:
            disarm(tx, tx.fenced(rollout_id, token))

    def guarded(self) -> tuple[Guarded, ...]:
        """Every active rollout that is guarded or waits, with all that a watch needs, by one query; oldest first."""
        return self._seen(or_(schema.is_armed, schema.waits.c.id.is_not(None)))

    def watched(self) -> tuple[Guarded, ...]:
        """The same of every active rollout, those included that neither are guarded nor wait: all that a tick reads."""
        return self._seen(true())

    def _seen(self, which: ColumnElement[bool]) -> tuple[Guarded, ...]:
        rollouts, waits, leases = schema.rollouts, schema.waits, schema.leases
        joined = rollouts.outerjoin(_TABLE, and_(_TABLE.c.rollout_id == rollouts.c.id, schema.is_armed))
        joined = joined.outerjoin(waits, and_(waits.c.rollout_id == rollouts.c.id, schema.is_open))
        joined = joined.outerjoin(leases, leases.c.name == literal("rollout:") + rollouts.c.id)
        statement = (
            select(*_ROLLOUTS.columns, *_GUARDS.columns, *_WAITS.columns)
            .select_from(joined)
            .where(schema.is_active, which)
            .order_by(rollouts.c.serial, waits.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        by_rollout: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_rollout.setdefault(row[0], []).append(tuple(row))
        before, now_read = self._read, {}

        def read(kind: Unread[Any], text: tuple[Any, ...]) -> Any:
            found = before.get(text)
            now_read[text] = kind.read(text) if found is None else found
            return now_read[text]

        seen = []
        for group in by_rollout.values():
            guard: _Guard = read(_GUARDS, group[0][_GUARD_AT:_WAIT_AT])
            waits_ = tuple(read(_WAITS, row[_WAIT_AT:]) for row in group if row[_WAIT_AT] is not None)
            rollout = read(_ROLLOUTS, group[0][:_GUARD_AT])
            states = guard.trigger_states or {}
            seen.append(Guarded(rollout, guard.armed_at, guard.triggers or {}, states, waits_, guard.alive_until))
        self._read = now_read
        return tuple(seen)

    def save_trigger_states(
        self, states: Mapping[str, Mapping[str, Any]], now: datetime, *, lease: Lease | None = None
    ) -> None:
        """Replace the trigger states of many rollouts (id to name to state) in one transaction; not of disarmed ones.

        With `lease`, raises StaleToken and saves nothing when it was lost meanwhile.
        """
        if not states:
            return
        armed = and_(_TABLE.c.rollout_id == bindparam("rollout"), schema.is_armed)
        save = update(_TABLE).where(armed).values(trigger_states=bindparam("states"))
        with self._database.write(now) as tx:
            if lease is not None:
                require_held(tx, lease)
            tx.execute(save, [{"rollout": rollout_id, "states": states[rollout_id]} for rollout_id in sorted(states)])


def disarm(tx: Transaction, rollout: Rollout) -> None:
    """Disarm the rollout's guard if it is armed, as a part of `tx`."""
    armed = and_(_TABLE.c.rollout_id == rollout.id, schema.is_armed)
    gone = tx.execute(update(_TABLE).where(armed).values(armed_at=None, triggers={}, trigger_states={}))
    if gone.rowcount:
        tx.note(rollout.holder, "guard_disarmed", rollout.id, {"token": rollout.token})
