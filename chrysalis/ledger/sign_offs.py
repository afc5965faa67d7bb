"""Who signed what. One standing decision per person and step; a later one replaces it, and the audit keeps both."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update

from chrysalis.ledger import schema
from chrysalis.ledger.part import Part, require_word
from chrysalis.ledger.records import Decision, Door, SignOff
from chrysalis.ledger.rows import columns
from chrysalis.ledger.transaction import Transaction

_TABLE = schema.sign_offs
_WAITS = schema.waits
_FORMS = schema.shown_forms
_COLUMNS = columns(_TABLE, SignOff)
_KEY = ("rollout_id", "step_id", "approver")


class SignOffs(Part):
    """Standing sign-offs."""

    def record_sign_off(self, sign_off: SignOff, settle: Callable[[tuple[SignOff, ...]], SignOff] | None = None) -> SignOff:
        """Write the decision down; it stands until the same person decides again. Raises UnknownRollout.

        `settle` is given the step's standing decisions with nobody able to add one meanwhile, and returns what is written;
        what it raises leaves all as it was.
        """
        with self._database.write(sign_off.at) as tx:
            tx.rollout(sign_off.rollout_id)
            if settle is not None:
                mine = _standing(sign_off.rollout_id).where(_TABLE.c.step_id == sign_off.step_id)
                sign_off = settle(tuple(SignOff(**row._mapping) for row in tx.execute(mine).all()))
            require_word(sign_off.decision, Decision, "decision")
            require_word(sign_off.door, Door, "door")
            values: dict[str, Any] = {name: getattr(sign_off, name) for name in SignOff.__slots__}
            made = tx.upsert(_TABLE).values(values)
            changed = {name: value for name, value in values.items() if name not in _KEY}
            tx.execute(made.on_conflict_do_update(index_elements=_KEY, set_=changed))
            told = {name: value for name, value in values.items() if name not in ("rollout_id", "at", "void")}
            tx.note(sign_off.approver, "signed", sign_off.rollout_id, told)
        return sign_off

    def void_sign_off(self, sign_off: SignOff, reason: str, *, now: datetime) -> bool:
        """Have this decision count no more; False when it did not already, or the person has decided anew."""
        with self._database.write(now) as tx:
            tx.rollout(sign_off.rollout_id)
            same = [_TABLE.c[name] == getattr(sign_off, name) for name in (*_KEY, "at")]
            if not tx.execute(update(_TABLE).where(*same, _TABLE.c.void.is_(None)).values(void=reason)).rowcount:
                return False
            told = {"step_id": sign_off.step_id, "approver": sign_off.approver, "reason": reason}
            tx.note(None, "sign_off_void", sign_off.rollout_id, told)
            return True

    def sign_offs(self, rollout_id: str, step_id: str | None = None) -> tuple[SignOff, ...]:
        """The standing decisions, earliest first, of the rollout or of one step; those that are void included."""
        statement = _standing(rollout_id)
        if step_id is not None:
            statement = statement.where(_TABLE.c.step_id == step_id)
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return tuple(SignOff(**row._mapping) for row in rows)

    def signed_waits(self) -> dict[int, tuple[int, datetime]]:
        """Of each open wait for a sign-off that was signed: how many decisions stand, and when the newest was made."""
        signs = (_WAITS.c.rollout_id == _TABLE.c.rollout_id) & (_WAITS.c.step_id == _TABLE.c.step_id)
        statement = (
            select(_WAITS.c.id, func.count(), func.max(_TABLE.c.at))
            .join(_TABLE, signs)
            .where(schema.is_open, _WAITS.c.kind == "sign_off", _TABLE.c.void.is_(None))
            .group_by(_WAITS.c.id)
        )
        with self._database.read() as connection:
            return {wait_id: (count, newest) for wait_id, count, newest in connection.execute(statement)}

    def keep_shown(self, wait_id: int, pause: int, shown: Any, *, now: datetime) -> None:
        """Remember what the form of that suspension shows (any JSON). Safe to repeat."""
        with self._database.exclusive() as connection:
            tx = Transaction(connection, now)
            made = tx.upsert(_FORMS).values(wait_id=wait_id, pause=pause, shown=shown, at=tx.now)
            tx.execute(made.on_conflict_do_nothing())

    def shown(self, wait_id: int, pause: int) -> Any:
        """What that form showed; None when it was not kept."""
        with self._database.read() as connection:
            mine = select(_FORMS.c.shown).where(_FORMS.c.wait_id == wait_id, _FORMS.c.pause == pause)
            return connection.execute(mine).scalar_one_or_none()

    def record_refusal(self, actor: str, action: str, subject: str, detail: Any, *, now: datetime) -> None:
        """Enter into the audit that somebody tried what they may not; nothing else changes."""
        with self._database.write(now) as tx:
            tx.note(actor or "nobody", f"refused: {action}", subject, detail)


def _standing(rollout_id: str) -> Select[Any]:
    return select(*_COLUMNS).where(_TABLE.c.rollout_id == rollout_id).order_by(_TABLE.c.at, _TABLE.c.approver)
