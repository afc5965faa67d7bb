"""Every entry says by which door, on which machine and in which process it was made."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor

from chrysalis.ledger import Ledger
from chrysalis.ledger.origin import door, here
from tests.ledger.samples import NOW, started


def test_an_entry_says_where_it_comes_from(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    with door("ui"):
        ledger.request(rollout_id, "pause", by="kim", reason="", now=NOW)
    ledger.request(rollout_id, "abort", by="kim", reason="", now=NOW)
    origins = [entry.origin or "" for entry in ledger.audit(subject=rollout_id)]
    assert all(origin.endswith(f"@{socket.gethostname()}:{os.getpid()}") for origin in origins)
    assert [origin.startswith("ui ") for origin in origins[-2:]] == [True, False]


def test_a_door_is_of_one_thread_only() -> None:
    with door("ui"), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(here).result().startswith("ui ")
        assert here().startswith("ui ")
