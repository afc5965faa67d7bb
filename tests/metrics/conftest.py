"""What these tests measure: a Prometheus with known series, a PostgreSQL with a known table."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.metrics import servers
from tests.metrics.servers import Asked, Reply, running_postgres, running_prometheus, serving

EXPOSED = b"""
# TYPE coherence_ratio gauge
coherence_ratio{side="canary",service="maia"} 0.75
coherence_ratio{side="stable",service="maia"} 0.5
coherence_ratio{side="canary",service="iris"} 0.25
# TYPE undefined_ratio gauge
undefined_ratio NaN
# TYPE ungrouped gauge
ungrouped 1
"""


@pytest.fixture(scope="package")
def prometheus_url() -> Iterator[str]:
    def metrics(_: Asked) -> Reply:
        return Reply(body=EXPOSED, headers={"Content-Type": "text/plain; version=0.0.4"})

    with serving(metrics) as exporter, running_prometheus(exporter.url) as url:
        yield url


@pytest.fixture(scope="package")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE health (at timestamptz, side text, ratio double precision, weather text)")
            connection.execute(
                "INSERT INTO health VALUES"
                " (to_timestamp(100), 'canary', 0.5, 'flowing'),"
                " (to_timestamp(110), 'canary', NULL, NULL),"
                " (to_timestamp(120), 'canary', 0.7, 'still'),"
                " (to_timestamp(120), 'stable', 0.1, 'stormy')"
            )
        yield url


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with servers.closed_port() as port:
        yield port
