"""What one version says of itself: the metrics that Prometheus scrapes, under the names the Crystal document uses.

Side, version and service are labels that Prometheus adds when it scrapes, so they are not repeated here.
"""

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from chrysalis.sandbox.service.faults import WEATHERS, Faults

BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.9, 1.0, 1.5, 2.0, 5.0, 10.0),
)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEGABYTE = 1_000_000


class Telemetry:
    """The metrics of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        self.requests = Counter("requests", "Requests answered, by status code.", ["code"], registry=registry)
        self.errors = Counter("errors", "Requests answered with 5xx.", registry=registry)
        self.response_time = Histogram(
            "response_time_seconds", "Time to answer a request.", buckets=BUCKETS_S, registry=registry
        )
        self.serial = Counter("serial_seconds", "Time the pieces of work took, added up.", registry=registry)
        self.parallel = Counter("parallel_seconds", "Time the requests waited for their pieces of work.", registry=registry)
        self.coherence = Gauge("coherence_ratio", "Coherence, 0 to 1.", registry=registry)
        self.entropy = Gauge("symbolic_entropy", "Symbolic entropy, 0 to 1.", registry=registry)
        self.aether = Gauge("aether_weight", "Aether weight in use, 0 to 1.", registry=registry)
        self.crystal = Gauge("crystal_weight", "Crystal weight in use, 0 to 1.", registry=registry)
        self.weather = Gauge(
            "field_weather", "1 for the weather there is, 0 for the others.", ["weather"], registry=registry
        )
        self.emergence = Counter("emergence_events", "Emergence events.", registry=registry)
        self.memory = Gauge("memory_bytes", "Resident memory.", registry=registry)
        self.connections_used = Gauge("db_connections_used", "Connections to the database in use.", registry=registry)
        self.connections_max = Gauge("db_connections_max", "Connections that the database allows.", registry=registry)
        self.rows_lost = Counter("db_rows_lost", "Rows given up while the database was away.", registry=registry)
        for code in ("200", "500"):
            self.requests.labels(code)
        self._leaked_bytes = 0.0
        self._last_s = time.monotonic()

    def answered(self, code: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(str(code)).inc()
        self.response_time.observe(seconds)
        if code >= 500:
            self.errors.inc()

    def refresh(self, faults: Faults, *, aether_weight: float, crystal_weight: float, weather: str) -> None:
        """Set what is not counted but measured; called about four times a second."""
        now = time.monotonic()
        growth = faults.memory_growth_mb_s * _MEGABYTE
        self._leaked_bytes = self._leaked_bytes + growth * (now - self._last_s) if growth else 0.0
        self._last_s = now
        self.memory.set(_resident_bytes() + self._leaked_bytes)
        self.aether.set(aether_weight)
        self.crystal.set(crystal_weight)
        for each in WEATHERS:
            self.weather.labels(each).set(each == weather)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
