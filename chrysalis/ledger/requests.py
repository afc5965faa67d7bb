"""What people and the watch ask of a rollout: roll back, abort, pause, resume and whatever else the flows understand.

The one who asks and the one who does it are different processes, so a request is written down and settled later. Asking
for the same thing twice while it is open is one request: a button pressed twice does not roll back twice.
"""

from datetime import datetime

from sqlalchemy import insert, select, update

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.canonical import canonical_hash
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Details, Request
from chrysalis.ledger.rows import columns, record, records
from chrysalis.ledger.transaction import Transaction

_TABLE = schema.requests
_COLUMNS = columns(_TABLE, Request)


class Requests(Part):
    """Requests, open and settled."""

    def request(
        self, rollout_id: str, kind: str, *, by: str, reason: str, arguments: Details | None = None, now: datetime
    ) -> Request:
        """Ask; the open request of the same kind and arguments if there is one. Raises UnknownRollout."""
        asked = arguments or {}
        digest = canonical_hash(asked)
        with self._database.write(now) as tx:
            tx.rollout(rollout_id)
            same = (_TABLE.c.rollout_id == rollout_id) & (_TABLE.c.kind == kind) & (_TABLE.c.arguments_hash == digest)
            if (row := tx.one(select(*_COLUMNS).where(same, schema.is_unsettled))) is not None:
                return record(Request, row)
            made = insert(_TABLE).values(
                rollout_id=rollout_id,
                kind=kind,
                by=by,
                reason=reason,
                arguments=asked,
                arguments_hash=digest,
                created_at=tx.now,
            )
            request = record(Request, tx.execute(made.returning(*_COLUMNS)).one())
            told = {"request_id": request.id, "kind": kind, "reason": reason, "arguments": asked}
            tx.note(by, "request_made", rollout_id, told)
            return request

    def open_requests(self, rollout_id: str) -> tuple[Request, ...]:
        """Those not settled yet, in the order in which they were made."""
        mine = select(*_COLUMNS).where(_TABLE.c.rollout_id == rollout_id, schema.is_unsettled).order_by(_TABLE.c.id)
        with self._database.read() as connection:
            return records(Request, connection.execute(mine).all())

    def all_open_requests(self) -> tuple[Request, ...]:
        """Those of every rollout that are not settled yet, in the order in which they were made."""
        with self._database.read() as connection:
            unsettled = select(*_COLUMNS).where(schema.is_unsettled).order_by(_TABLE.c.id)
            return records(Request, connection.execute(unsettled).all())

    def settle_request(self, request_id: int, outcome: str, *, now: datetime, by: str | None = None) -> Request:
        """Say what came of it; a settled one keeps its outcome and is returned as it is."""
        with self._database.write(now) as tx:
            rollout = tx.rollout(_require(tx, request_id).rollout_id)
            request = _require(tx, request_id)
            if request.settled_at is not None:
                return request
            tx.execute(update(_TABLE).where(_TABLE.c.id == request_id).values(settled_at=tx.now, outcome=outcome))
            told = {"request_id": request_id, "kind": request.kind, "outcome": outcome}
            tx.note(by or rollout.holder, "request_settled", rollout.id, told)
            return _require(tx, request_id)


def _require(tx: Transaction, request_id: int) -> Request:
    row = tx.one(select(*_COLUMNS).where(_TABLE.c.id == request_id))
    if row is None:
        raise LedgerError(f"the ledger has no request {request_id}; `chrysalis show` lists a rollout's requests")
    return record(Request, row)
