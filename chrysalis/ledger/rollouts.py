"""Starting, finding and moving rollouts, and the fencing token that says which worker may.

Starts go one at a time (the serial's row is locked first), so that two at once see each other: the same release gets the
same rollout, another one of a busy service is refused. The partial unique index holds even against a writer that is not us.
A change of state, weight or phase carries the token that its worker took; a stale one changes nothing.
"""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Select, insert, select, update

from chrysalis.errors import LedgerError, ServiceBusy, TargetBusy
from chrysalis.ledger import schema
from chrysalis.ledger.canonical import clean
from chrysalis.ledger.database import Database
from chrysalis.ledger.guards import disarm
from chrysalis.ledger.part import Part, require_word
from chrysalis.ledger.records import NewRollout, Outcome, Rollout, State
from chrysalis.ledger.rows import columns, record, records
from chrysalis.ledger.transaction import Transaction, require_current, unknown

CLAIMS = "claims"
"""The parameter of a rollout that lists what it will change, in words that two rollouts can be compared by."""

_TABLE = schema.rollouts
_COLUMNS = columns(_TABLE, Rollout)


class Rollouts(Part):
    """The rollouts themselves."""

    def start_rollout(self, new: NewRollout, now: datetime) -> tuple[Rollout, bool]:
        """The rollout of this service and key, and whether it was created now. Raises ServiceBusy, TargetBusy."""
        if not new.speed > 0:
            raise LedgerError(f"rollout of {new.service}: speed is {new.speed}; it is above 0 (1 is the plan's own clock)")
        with self._database.write(now) as tx:
            serial = (
                1
                + tx.execute(
                    select(schema.serials.c.value).where(schema.serials.c.name == "rollout").with_for_update()
                ).scalar_one()
            )
            same = (_TABLE.c.service == new.service) & (_TABLE.c.idempotency_key == new.idempotency_key)
            if (row := tx.one(select(*_COLUMNS).where(same))) is not None:
                return record(Rollout, row), False
            _require_free(tx, new)
            tx.execute(update(schema.serials).where(schema.serials.c.name == "rollout").values(value=serial))
            rollout_id = f"{clean(new.plan_name)}-{serial}"
            tx.execute(insert(_TABLE).values(_fresh(tx, new, rollout_id, serial)))
            tx.note(new.started_by, "rollout_started", rollout_id, _summary(new))
            return tx.rollout(rollout_id), True

    def get(self, rollout_id: str) -> Rollout:
        """Raises UnknownRollout."""
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(_TABLE.c.id == rollout_id)).first()
        if row is None:
            raise unknown(rollout_id)
        return record(Rollout, row)

    def plan_text(self, rollout_id: str) -> str:
        """The plan as it was given at the start. Raises UnknownRollout."""
        statement = select(schema.plan_texts.c.plan_text).join(_TABLE).where(_TABLE.c.id == rollout_id)
        with self._database.read() as connection:
            row = connection.execute(statement).first()
        if row is None:
            raise unknown(rollout_id)
        return str(row.plan_text)

    def find_by_flow_run(self, flow_run_id: str) -> Rollout | None:
        """The rollout that this flow run works or worked for; None if it never did for any."""
        statement = select(*_COLUMNS).join(schema.flow_runs).where(schema.flow_runs.c.flow_run_id == flow_run_id)
        with self._database.read() as connection:
            row = connection.execute(statement).first()
        return None if row is None else record(Rollout, row)

    def active(self) -> tuple[Rollout, ...]:
        """All that have not ended, oldest first."""
        return _all(self._database, select(*_COLUMNS).where(schema.is_active).order_by(_TABLE.c.serial))

    def history(self, limit: int = 50, service: str | None = None) -> tuple[Rollout, ...]:
        """The latest `limit` rollouts, newest first, of all services or of one."""
        statement = select(*_COLUMNS)
        if service is not None:
            statement = statement.where(_TABLE.c.service == service)
        return _all(self._database, statement.order_by(_TABLE.c.serial.desc()).limit(limit))

    def attach_flow_run(self, rollout_id: str, flow_run_id: str, *, now: datetime) -> None:
        """Remember which flow run works for the rollout; earlier ones still find it. Safe to repeat."""
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id)
            if rollout.flow_run_id == flow_run_id:
                return
            other = tx.one(select(schema.flow_runs.c.rollout_id).where(schema.flow_runs.c.flow_run_id == flow_run_id))
            if other is not None and other.rollout_id != rollout_id:
                raise LedgerError(
                    f"flow run {flow_run_id} works for {other.rollout_id}, it cannot work for {rollout_id} too"
                )
            if other is None:
                tx.execute(insert(schema.flow_runs).values(flow_run_id=flow_run_id, rollout_id=rollout_id, at=tx.now))
            _change(tx, rollout_id, flow_run_id=flow_run_id)
            tx.note(rollout.holder, "flow_run_attached", rollout_id, {"flow_run_id": flow_run_id})

    def set_position(
        self, rollout_id: str, token: int, *, phase: str | None, weight_percent: int | None, status_text: str, now: datetime
    ) -> None:
        """Where the rollout is: phase, canary weight in percent (0-100), and a line for people.

        The audit has every change of phase and weight, not of the line. Raises StaleToken.
        """
        if weight_percent is not None and not 0 <= weight_percent <= 100:
            raise LedgerError(f"rollout {rollout_id}: a weight is 0 to 100 %, not {weight_percent}")
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            before = {"phase": rollout.phase, "weight_percent": rollout.weight_percent}
            after = {"phase": phase, "weight_percent": weight_percent}
            if before == after and status_text == rollout.status_text:
                return
            _change(tx, rollout_id, phase=phase, weight_percent=weight_percent, status_text=status_text)
            if before != after:
                tx.note(rollout.holder, "position_set", rollout_id, {"token": token, "before": before, "after": after})

    def set_state(self, rollout_id: str, token: int, *, state: State, outcome: Outcome | None = None, now: datetime) -> None:
        """Move to `state`; `ended` needs an outcome, is final, and disarms the guard. Safe to repeat. Raises StaleToken."""
        require_word(state, State, "state")
        if (state == "ended") != (outcome is not None):
            raise LedgerError(f"rollout {rollout_id}: state {state} with outcome {outcome}; ended has one, others have none")
        if outcome is not None:
            require_word(outcome, Outcome, "outcome")
        with self._database.write(now) as tx:
            rollout = tx.fenced(rollout_id, token)
            if (rollout.state, rollout.outcome) == (state, outcome):
                return
            if not rollout.active:
                raise LedgerError(
                    f"rollout {rollout_id} ended {rollout.outcome}; it cannot become {outcome or state}: start another one"
                )
            _change(tx, rollout_id, state=state, outcome=outcome, ended_at=tx.now if state == "ended" else None)
            if state == "ended":
                disarm(tx, rollout)
            detail = {"token": token, "before": rollout.state, "after": state, "outcome": outcome}
            tx.note(rollout.holder, "state_set", rollout_id, detail)

    def take_token(self, rollout_id: str, holder: str, *, now: datetime) -> int:
        """A new fencing token, one higher: from now on every earlier one is stale. Raises UnknownRollout."""
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id)
            token = rollout.token + 1
            _change(tx, rollout_id, token=token, holder=holder)
            tx.note(holder, "token_taken", rollout_id, {"token": token, "from": rollout.holder})
            return token

    def check_token(self, rollout_id: str, token: int) -> None:
        """Raises StaleToken unless `token` is the current one. A write checks for itself, with its own transaction."""
        require_current(self.get(rollout_id), token)


def _all(database: Database, statement: Select[Any]) -> tuple[Rollout, ...]:
    with database.read() as connection:
        return records(Rollout, connection.execute(statement).all())


def _require_free(tx: Transaction, new: NewRollout) -> None:
    busy = tx.one(
        select(_TABLE.c.id, _TABLE.c.version, _TABLE.c.state).where(_TABLE.c.service == new.service, schema.is_active)
    )
    if busy is not None:
        raise ServiceBusy(
            f"service {new.service}: rollout {busy.id} of version {busy.version} is {busy.state}, so {new.version} was not "
            f"started; wait for it, or end it with `chrysalis abort {busy.id}`"
        )
    _require_unclaimed(tx, new)


def _require_unclaimed(tx: Transaction, new: NewRollout) -> None:
    """Raises TargetBusy when an active rollout of another service writes to one of the same targets."""
    wanted = [str(claim) for claim in new.parameters.get(CLAIMS, ())]
    if not wanted:
        return
    for row in tx.execute(select(_TABLE.c.id, _TABLE.c.service, _TABLE.c.parameters).where(schema.is_active)):
        for claim in row.parameters.get(CLAIMS, ()):
            for mine in wanted:
                if _overlap(mine, claim):
                    raise TargetBusy(
                        f"{mine}: rollout {row.id} of service {row.service} changes {claim} until it ends, so "
                        f"{new.version} of {new.service} was not started; wait for it, or end it with "
                        f"`chrysalis abort {row.id}`"
                    )


def _overlap(one: str, other: str) -> bool:
    """The same target, or a named value and a part of it (`features` and `features.emergence`)."""
    return one == other or ("#" in one and "#" in other and (one.startswith(f"{other}.") or other.startswith(f"{one}.")))


def _fresh(tx: Transaction, new: NewRollout, rollout_id: str, serial: int) -> dict[str, Any]:
    text_hash = hashlib.sha256(clean(new.plan_text).encode()).hexdigest()
    texts = tx.upsert(schema.plan_texts).values(text_hash=text_hash, plan_text=new.plan_text)
    tx.execute(texts.on_conflict_do_nothing())
    given = {name: getattr(new, name) for name in NewRollout.__slots__ if name != "plan_text"}
    return {
        **given,
        "id": rollout_id,
        "serial": serial,
        "text_hash": text_hash,
        "state": "pending",
        "status_text": "",
        "token": 0,
        "started_at": tx.now,
        "updated_at": tx.now,
    }


def _summary(new: NewRollout) -> dict[str, Any]:
    names = ("plan_name", "service", "version", "plan_hash", "idempotency_key", "reason", "speed", "dry_run", "parameters")
    return {name: getattr(new, name) for name in names}


def _change(tx: Transaction, rollout_id: str, **values: Any) -> None:
    tx.execute(update(_TABLE).where(_TABLE.c.id == rollout_id).values(**values, updated_at=tx.now))
