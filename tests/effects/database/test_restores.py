"""A database goes back to a backup or to a moment, whole or not at all; what was written since is kept."""

from datetime import timedelta

import psycopg
import pytest

from chrysalis.clock import utc_now
from chrysalis.effects.database import restores
from chrysalis.effects.database.backups import Backup, Method, take_backup
from chrysalis.effects.database.restores import Restored, newest, restore_backup, restore_to
from chrysalis.errors import StepFailed
from tests.effects.database.conftest import Shop


def take(shop: Shop, method: Method = "dump", step: str = "1") -> Backup:
    programs = shop.server.programs
    return take_backup(shop.url, shop.folder, method=method, made_for=f"shop/{step}", programs=programs, now=utc_now())


def back_to(shop: Shop, backup: Backup, moment: object, key: str = "rollback.1") -> Restored:
    assert isinstance(moment, type(backup.taken_at))
    server = shop.server
    return restore_to(shop.url, backup, server.wal_archive, to=moment, key=key, programs=server.programs)


@pytest.mark.parametrize("method", ["dump", "base"])
def test_it_is_as_the_backup_holds_it(shop: Shop, method: Method) -> None:
    """Rows, schema and content; the database that served is kept under another name with all that was written since."""
    backup = take(shop, method)
    shop.order("later")
    shop.run("UPDATE prices SET cents = 1; DROP TABLE IF EXISTS nothing; ALTER TABLE prices ADD COLUMN note text")
    restored = restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
    assert shop.names() == ["tea", "cake"]
    assert shop.run("SELECT * FROM prices ORDER BY name") == [("cake", 400), ("tea", 250)]
    before = shop.url.replace(psycopg.conninfo.conninfo_to_dict(shop.url)["dbname"], restored.kept_as)
    with psycopg.connect(before) as kept:
        assert kept.execute("SELECT name FROM orders ORDER BY id").fetchall()[-1] == ("later",)


def test_a_point_in_time_between_two_writes(shop: Shop) -> None:
    """What was committed before the moment is there, what came after is not; other databases of the server stay."""
    backup = take(shop, "base")
    shop.order("before")
    moment = shop.now()
    shop.order("after")
    other = shop.url.replace(psycopg.conninfo.conninfo_to_dict(shop.url)["dbname"], "postgres")
    with psycopg.connect(other, autocommit=True) as elsewhere:
        elsewhere.execute("CREATE TABLE IF NOT EXISTS untouched (id int)")
        elsewhere.execute("INSERT INTO untouched VALUES (1)")
        restored = back_to(shop, backup, moment)
        assert shop.names() == ["tea", "cake", "before"]
        assert restored.rows == 5
        assert elsewhere.execute("SELECT count(*) FROM untouched").fetchall() == [(1,)]
        elsewhere.execute("DROP TABLE untouched")


def test_repeated_it_is_done_once(shop: Shop) -> None:
    """A worker killed after it, before its journal entry: what people wrote since then stays."""
    backup = take(shop)
    first = restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
    shop.order("after the way back")
    assert restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs).kept_as == first.kept_as
    assert shop.names()[-1] == "after the way back"


def test_killed_before_the_swap_the_old_one_serves_and_the_next_try_restores(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half restored is ever served."""
    backup = take(shop)
    shop.order("later")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restores, "_swap", killed)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
    assert shop.names() == ["tea", "cake", "later"]
    restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
    assert shop.names() == ["tea", "cake"]


def test_owner_and_settings_stay_with_the_name(shop: Shop) -> None:
    backup = take(shop)
    name = psycopg.conninfo.conninfo_to_dict(shop.url)["dbname"]
    shop.run(f"ALTER DATABASE {name} SET statement_timeout = '7s'")
    restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
    assert shop.run("SHOW statement_timeout") == [("7s",)]


def test_sessions_that_were_open_are_ended(shop: Shop) -> None:
    """They would go on writing into the database that no longer serves."""
    backup = take(shop)
    with psycopg.connect(shop.url) as session:
        session.execute("SELECT 1")
        restore_backup(shop.url, backup, key="rollback.1", programs=shop.server.programs)
        with pytest.raises(psycopg.OperationalError):
            session.execute("INSERT INTO orders (name) VALUES ('lost')")


def test_what_cannot_be_reached_is_refused_and_changes_nothing(shop: Shop) -> None:
    """A moment before the backup; no backup at all."""
    with pytest.raises(StepFailed, match="no dump or base backup"):
        newest(shop.folder)
    backup = take(shop, "base")
    with pytest.raises(StepFailed, match=r"cannot go back to .* is of"):
        back_to(shop, backup, backup.taken_at - timedelta(hours=1))
    with pytest.raises(StepFailed, match=r"of .* or before"):
        newest(shop.folder, before=backup.taken_at - timedelta(hours=1))
    assert newest(shop.folder).folder == backup.folder
    assert shop.names() == ["tea", "cake"]
