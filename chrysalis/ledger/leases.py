"""Who may act under a name, for how long, and who has last been alive.

A lease ends by itself when its holder stops renewing it. Its token is one higher for every new holder, so that a holder
that slept through the end of its lease is known by its old token and changes nothing. Times are the callers' own; clocks
that differ can make a lease change hands early, never make two holders pass the token's check. Renewals and heartbeats
are frequent and not in the audit.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from chrysalis.errors import LedgerError, StaleToken
from chrysalis.ledger import schema
from chrysalis.ledger.part import Part
from chrysalis.ledger.records import Beat, Details, Lease
from chrysalis.ledger.rows import columns, record
from chrysalis.ledger.transaction import Transaction

_TABLE = schema.leases
_COLUMNS = columns(_TABLE, Lease)
_BEAT = columns(schema.heartbeats, Beat)


MOST_AHEAD_S = 60.0
"""How far the clocks of machines may differ before a lease is taken for one from before the clock was set back."""


class Leases(Part):
    """Leases and heartbeats by name."""

    def acquire_lease(self, name: str, holder: str, *, ttl_s: float, now: datetime) -> Lease | None:
        """The lease, or None while somebody else holds it. `holder` names one process; the same one only extends its own."""
        _require_ttl(name, ttl_s)
        with self._database.write(now) as tx:
            until = tx.now + timedelta(seconds=ttl_s)
            fresh = {"name": name, "holder": holder, "token": 1, "acquired_at": tx.now, "expires_at": until}
            made = tx.upsert(_TABLE).values(fresh).on_conflict_do_nothing().returning(*_COLUMNS)
            if (row := tx.one(made)) is not None:
                lease = record(Lease, row)
                tx.note(holder, "lease_acquired", f"lease:{name}", {"token": lease.token, "from": None})
                return lease
            current = _read(tx, name)
            if current.holder == holder and not current.expired(tx.now):
                return _write(tx, name, expires_at=max(until, current.expires_at))
            if current.expires_at > until + timedelta(seconds=MOST_AHEAD_S):
                # Nobody holds a lease for so long: the clock was set back. A holder that lives renews it; else it ends.
                _write(tx, name, expires_at=until)
            if not current.expired(tx.now):
                return None
            lease = _write(tx, name, holder=holder, token=current.token + 1, acquired_at=tx.now, expires_at=until)
            tx.note(holder, "lease_acquired", f"lease:{name}", {"token": lease.token, "from": current.holder})
            return lease

    def renew_lease(self, lease: Lease, *, ttl_s: float, now: datetime) -> Lease:
        """Hold it longer. Raises StaleToken when somebody else took it or it was given back: stop acting."""
        _require_ttl(lease.name, ttl_s)
        with self._database.write(now) as tx:
            require_held(tx, lease)
            return _write(tx, lease.name, expires_at=tx.now + timedelta(seconds=ttl_s))

    def release_lease(self, lease: Lease, *, now: datetime) -> None:
        """Give it back before its time; one that somebody else took meanwhile is left alone."""
        with self._database.write(now) as tx:
            current = _find(tx, lease.name)
            if current is None or current.token != lease.token or current.expires_at == current.acquired_at:
                return
            _write(tx, lease.name, expires_at=current.acquired_at)
            tx.note(lease.holder, "lease_released", f"lease:{lease.name}", {"token": lease.token})

    def lease(self, name: str) -> Lease | None:
        """The lease as it stands, expired or not; None if nobody ever held it."""
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(_TABLE.c.name == name)).first()
        return None if row is None else record(Lease, row)

    def beat(self, name: str, *, detail: Details, now: datetime) -> None:
        """Say that `name` is alive."""
        values = {"at": now, "detail": detail}
        with self._database.write(now) as tx:
            made = tx.upsert(schema.heartbeats).values(name=name, **values)
            tx.execute(made.on_conflict_do_update(index_elements=["name"], set_=values))

    def last_beat(self, name: str) -> Beat | None:
        """The last sign of life; None if there never was one."""
        with self._database.read() as connection:
            row = connection.execute(select(*_BEAT).where(schema.heartbeats.c.name == name)).first()
        return None if row is None else record(Beat, row)


def require_held(tx: Transaction, lease: Lease) -> None:
    """Keep the lease from changing hands until `tx` ends. Raises StaleToken when it already did."""
    current = _find(tx, lease.name)
    if current is None:
        raise StaleToken(f"lease {lease.name}: token {lease.token} is not in the ledger; acquire the lease again")
    released = current.expires_at == current.acquired_at
    if current.token != lease.token or released:
        taken = "it was given back" if released else f"{current.holder} holds {current.token}"
        raise StaleToken(f"lease {lease.name}: token {lease.token} of {lease.holder} is stale, {taken}; stop acting")


def _find(tx: Transaction, name: str) -> Lease | None:
    row = tx.one(select(*_COLUMNS).where(_TABLE.c.name == name).with_for_update())
    return None if row is None else record(Lease, row)


def _read(tx: Transaction, name: str) -> Lease:
    lease = _find(tx, name)
    if lease is None:
        raise LedgerError(f"lease {name}: it vanished while it was being taken; leases are never deleted, ask who did")
    return lease


def _write(tx: Transaction, name: str, **values: object) -> Lease:
    changed = update(_TABLE).where(_TABLE.c.name == name).values(**values).returning(*_COLUMNS)
    return record(Lease, tx.execute(changed).one())


def _require_ttl(name: str, ttl_s: float) -> None:
    if not ttl_s > 0:
        raise LedgerError(f"lease {name}: ttl_s is {ttl_s}; it is above 0")
