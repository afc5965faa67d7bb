"""One holder at a time, a higher token for each, and signs of life."""

from datetime import timedelta

import pytest

from chrysalis.errors import LedgerError, StaleToken
from chrysalis.ledger import Lease, Ledger
from tests.ledger.samples import NOW


def acquire(ledger: Ledger, holder: str, after_s: float = 0) -> Lease | None:
    return ledger.acquire_lease("watch", holder, ttl_s=10, now=NOW + timedelta(seconds=after_s))


def held(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_held_lease_is_refused_until_it_expires(ledger: Ledger) -> None:
    first = held(acquire(ledger, "a"))
    assert first == Lease("watch", "a", 1, NOW, NOW + timedelta(seconds=10))
    assert acquire(ledger, "b", 9.999) is None
    second = held(acquire(ledger, "b", 10))
    assert (second.holder, second.token) == ("b", 2)
    assert ledger.lease("watch") == second


def test_the_holder_extends_its_own_and_keeps_its_token(ledger: Ledger) -> None:
    acquire(ledger, "a")
    assert held(acquire(ledger, "a", 5)).token == 1
    assert acquire(ledger, "b", 12) is None


def test_a_holder_that_slept_through_its_end_gets_a_new_token(ledger: Ledger) -> None:
    old = held(acquire(ledger, "a"))
    assert held(acquire(ledger, "a", 20)).token == 2
    with pytest.raises(StaleToken):
        ledger.renew_lease(old, ttl_s=10, now=NOW)


def test_renewing_moves_the_end(ledger: Ledger) -> None:
    lease = held(acquire(ledger, "a"))
    renewed = ledger.renew_lease(lease, ttl_s=10, now=NOW + timedelta(seconds=9))
    assert renewed.expires_at == NOW + timedelta(seconds=19)
    assert acquire(ledger, "b", 18) is None


def test_a_released_lease_is_free_and_cannot_be_renewed(ledger: Ledger) -> None:
    lease = held(acquire(ledger, "a"))
    for _ in range(2):
        ledger.release_lease(lease, now=NOW)
    with pytest.raises(StaleToken, match="it was given back"):
        ledger.renew_lease(lease, ttl_s=10, now=NOW)
    assert held(acquire(ledger, "b")).token == 2


def test_releasing_what_somebody_else_took_leaves_it_to_them(ledger: Ledger) -> None:
    old = held(acquire(ledger, "a"))
    new = held(acquire(ledger, "b", 10))
    ledger.release_lease(old, now=NOW)
    assert ledger.lease("watch") == new


def test_a_lease_nobody_held_is_none_and_cannot_be_renewed(ledger: Ledger) -> None:
    assert ledger.lease("watch") is None
    with pytest.raises(StaleToken, match="not in the ledger"):
        ledger.renew_lease(Lease("watch", "a", 1, NOW, NOW), ttl_s=1, now=NOW)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan")])
def test_a_lease_that_would_not_last_is_refused(ledger: Ledger, ttl_s: float) -> None:
    with pytest.raises(LedgerError, match="ttl_s"):
        ledger.acquire_lease("watch", "a", ttl_s=ttl_s, now=NOW)


def test_the_last_beat_stands(ledger: Ledger) -> None:
    assert ledger.last_beat("watch") is None
    for second in (0, 1):
        ledger.beat("watch", detail={"second": second}, now=NOW + timedelta(seconds=second))
    beat = ledger.last_beat("watch")
    assert beat is not None
    assert (beat.at, beat.detail) == (NOW + timedelta(seconds=1), {"second": 1})
