"""The watch's second pair of eyes, by itself; what it does during an outage is in tests/outages/test_ledger_down.py."""

import threading
from datetime import datetime
from pathlib import Path

import pytest

from tasks.last_known import LastKnown
from tasks.spool import Spool
from tasks.standby import Standby


def test_it_looks_again_after_a_look_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, again = [], threading.Event()

    def look(_: Standby, now: datetime) -> None:
        looks.append(now)
        if len(looks) == 1:
            raise RuntimeError("a fault of ours")
        again.set()

    monkeypatch.setattr(Standby, "due", True)
    monkeypatch.setattr(Standby, "look", look)
    with Standby(Spool(tmp_path / "spool"), LastKnown(tmp_path / "known"), 0.01).on_duty():
        assert again.wait(30)
