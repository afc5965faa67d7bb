"""The disk under the ledger is full: it holds, a breach is made safe, and what was done is journaled once there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerUnavailable
from chrysalis.sandbox.sandbox import Sandbox
from tests.outages.conftest import at_home
from tests.outages.scene import Scene, Watch, begin, full, small_disk, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size="6m") as folder:
        yield folder


@pytest.fixture
def home(disk: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The ledger, the spool and the notices on the small disk."""
    yield from at_home(sandbox, disk / "home", monkeypatch)


def fill_up(scene: Scene) -> None:
    """Write until there is no room left in the ledger's own file either, at most so often."""
    for number in range(2000):
        scene.ledger.record_baseline(scene.rollout_id, f"b{number}", metric="m", samples=["x" * 4000], now=utc_now())


def test_a_breach_on_a_full_disk_is_made_safe_and_journaled_when_there_is_room(
    sandbox: Sandbox, home: Path, disk: Path
) -> None:
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        with full(disk):
            with pytest.raises(LedgerUnavailable, match="disk is full"):
                fill_up(scene)
            with pytest.raises(LedgerUnavailable):
                scene.raise_weight()
            assert scene.weight == 30
            sandbox.fault("canary", error_rate=0.6)
            until(lambda: scene.weight == 0, "the watch to take the traffic off")
        until(lambda: scene.actions, "the action in the journal")
    (action,) = scene.actions
    assert (action.before, action.after) == ({"traffic": 30}, {"traffic": 0})
    assert scene.asked == ["roll_back"]
    assert scene.ledger.verify_audit() == []
