"""Feature flags in a real PostgreSQL table, and a share of the users kept in one of them."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.errors import StaleToken, TargetUnavailable, WriteRefused
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.share import ShareRouter, bucket
from chrysalis.targets.sql_flags import SqlFlagsSwitchboard
from tests.effects.conftest import database_url, postgres_server

__all__ = ["database_url", "postgres_server"]


@pytest.fixture
def flags(database_url: str) -> SqlFlagsSwitchboard:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE feature_flags (name text PRIMARY KEY, value jsonb NOT NULL)")
        connection.execute("""INSERT INTO feature_flags VALUES ('mode', '"legacy"'), ('limits', '[1, 2]')""")
    return SqlFlagsSwitchboard(database_url)


def stamp(token: int) -> Stamp:
    return Stamp(token, "memory-1", "canary.04")


def test_values_are_written_and_read_back_with_their_types(flags: SqlFlagsSwitchboard) -> None:
    """Text, switches, numbers and nothing; others stay."""
    changes = {"mode": 'it\'s "new"', "on": True, "percent": 12.5, "nothing": None}
    found = flags.write(changes, stamp(1))
    assert {name: found[name] for name in changes} == changes
    assert (found["limits"], found["stamp"]) == ("[1, 2]", str(stamp(1)))


def test_a_stale_token_changes_nothing(flags: SqlFlagsSwitchboard) -> None:
    flags.write({"mode": "new"}, stamp(7))
    with pytest.raises(StaleToken, match="older than 7"):
        flags.write({"mode": "newer"}, stamp(6))
    assert flags.read()["mode"] == "new"


def test_many_at_once_the_newest_token_wins(flags: SqlFlagsSwitchboard) -> None:
    """Whatever the order: the database itself decides."""

    def write(token: int) -> None:
        try:
            flags.write({"mode": f"by {token}"}, stamp(token))
        except StaleToken:
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [5, 1, 8, 3, 7, 2, 6, 4]))
    assert (flags.read()["mode"], flags.read()["stamp"]) == ("by 8", str(stamp(8)))


def test_no_table_and_no_database(flags: SqlFlagsSwitchboard, database_url: str) -> None:
    with pytest.raises(TargetUnavailable, match="table flaggs cannot be read"):
        SqlFlagsSwitchboard(database_url, "flaggs").read()
    with pytest.raises(WriteRefused, match="nothing changed"):
        SqlFlagsSwitchboard(database_url, "flaggs").write({"a": 1}, stamp(1))
    with pytest.raises(TargetUnavailable, match="cannot be reached"):
        SqlFlagsSwitchboard(database_url.replace("host=", "host=/nowhere")).read()


def test_a_name_is_data_and_never_a_statement(flags: SqlFlagsSwitchboard) -> None:
    name = "x'); DROP TABLE feature_flags; --"
    assert flags.write({name: "y'"}, stamp(1))[name] == "y'"


def test_a_share_of_the_users(flags: SqlFlagsSwitchboard) -> None:
    """Not there yet it is 0; what is no percentage is not guessed at."""
    router = ShareRouter(flags, "rollout_percent")
    assert router.read() == Split(0, None)
    assert router.write(30, stamp(2)) == Split(30, stamp(2))
    with pytest.raises(WriteRefused):
        router.write(101, stamp(3))
    flags.write({"rollout_percent": "many"}, stamp(3))
    with pytest.raises(TargetUnavailable, match="'many', expected a percentage"):
        router.read()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=50, unique=True), st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_stays_in_when_the_share_grows(users: list[str], one: int, other: int) -> None:
    small, large = sorted((one, other))
    inside = {user for user in users if bucket(user) < small}
    assert inside <= {user for user in users if bucket(user) < large}


def test_a_share_is_about_that_share() -> None:
    """Of ten thousand users, within two points."""
    users = [f"user-{number}" for number in range(10_000)]
    for percent in (5, 30, 75):
        assert abs(sum(bucket(user) < percent for user in users) / 100 - percent) < 2
