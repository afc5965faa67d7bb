"""A PostgreSQL for the session, and a fresh database in it for each test."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.metrics import servers
from tests.metrics.servers import running_postgres


@pytest.fixture(scope="package")
def postgres_server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    name = f"t_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield postgres_server.replace("/postgres?", f"/{name}?")
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with servers.closed_port() as port:
        yield port
