"""Who was told what, who has acknowledged it, and what is still on its way to whom.

A notice and its deliveries are entered before anything is sent, so that none is lost with the process that sends it. A
delivery that is being tried is held: its `due_at` lies so far ahead that nobody else takes it meanwhile, and when the one
who held it dies, it falls due by itself. Only pages are open, are escalated and can be acknowledged; they end once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, insert, select, update

from chrysalis.errors import LedgerError
from chrysalis.ledger import schema
from chrysalis.ledger.part import Part, require_word
from chrysalis.ledger.records import DeliveryKind, QueuedDelivery, Severity, ToldNotice
from chrysalis.ledger.rows import columns, record, records
from chrysalis.ledger.transaction import Transaction

HELD = timedelta(seconds=30)
"""How long a delivery belongs to the one who tries it."""

_TABLE = schema.notices
_NOTICE = columns(_TABLE, ToldNotice)
_QUEUE = schema.deliveries
_DELIVERY = columns(_QUEUE, QueuedDelivery)

Held = tuple[ToldNotice, tuple[QueuedDelivery, ...]]
"""A notice, and the deliveries that the caller now holds and is to try."""


class Notices(Part):
    """Notices, pages and the queue of deliveries."""

    def tell_notice(
        self,
        rollout_id: str,
        *,
        severity: Severity,
        title: str,
        body: str,
        key: str,
        channels: Sequence[str],
        settle: timedelta,
        now: datetime,
        markdown: bool = False,
        cause: str | None = None,
        level: int = 0,
        next_at: datetime | None = None,
    ) -> Held:
        """Enter a notice for these channels; the caller holds its deliveries. Raises UnknownRollout.

        The same key again within `settle`, or while a page of that key is open and acknowledged, is counted and nobody is
        told. After that an open page is told again, and no second one is opened.
        """
        require_word(severity, Severity, "severity")
        with self._database.write(now) as tx:
            rollout = tx.rollout(rollout_id)
            mine = (_TABLE.c.rollout_id == rollout_id) & (_TABLE.c.key == key)
            row = tx.one(select(*_NOTICE).where(mine).order_by(_TABLE.c.id.desc()).limit(1))
            earlier = None if row is None else record(ToldNotice, row)
            if earlier is not None and (_settling(earlier, settle, tx.now) or _in_hand(earlier)):
                return _changed(tx, earlier.id, repeats=earlier.repeats + 1), ()
            if earlier is not None and earlier.severity == "page" == severity and earlier.ended_at is None:
                again = {"title": title, "body": body, "told_at": tx.now, "repeats": earlier.repeats + 1}
                notice = _changed(tx, earlier.id, **again)
            else:
                made = insert(_TABLE).values(
                    rollout_id=rollout_id,
                    severity=severity,
                    title=title,
                    body=body,
                    markdown=markdown,
                    key=key,
                    cause=cause,
                    told_at=tx.now,
                    repeats=0,
                    level=level,
                    next_at=next_at if severity == "page" else None,
                )
                notice = record(ToldNotice, tx.execute(made.returning(*_NOTICE)).one())
            told = {"notice_id": notice.id, "severity": severity, "title": title, "channels": list(channels)}
            tx.note(rollout.holder, "notice_told", rollout_id, told)
            return notice, _queued(tx, notice.id, channels, "told")

    def escalate_notice(
        self, notice: ToldNotice, *, channels: Sequence[str], level: int, next_at: datetime | None, now: datetime, by: str
    ) -> Held:
        """Take the next step of the escalation, once: nothing when another watch took it, or somebody acknowledged."""
        with self._database.write(now) as tx:
            tx.rollout(notice.rollout_id)
            found = _require(tx, notice.id)
            if (found.next_at, found.acknowledged_at, found.ended_at) != (notice.next_at, None, None):
                return found, ()
            escalated = _changed(tx, notice.id, level=level, next_at=next_at)
            told = {"notice_id": notice.id, "level": level, "channels": list(channels)}
            tx.note(by, "notice_escalated", notice.rollout_id, told)
            return escalated, _queued(tx, notice.id, channels, "escalated")

    def acknowledge_notice(self, notice_id: int, *, by: str, now: datetime) -> Held:
        """Somebody has it: the escalation ends, and whoever was told hears who. The first one who says so stands.

        Raises LedgerError for a notice that is no page, or is over.
        """
        with self._database.write(now) as tx:
            rollout_id = _require(tx, notice_id).rollout_id
            tx.rollout(rollout_id)
            notice = _require(tx, notice_id)
            if notice.severity != "page":
                raise LedgerError(f"notice {notice_id} is of severity {notice.severity}; only a page is acknowledged")
            if notice.acknowledged_at is not None:
                return notice, ()
            if notice.ended_at is not None:
                raise LedgerError(f"page {notice_id} is over: {notice.ended_why}; there is nothing to acknowledge")
            mine = _changed(tx, notice_id, acknowledged_by=by, acknowledged_at=tx.now, next_at=None)
            tx.note(by, "notice_acknowledged", rollout_id, {"notice_id": notice_id, "title": notice.title})
            return mine, _queued(tx, notice_id, _told_channels(tx, notice_id), "acknowledged")

    def end_notice(self, notice_id: int, *, why: str, now: datetime, by: str) -> Held:
        """What the page is about is over; whoever was told hears it once, where somebody had acknowledged."""
        with self._database.write(now) as tx:
            rollout_id = _require(tx, notice_id).rollout_id
            tx.rollout(rollout_id)
            notice = _require(tx, notice_id)
            if notice.ended_at is not None:
                return notice, ()
            over = _changed(tx, notice_id, ended_at=tx.now, ended_why=why, next_at=None)
            tx.note(by, "notice_ended", rollout_id, {"notice_id": notice_id, "why": why})
            channels = _told_channels(tx, notice_id) if notice.acknowledged_at is not None else []
            return over, _queued(tx, notice_id, channels, "ended")

    def open_pages(self, rollout_id: str | None = None) -> tuple[ToldNotice, ...]:
        """Pages that are not over, of one rollout or of all, oldest first."""
        statement = select(*_NOTICE).where(schema.is_open_page).order_by(_TABLE.c.id)
        if rollout_id is not None:
            statement = statement.where(_TABLE.c.rollout_id == rollout_id)
        with self._database.read() as connection:
            return records(ToldNotice, connection.execute(statement).all())

    def notices(self, rollout_id: str) -> tuple[ToldNotice, ...]:
        """All notices of a rollout, oldest first."""
        with self._database.read() as connection:
            mine = select(*_NOTICE).where(_TABLE.c.rollout_id == rollout_id).order_by(_TABLE.c.id)
            return records(ToldNotice, connection.execute(mine).all())

    def notice(self, notice_id: int) -> ToldNotice:
        """One notice. Raises LedgerError when there is none of that number."""
        with self._database.read() as connection:
            row = connection.execute(select(*_NOTICE).where(_TABLE.c.id == notice_id)).first()
        if row is None:
            raise _unknown(notice_id)
        return record(ToldNotice, row)

    def deliveries(self, notice_id: int) -> tuple[QueuedDelivery, ...]:
        """What became of a notice on each of its channels, in the order in which they were entered."""
        with self._database.read() as connection:
            mine = select(*_DELIVERY).where(_QUEUE.c.notice_id == notice_id).order_by(_QUEUE.c.id)
            return records(QueuedDelivery, connection.execute(mine).all())

    def take_due_deliveries(self, now: datetime, *, limit: int = 24) -> tuple[QueuedDelivery, ...]:
        """Deliveries that were lost, or whose sender died; held by the caller, who can try so many while it holds them."""
        due = and_(schema.is_due, _QUEUE.c.due_at <= now)
        with self._database.read() as connection:
            if connection.execute(select(_QUEUE.c.id).where(due).limit(1)).first() is None:
                return ()
        with self._database.write(now) as tx:
            wanted = select(*_DELIVERY).where(due).order_by(_QUEUE.c.due_at).limit(limit).with_for_update(skip_locked=True)
            found = records(QueuedDelivery, tx.execute(wanted).all())
            mine = _QUEUE.c.id.in_([one.id for one in found])
            tx.execute(update(_QUEUE).where(mine).values(due_at=tx.now + HELD))
            return found

    def settle_delivery(
        self, delivery_id: int, *, delivered: bool, reason: str, tries: int, now: datetime, due_at: datetime | None = None
    ) -> None:
        """Say how it went. Undelivered it is due again at `due_at`; without one it is given up for `reason`."""
        values = {
            "delivered_at": now if delivered else None,
            "due_at": None if delivered else due_at,
            "reason": "" if delivered else reason,
            "tries": _QUEUE.c.tries + tries,
        }
        open_ = and_(_QUEUE.c.id == delivery_id, _QUEUE.c.delivered_at.is_(None))
        with self._database.write(now) as tx:
            tx.execute(update(_QUEUE).where(open_).values(values))


def _settling(notice: ToldNotice, settle: timedelta, now: datetime) -> bool:
    return notice.ended_at is None and now - notice.told_at < settle


def _in_hand(notice: ToldNotice) -> bool:
    return notice.severity == "page" and notice.ended_at is None and notice.acknowledged_at is not None


def _queued(tx: Transaction, notice_id: int, channels: Sequence[str], what: DeliveryKind) -> tuple[QueuedDelivery, ...]:
    rows = [
        {
            "notice_id": notice_id,
            "channel": channel,
            "what": what,
            "created_at": tx.now,
            "due_at": tx.now + HELD,
            "tries": 0,
            "reason": "",
        }
        for channel in dict.fromkeys(channels)
    ]
    made = [tx.execute(insert(_QUEUE).values(row).returning(*_DELIVERY)).one() for row in rows]
    return records(QueuedDelivery, made)


def _told_channels(tx: Transaction, notice_id: int) -> list[str]:
    mine = select(_QUEUE.c.channel).where(_QUEUE.c.notice_id == notice_id).order_by(_QUEUE.c.id)
    return list(dict.fromkeys(row.channel for row in tx.execute(mine)))


def _changed(tx: Transaction, notice_id: int, **values: object) -> ToldNotice:
    changed = update(_TABLE).where(_TABLE.c.id == notice_id).values(**values)
    return record(ToldNotice, tx.execute(changed.returning(*_NOTICE)).one())


def _require(tx: Transaction, notice_id: int) -> ToldNotice:
    row = tx.one(select(*_NOTICE).where(_TABLE.c.id == notice_id))
    if row is None:
        raise _unknown(notice_id)
    return record(ToldNotice, row)


def _unknown(notice_id: int) -> LedgerError:
    return LedgerError(f"the ledger has no notice {notice_id}; `chrysalis notices` lists the open pages")
