"""What the memory service says of itself, under the names that the plan asks for."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from chrysalis.sandbox.profiles.memory.store import Store
from chrysalis.sandbox.profiles.memory.volume import Volume

BUDGET_USD = 1.0
"""For `BUDGET_WINDOW_S`. What the version without a cache costs at the sandbox's load is 60 % of it."""


class MemoryMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.cost = Counter("memory_cost_usd", "Cost of memories, US dollars.", registry=registry)
        self.events = Counter("memory_cost_events", "Costs that were tracked.", registry=registry)
        self.memories = Counter("memories", "Memories taken.", registry=registry)
        self.cache = Counter("memory_cache", "Lookups in the cache.", ["outcome"], registry=registry)
        self._spent = Gauge("memory_budget_used_usd", "Cost of all versions within the budget's window.", registry=registry)
        Gauge("memory_budget_usd", "Budget of that window.", registry=registry).set(BUDGET_USD)
        self._overages = Counter("memory_budget_overages", "Times that the budget was exceeded.", registry=registry)
        self._up = Gauge("database_up", "1 while the database takes what is written.", registry=registry)
        self._errors = Counter("database_errors", "Times that the database did not answer, or refused.", registry=registry)
        self._recovery = Gauge(
            "recovery_seconds",
            "From the first time that the database did not answer to the next good one.",
            registry=registry,
        )
        self._free = Gauge("disk_free_bytes", "Free space of the service's volume.", registry=registry)
        self._size = Gauge("disk_size_bytes", "Size of the service's volume.", registry=registry)
        for outcome in ("hit", "miss"):
            self.cache.labels(outcome)
        self._counted_errors = 0
        self._was_over = False

    def remembered(self, usd: float, *, hit: bool | None) -> None:
        """Count one memory; `hit` is None where there is no cache."""
        self.memories.inc()
        self.events.inc()
        self.cost.inc(usd)
        if hit is not None:
            self.cache.labels("hit" if hit else "miss").inc()

    def refresh(self, store: Store, volume: Volume) -> None:
        """Set what is not counted but measured."""
        self._spent.set(store.spent_usd)
        over = store.spent_usd > BUDGET_USD
        if over and not self._was_over:
            self._overages.inc()
        self._was_over = over
        self._up.set(store.up)
        self._errors.inc(store.errors - self._counted_errors)
        self._counted_errors = store.errors
        self._recovery.set(store.recovery_s)
        self._free.set(volume.free_bytes)
        self._size.set(volume.size_bytes)
