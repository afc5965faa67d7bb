"""New data over a way back: exported, the database put back, brought in again; nothing is lost without being told."""

import json
from pathlib import Path

import psycopg
import pytest

from chrysalis.clock import utc_now
from chrysalis.effects.database.backups import take_backup
from chrysalis.effects.database.read_only import is_read_only, set_read_only
from chrysalis.effects.database.restores import restore_backup
from chrysalis.effects.database.transfer import export_since, import_compatible
from chrysalis.errors import StepFailed
from tests.effects.database.conftest import Shop


def put_back(shop: Shop) -> None:
    backup = next(iter(sorted((shop.folder / "backups").iterdir())))
    from chrysalis.effects.database.backups import read_backup

    restore_backup(shop.url, read_backup(backup), key="rollback.1", programs=shop.server.programs)


@pytest.fixture
def since(shop: Shop) -> object:
    """A backup is taken; what comes later is new."""
    take_backup(
        shop.url, shop.folder / "backups", method="dump", made_for="a/b", programs=shop.server.programs, now=utc_now()
    )
    return shop.now()


def test_new_rows_survive_the_way_back(shop: Shop, since: object) -> None:
    """Old ones are not exported; a column that the older version lacks is named."""
    shop.run("ALTER TABLE orders ADD COLUMN gift boolean DEFAULT true")
    shop.order("new")
    exported = export_since(shop.url, shop.folder / "export", since=since)  # type: ignore[arg-type]
    assert exported.rows == {"public.orders": 1}
    assert exported.left_out == ("public.prices",)
    put_back(shop)
    assert shop.names() == ["tea", "cake"]
    imported = import_compatible(shop.url, exported.folder)
    assert shop.names() == ["tea", "cake", "new"]
    assert (imported.added, imported.present) == ({"public.orders": 1}, {"public.orders": 0})
    assert imported.incompatible == {"public.orders": "column gift of 1 rows: no such column now"}


def test_repeated_it_adds_nothing_twice_and_new_numbers_stay_new(shop: Shop, since: object) -> None:
    shop.order("new")
    exported = export_since(shop.url, shop.folder / "export", since=since)  # type: ignore[arg-type]
    put_back(shop)
    import_compatible(shop.url, exported.folder)
    again = import_compatible(shop.url, exported.folder)
    assert (again.added, again.present, again.conflicting) == ({"public.orders": 0}, {"public.orders": 1}, {})
    shop.order("next")
    assert shop.names() == ["tea", "cake", "new", "next"]


def test_a_key_that_was_given_away_meanwhile_is_told(shop: Shop, since: object) -> None:
    """The older version wrote a row under the same number: neither is overwritten, and somebody learns of it."""
    shop.order("new")
    exported = export_since(shop.url, shop.folder / "export", since=since)  # type: ignore[arg-type]
    put_back(shop)
    shop.order("of the old version")
    imported = import_compatible(shop.url, exported.folder)
    assert imported.conflicting == {"public.orders": 1}
    assert shop.names() == ["tea", "cake", "of the old version"]


def test_a_table_that_is_gone_and_a_column_that_is_wanted(shop: Shop, since: object) -> None:
    """Both stay in the export."""
    shop.run("CREATE TABLE gifts (id int PRIMARY KEY, created_at timestamptz DEFAULT now()); INSERT INTO gifts VALUES (1)")
    shop.order("new")
    exported = export_since(shop.url, shop.folder / "export", since=since)  # type: ignore[arg-type]
    put_back(shop)
    shop.run(
        "ALTER TABLE orders ADD COLUMN till int; UPDATE orders SET till = 1; ALTER TABLE orders ALTER till SET NOT NULL"
    )
    imported = import_compatible(shop.url, exported.folder)
    assert imported.incompatible == {
        "public.gifts": "1 rows: no such table now",
        "public.orders": "1 rows: the table wants till, which they do not have",
    }
    assert imported.added == {}


def test_a_changed_export_is_refused_as_a_whole(shop: Shop, since: object) -> None:
    shop.order("new")
    exported = export_since(shop.url, shop.folder / "export", since=since)  # type: ignore[arg-type]
    file = exported.folder / "public.orders.jsonl"
    row = json.loads(file.read_text())
    file.write_text(json.dumps({**row, "name": "forged"}) + "\n")
    put_back(shop)
    with pytest.raises(StepFailed, match=r"export of public\.orders: its checksum"):
        import_compatible(shop.url, exported.folder)
    assert shop.names() == ["tea", "cake"]


def test_the_named_time_column_must_be_one(shop: Shop, since: object, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"column cents is integer, expected a timestamp"):
        export_since(shop.url, tmp_path / "e", since=since, columns={"prices": "cents"})  # type: ignore[arg-type]


def test_read_only_ends_the_writers_and_reads_back(shop: Shop) -> None:
    """A session that was open before cannot write any more either; switched off, all is as before."""
    with psycopg.connect(shop.url, autocommit=True) as writer:
        writer.execute("SELECT 1")
        assert set_read_only(shop.url, on=True) is False
        with pytest.raises(psycopg.Error):
            writer.execute("INSERT INTO orders (name) VALUES ('x')")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        shop.order("refused")
    assert shop.names() == ["tea", "cake"]
    assert set_read_only(shop.url, on=False) is True
    assert not is_read_only(shop.url)
    shop.order("welcome")
