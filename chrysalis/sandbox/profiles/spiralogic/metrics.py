"""What the oracle says of its turns, under the names that the plan asks for."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from chrysalis.sandbox.service.telemetry import BUCKETS_S

SECONDS = tuple(sorted({*BUCKETS_S, 0.45, 0.8}))
QUEUE_S = (1.0, 2.0, 5.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0)
LOOKUPS = 8
"""Archetypes that a turn looks for in the cache."""
QUOTA_CHARACTERS = 50_000
DAILY_BUDGET = 200.0


class OracleMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first_token = Histogram(
            "first_token_seconds", "Time to the first token of an answer.", buckets=SECONDS, registry=registry
        )
        self._turns = Counter(
            "orchestrator_turns",
            "Turns, by the mode of the answer and the mode asked for.",
            ["mode", "asked"],
            registry=registry,
        )
        self._cache = Counter("archetype_cache", "Lookups in the archetype cache.", ["outcome"], registry=registry)
        self._quality = Summary("response_quality", "Score of an evaluated answer, 0 to 1.", registry=registry)
        self._tokens = Summary("response_tokens", "Tokens of an answer.", registry=registry)
        self._queue = Histogram(
            "tts_queue_age_seconds", "Age of the voice synthesis queue.", buckets=QUEUE_S, registry=registry
        )
        self._dependency = Histogram(
            "dependency_seconds", "Time that a dependency took.", ["dependency"], buckets=SECONDS, registry=registry
        )
        self._asked = Counter(
            "dependency_requests", "Requests to a dependency.", ["dependency", "outcome"], registry=registry
        )
        self._characters = Gauge("tts_chars_today", "Characters spoken today, the user who has most.", registry=registry)
        Gauge("tts_chars_quota", "Characters a user may have spoken a day.", registry=registry).set(QUOTA_CHARACTERS)
        self._cost = Gauge("cost_today", "Cost of the day.", registry=registry)
        Gauge("cost_daily_budget", "What a day may cost.", registry=registry).set(DAILY_BUDGET)

    def asked(self, dependencies: Mapping[str, float], ill: str, *, slow_s: float, failing: bool) -> None:
        """A turn asked each dependency; `ill` took longer by `slow_s`, or failed."""
        for name, seconds in dependencies.items():
            self._dependency.labels(name).observe(seconds + (slow_s if name == ill else 0.0))
            self._asked.labels(name, "error" if failing and name == ill else "ok").inc()

    def answered(self, *, mode: str, asked: str, hits: int, quality: float, tokens: float, queue_s: float) -> None:
        """A turn was answered, or failed."""
        self._turns.labels(mode, asked).inc()
        self._cache.labels("hit").inc(hits)
        self._cache.labels("miss").inc(LOOKUPS - hits)
        self._quality.observe(quality)
        self._tokens.observe(tokens)
        self._queue.observe(queue_s)

    def refresh(self, *, quota_used: float, budget_used: float) -> None:
        """Set what is not counted but measured; both are shares."""
        self._characters.set(quota_used * QUOTA_CHARACTERS)
        self._cost.set(budget_used * DAILY_BUDGET)
