"""The schema is brought up to date once, whoever comes first, and running rollouts go on across it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from chrysalis.errors import LedgerError
from chrysalis.ledger import Ledger, migrate, schema
from chrysalis.ledger.database import Database
from tests.ledger.conftest import named, run_sql
from tests.ledger.past import write_as_version_0001
from tests.ledger.samples import LATER, started


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database in which nothing has been made yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'folder' / 'ledger.db'}"
        return
    admin, name = request.getfixturevalue("postgres_admin"), f"t_{uuid4().hex}"
    run_sql(admin, f"CREATE DATABASE {name}")
    yield named(admin, name)
    run_sql(admin, f"DROP DATABASE {name} WITH (FORCE)")


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(ledger: Ledger) -> None:
    with ledger._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, schema.metadata) == []


def test_the_latest_migration_is_the_one_that_the_code_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate._FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_many_that_open_a_new_ledger_at_once_all_find_it_whole(empty_url: str) -> None:
    def open_and_start(n: int) -> str:
        with Ledger.open(empty_url) as ledger:
            return started(ledger, service=f"s{n}")[0]

    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(open_and_start, range(6)))
    assert sorted(ids) == [f"crystal-{n}" for n in range(1, 7)]


def test_a_rollout_begun_on_the_previous_schema_goes_on(empty_url: str) -> None:
    database = Database(empty_url, patience_s=5)
    migrate.bring_up_to_date(database, to="0001")
    write_as_version_0001(database)
    database.close()
    with Ledger.open(empty_url) as ledger:
        ledger.begin_step("crystal-1", 3, step_id="s.10", kind="gate", detail={}, now=LATER)
        (wait,) = ledger.waits("crystal-1")
        assert ledger.tick_wait(wait.id, 5, observed=None, now=LATER).watched_s == 15
        assert ledger.get("crystal-1").token == 3
        first, *_ = entries = ledger.audit()
        assert first.origin is None
        assert entries[-1].origin is not None
        assert ledger.verify_audit() == []


def test_a_ledger_from_a_newer_version_is_refused(url: str) -> None:
    with Ledger.open(url) as ledger, ledger._database.exclusive() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"is at revision 9999, this version knows up to .* a newer Chrysalis wrote it"):
        Ledger.open(url)


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    database = Database(empty_url, patience_s=5)
    with database.exclusive() as connection:
        connection.execute(text("CREATE TABLE waits (in_the_way INTEGER)"))
    with pytest.raises(LedgerError):
        Ledger.open(empty_url)
    with database.exclusive() as connection:
        connection.execute(text("DROP TABLE waits"))
    Ledger.open(empty_url).close()
    database.close()
