"""Back up, restore, export and import as steps of a rollout, on a real PostgreSQL that archives its log."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.workspace import open_ledger
from tests.effects.database.conftest import Shop, server, shop
from tests.stack import PLANS
from tests.tasks.stepping import Stepped

__all__ = ["server", "shop"]

QUICK = (PLANS / "quick" / "plan.yaml").read_text()
DATABASE = """
  shop: {database: {url: "${SHOP_URL}", wal_archive: "${SHOP_LOG}"}}
"""
BACK_UP = """
      - back_up: {name: dumped, target: shop}
      - back_up: {name: based, target: shop, method: base}
"""
ROLLBACK = """
    steps:
      - export_data: {target: shop}
      - restore: {target: shop, to: rollout_start, limit: 10m}
      - import_data: {target: shop}
      - restore: {name: newest, target: shop, to: latest_backup}
"""


def begin(rollout: Stepped, step_id: str) -> None:
    """The rollout's first changes: what was before them is what `rollout_start` means."""
    kind = step_id.rpartition(".")[2]
    now = datetime.now(UTC)
    open_ledger().begin_step(rollout.id, rollout.token, step_id=step_id, kind=kind, detail={}, now=now)


@pytest.fixture
def rollout(home: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Stepped:
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.setenv("SHOP_LOG", str(shop.server.wal_archive))
    monkeypatch.setenv("POSTGRES_PROGRAMS", str(shop.server.programs.folder))
    text = QUICK.replace("targets:", "targets:" + DATABASE.rstrip(), 1)
    text = text.replace("    steps:\n", "    steps:" + BACK_UP, 1)
    head, _, tail = text.partition("rollbacks:\n  full:\n")
    assert tail
    return Stepped(head + "rollbacks:\n  full:" + ROLLBACK + tail)


def test_the_data_preserving_way_back(rollout: Stepped, shop: Shop) -> None:
    """The schema goes back to before the release, the orders that came since are kept, and what does not fit is told."""
    rollout.run("based")
    begin(rollout, "some.03.set_flag")
    begin(rollout, "some.04.set_weight")
    shop.run("ALTER TABLE orders ADD COLUMN gift boolean")
    shop.order("new")
    assert "public.orders 1" in rollout.run("export_data")
    moment = rollout.run("restore")
    assert "within its limit of 10m" in moment
    assert shop.names() == ["tea", "cake"]
    assert "1 rows brought in; public.orders: column gift" in rollout.run("import_data")
    assert shop.names() == ["tea", "cake", "new"]


def test_back_to_the_newest_backup(rollout: Stepped, shop: Shop) -> None:
    """And a second restore of the same step is a restore again, not remembered as done."""
    rollout.run("dumped")
    for name in ("lost", "lost again"):
        shop.order(name)
        rollout.run("newest")
        assert shop.names() == ["tea", "cake"]
