"""A backup is made, proven, found again; one that is damaged is never used."""

from pathlib import Path

import pytest

from chrysalis.clock import utc_now
from chrysalis.effects.database.backups import Backup, Method, backups, check_stored, take_backup
from chrysalis.effects.database.programs import Programs
from chrysalis.effects.database.restores import restore_test
from chrysalis.errors import SettingsError, StepFailed, TargetUnavailable
from tests.effects.database.conftest import Shop


def take(shop: Shop, method: Method = "dump", made_for: str = "shop-1/first.01.back_up") -> Backup:
    programs = shop.server.programs
    return take_backup(shop.url, shop.folder, method=method, made_for=made_for, programs=programs, now=utc_now())


@pytest.mark.parametrize("method", ["dump", "base"])
def test_it_holds_every_table_and_a_restore_test_reads_it(shop: Shop, method: Method) -> None:
    """Rows of orders and prices; what is written afterwards is not in it."""
    backup = take(shop, method)
    shop.order("later")
    assert {table: rows for table, (rows, _) in backup.contents.items()} == {"public.orders": 2, "public.prices": 2}
    assert restore_test(shop.url, backup, programs=shop.server.programs) == 4
    assert shop.names() == ["tea", "cake", "later"]
    assert [one.folder for one in backups(shop.folder)] == [backup.folder]


def test_for_the_same_step_it_is_made_once(shop: Shop) -> None:
    """A worker killed after it and before its journal entry finds it again."""
    first = take(shop)
    shop.order("later")
    assert take(shop) == first
    assert take(shop, made_for="shop-1/second.01.back_up").rows == first.rows + 1


def test_what_a_killed_worker_left_is_no_backup(shop: Shop) -> None:
    (shop.folder / "20260101T000000Z-x.part").mkdir()
    (shop.folder / "20260101T000000Z-x.part" / "data.dump").write_bytes(b"half")
    assert backups(shop.folder) == []
    take(shop)
    assert not list(shop.folder.glob("*.part"))


def test_a_damaged_dump_is_refused(shop: Shop) -> None:
    """One bit of it."""
    backup = take(shop)
    content = bytearray(backup.data.read_bytes())
    content[len(content) // 2] ^= 1
    backup.data.write_bytes(content)
    with pytest.raises(StepFailed, match="its checksum is"):
        check_stored(backup)


def test_a_damaged_base_backup_is_refused(shop: Shop) -> None:
    backup = take(shop, "base")
    (backup.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(StepFailed, match=r"PG_VERSION has checksum"):
        check_stored(backup)


def test_a_manifest_that_cannot_be_read_says_so(shop: Shop) -> None:
    backup = take(shop)
    (backup.folder / "manifest.json").write_text("{")
    with pytest.raises(StepFailed, match="manifest cannot be read"):
        backups(shop.folder)


def test_no_database_and_no_programs(shop: Shop, tmp_path: Path) -> None:
    """Out of reach may be tried again; a missing program is a setting."""
    away = shop.url.replace("host=", "host=/nowhere")
    with pytest.raises(TargetUnavailable, match="cannot be reached"):
        take_backup(away, tmp_path, method="dump", made_for="x/y", programs=shop.server.programs, now=utc_now())
    with pytest.raises(SettingsError, match=r"pg_dump is not in .*POSTGRES_PROGRAMS"):
        take_backup(shop.url, tmp_path, method="dump", made_for="x/y", programs=Programs(tmp_path), now=utc_now())
    assert backups(tmp_path) == []
    assert not list(tmp_path.glob("*.part"))
