"""Who signed what. One standing decision per person and step; a later one replaces it, and the audit keeps both."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from chrysalis.ledger import schema
from chrysalis.ledger.part import Part, require_word
from chrysalis.ledger.records import Decision, Door, SignOff
from chrysalis.ledger.rows import columns

_TABLE = schema.sign_offs
_COLUMNS = columns(_TABLE, SignOff)
_KEY = ("rollout_id", "step_id", "approver")


class SignOffs(Part):
    """Standing sign-offs."""

    def record_sign_off(self, sign_off: SignOff) -> SignOff:
        """Write the decision down; it stands until the same person decides again. Raises UnknownRollout."""
        require_word(sign_off.decision, Decision, "decision")
        require_word(sign_off.door, Door, "door")
        values: dict[str, Any] = {name: getattr(sign_off, name) for name in SignOff.__slots__}
        at: datetime = sign_off.at
        with self._database.write(at) as tx:
            tx.rollout(sign_off.rollout_id)
            made = tx.upsert(_TABLE).values(values)
            changed = {name: value for name, value in values.items() if name not in _KEY}
            tx.execute(made.on_conflict_do_update(index_elements=_KEY, set_=changed))
            told = {name: value for name, value in values.items() if name not in ("rollout_id", "at")}
            tx.note(sign_off.approver, "signed", sign_off.rollout_id, told)
        return sign_off

    def sign_offs(self, rollout_id: str, step_id: str | None = None) -> tuple[SignOff, ...]:
        """The standing decisions, earliest first, of the rollout or of one step."""
        statement = select(*_COLUMNS).where(_TABLE.c.rollout_id == rollout_id)
        if step_id is not None:
            statement = statement.where(_TABLE.c.step_id == step_id)
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(_TABLE.c.at, _TABLE.c.approver)).all()
        return tuple(SignOff(**row._mapping) for row in rows)
