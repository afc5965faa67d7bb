"""A real Prometheus that scrapes known series five times a second, and a real PostgreSQL with a history."""

from collections.abc import Iterator

import psycopg
import pytest

from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.metrics.sql import SqlSource
from tests.metrics.servers import SCRAPE_INTERVAL_S, Asked, Reply, running_postgres, running_prometheus, serving, until

EXPOSED = b"""
requests_total{side="canary"} 1000
requests_total{side="stable"} 1000
errors_total{side="stable"} 3
latency{side="canary"} 0.35
latency{side="stable"} 0.4
share{side="canary"} 0.25
share{side="stable"} 37
undefined NaN
only_stable{side="stable"} 1
minus -5
"""


@pytest.fixture(scope="package")
def urls() -> Iterator[dict[str, str]]:
    """Where they are."""

    def exposed(_: Asked) -> Reply:
        return Reply(body=EXPOSED, headers={"Content-Type": "text/plain; version=0.0.4"})

    with serving(exposed) as exporter, running_prometheus(exporter.url) as url, running_postgres() as database:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("CREATE TABLE health (at timestamptz, ratio double precision)")
            connection.execute(
                "INSERT INTO health SELECT now() - interval '5 minutes' * step, 0.5 FROM generate_series(0, 24) AS step"
            )
        until(lambda: scraped(url) >= 10, "ten scrapes")
        yield {"prometheus": url, "database": database}


@pytest.fixture(scope="package")
def sources(urls: dict[str, str]) -> Iterator[dict[str, MetricSource]]:
    prometheus = PrometheusSource(urls["prometheus"], scrape_interval_s=SCRAPE_INTERVAL_S)
    sql = SqlSource(urls["database"])
    try:
        yield {"prometheus": prometheus, "database": sql}
    finally:
        prometheus.close()
        sql.close()


def scraped(url: str) -> float:
    """How often Prometheus has read the exporter."""
    import httpx

    found = httpx.get(f"{url}/api/v1/query", params={"query": "max(count_over_time(minus[1m]))"}).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0
