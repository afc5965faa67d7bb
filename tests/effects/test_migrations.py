"""Migrations against a real PostgreSQL: forward, back, repeated, refused, interrupted, at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chrysalis.effects.migrations import LOCK_KEY, current_version, migrate_down, migrate_up, plan_migrations, status
from chrysalis.errors import StepFailed, TargetUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path, "0001_users", "CREATE TABLE users (id int);\nINSERT INTO users VALUES (1);", "DROP TABLE users;")
    add(tmp_path, "0002_names", "ALTER TABLE users ADD name text DEFAULT '100 %s :x';", "ALTER TABLE users DROP name;")
    return tmp_path


def add(folder: Path, name: str, up: str, down: str) -> None:
    (folder / f"{name}.up.sql").write_text(up)
    (folder / f"{name}.down.sql").write_text(down)


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


def names(migrations: list[Any]) -> list[str]:
    return [one.name for one in migrations]


def test_forward_applies_all_and_repeating_it_nothing(database_url: str, folder: Path) -> None:
    assert current_version(database_url) == 0
    assert names(plan_migrations(database_url, folder)) == ["0001_users", "0002_names"]
    assert names(migrate_up(database_url, folder)) == ["0001_users", "0002_names"]
    assert rows(database_url, "SELECT id, name FROM users") == [(1, "100 %s :x")]
    assert (migrate_up(database_url, folder), plan_migrations(database_url, folder)) == ([], [])
    assert current_version(database_url) == 2


def test_back_reverts_newest_first_and_repeating_it_nothing(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder)
    assert names(migrate_down(database_url, folder, to=0)) == ["0002_names", "0001_users"]
    assert migrate_down(database_url, folder, to=0) == []
    assert rows(database_url, "SELECT to_regclass('users')") == [(None,)]
    assert names(migrate_up(database_url, folder)) == ["0001_users", "0002_names"]


def test_to_says_how_far(database_url: str, folder: Path) -> None:
    assert names(migrate_up(database_url, folder, to=1)) == ["0001_users"]
    assert names(migrate_up(database_url, folder, to=2)) == ["0002_names"]
    assert migrate_up(database_url, folder, to=1) == []
    assert names(migrate_down(database_url, folder, to=1)) == ["0002_names"]
    with pytest.raises(StepFailed, match="asked for version 7, the newest file is 2"):
        migrate_up(database_url, folder, to=7)


def test_an_error_leaves_nothing_of_its_migration_and_all_of_those_before(database_url: str, folder: Path) -> None:
    add(folder, "0003_bad", "CREATE TABLE half (id int);\n\nSELECT * FROM nowhere;", "DROP TABLE half;")
    with pytest.raises(
        StepFailed, match='0003_bad forward, line 3: relation "nowhere" does not exist; nothing of it was applied'
    ):
        migrate_up(database_url, folder)
    assert current_version(database_url) == 2
    assert rows(database_url, "SELECT to_regclass('half')") == [(None,)]


def test_status_shows_every_migration(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder)
    add(folder, "0003_more", "SELECT 1;", "SELECT 1;")
    add(folder, "0002_names", "SELECT 2;", "SELECT 1;")
    assert [(one.version, one.state) for one in status(database_url, folder)] == [
        (1, "applied"),
        (2, "changed"),
        (3, "pending"),
    ]


def test_a_changed_file_is_refused(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder)
    add(folder, "0001_users", "CREATE TABLE users (id bigint);", "DROP TABLE users;")
    with pytest.raises(
        StepFailed, match=r"0001_users.up.sql was changed after it was applied \(checksum \w{12}, applied was"
    ):
        migrate_up(database_url, folder)


def test_a_record_without_a_file_is_refused_both_ways(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder)
    for file in folder.glob("0002*"):
        file.unlink()
    with pytest.raises(StepFailed, match="0002_names is applied, but has no file here"):
        migrate_up(database_url, folder)
    with pytest.raises(StepFailed, match="0002_names applied, but not in"):
        migrate_down(database_url, folder, to=0)


def test_a_gap_in_the_record_is_refused(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder)
    rows(database_url, "DELETE FROM schema_migrations WHERE version = 1 RETURNING 1")
    with pytest.raises(StepFailed, match="0001 is not applied, though 0002 is"):
        migrate_up(database_url, folder)


def test_what_cannot_run_in_a_transaction_runs_outside_one(database_url: str, folder: Path) -> None:
    header = "-- chrysalis: expand, no-transaction\n"
    add(
        folder,
        "0003_index",
        header + "CREATE INDEX CONCURRENTLY by_id ON users (id);",
        header + "DROP INDEX CONCURRENTLY by_id;",
    )
    assert names(migrate_up(database_url, folder))[-1] == "0003_index"
    assert names(migrate_down(database_url, folder, to=2)) == ["0003_index"]


def test_one_begun_outside_a_transaction_and_not_finished_is_refused_until_reverted(database_url: str, folder: Path) -> None:
    header = "-- chrysalis: no-transaction\n"
    bad = header + "CREATE UNIQUE INDEX CONCURRENTLY twice ON users ((1));"
    add(folder, "0003_index", bad, header + "DROP INDEX CONCURRENTLY IF EXISTS twice;")
    migrate_up(database_url, folder, to=2)
    rows(database_url, "INSERT INTO users VALUES (2) RETURNING 1")
    with pytest.raises(StepFailed, match=r"could not create unique index.*migrate down below it"):
        migrate_up(database_url, folder)
    assert [one.state for one in status(database_url, folder)] == ["applied", "applied", "begun"]
    with pytest.raises(StepFailed, match=r"0003_index was begun at .* and never finished"):
        migrate_up(database_url, folder)
    assert names(migrate_down(database_url, folder, to=2)) == ["0003_index"]
    rows(database_url, "DELETE FROM users WHERE id = 2 RETURNING 1")
    assert names(migrate_up(database_url, folder)) == ["0003_index"]


def test_two_at_once_apply_everything_once(database_url: str, folder: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: migrate_up(database_url, folder), range(2)))
    assert sorted(len(one) for one in done) == [0, 2]
    assert rows(database_url, "SELECT count(*) FROM users") == [(1,)]


def test_a_lock_held_by_another_is_not_waited_for_forever(database_url: str, folder: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(StepFailed, match=r"another migration held the lock for over 0.1 s"):
            migrate_up(database_url, folder, lock_timeout_s=0.1)


def test_a_table_that_is_in_use_makes_it_fail_instead_of_queueing(database_url: str, folder: Path) -> None:
    migrate_up(database_url, folder, to=1)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT * FROM users")
        with pytest.raises(StepFailed, match=r"0002_names forward.*lock timeout"):
            migrate_up(database_url, folder, lock_timeout_s=0.1)
    assert current_version(database_url) == 1


def test_the_table_of_another_tool_is_left_alone(database_url: str, folder: Path) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)")
    with pytest.raises(StepFailed, match="schema_migrations is another tool's"):
        migrate_up(database_url, folder)


def test_out_of_reach_is_unavailable_and_shows_no_password(closed_port: int) -> None:
    with pytest.raises(TargetUnavailable, match="cannot be reached") as refused:
        current_version(f"postgresql+psycopg://me:hunter2@127.0.0.1:{closed_port}/x")
    assert "hunter2" not in str(refused.value)
