"""A PostgreSQL that archives its log, as the sandbox runs it, and a database with two tables in it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from chrysalis.effects.database.own_server import server_user
from chrysalis.effects.database.programs import Programs
from chrysalis.sandbox import postgres
from chrysalis.sandbox.layout import Layout

START_S = 60.0


@dataclass(frozen=True)
class Server:
    url: str
    wal_archive: Path
    programs: Programs


@dataclass(frozen=True)
class Shop:
    """A database with orders, and what tests do to it."""

    url: str
    server: Server
    folder: Path

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def order(self, *names: str) -> None:
        for name in names:
            self.run("INSERT INTO orders (name) VALUES (%s)", name)

    def names(self) -> list[str]:
        return [row[0] for row in self.run("SELECT name FROM orders ORDER BY id")]

    def now(self) -> datetime:
        """The database's own clock."""
        moment: datetime = self.run("SELECT clock_timestamp()")[0][0]
        return moment.astimezone(UTC)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    layout = Layout(tmp_path_factory.mktemp("archiving"))
    try:
        postgres.make_data_folder(layout)
        with (layout.folder / "postgres.log").open("wb") as log:
            process = subprocess.Popen(
                postgres.command(layout, max_connections=40),
                cwd=layout.postgres_data,
                user=server_user(),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
        try:
            until(lambda: postgres.answers(layout))
            yield Server(postgres.uri(layout), layout.wal_archive, Programs(postgres.programs()))
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
    finally:
        postgres.remove_folders(layout)


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    name = f"shop_{uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    shop = Shop(server.url.replace("/postgres?", f"/{name}?"), server, tmp_path)
    shop.run(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, name text NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    shop.run("CREATE TABLE prices (name text PRIMARY KEY, cents int NOT NULL)")
    shop.run("INSERT INTO prices VALUES ('tea', 250), ('cake', 400)")
    shop.order("tea", "cake")
    yield shop
    with psycopg.connect(server.url, autocommit=True) as admin:
        for (database,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",)).fetchall():
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


def until(reached: Callable[[], bool], timeout_s: float = START_S) -> None:
    ends = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < ends, f"not within {timeout_s:g} s"
        time.sleep(0.05)
