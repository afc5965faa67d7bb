"""The memory service: `POST /api/memories`, answered by v2.x (the stable process) or v3.0.0 (the canary's).

v3.0.0 does what Phase 3 brings while `features.phase3.enabled`: it caches what texts mean, keeps to the budget, archives
memories, and notes who used what. v2.x computes everything anew. Each memory is really written to PostgreSQL.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chrysalis.sandbox.profiles.memory.metrics import BUDGET_USD, MemoryMetrics
from chrysalis.sandbox.profiles.memory.store import Store, own_database
from chrysalis.sandbox.profiles.memory.volume import Volume
from chrysalis.sandbox.service.configuration import INITIAL
from chrysalis.sandbox.service.extension import Extension, Handler
from chrysalis.sandbox.service.faults import Range

if TYPE_CHECKING:
    from chrysalis.sandbox.service.app import Service

EMBED_USD, STORE_USD = 0.0006, 0.0004
CACHED_FOR_S = 8.0
FLUSH_S = 0.25
FEATURES = ("cost_optimization", "analytics", "archival")
NO_FEATURE_OF = 10
"""Every tenth user uses none."""
READ_ONLY = 423


class Memories(Extension):
    """One version of it."""

    settings: ClassVar[Mapping[str, Any]] = {
        "LOG_LEVEL": "info",
        "COST_LIMITS": "production",
        "MONITORING_ENABLED": False,
        "MONITORING_INTERVAL": "60s",
        "CACHE_ENABLED": True,
        "CACHE_TTL_FACTOR": 1,
        "BATCH_SIZE_FACTOR": 1,
        "features": {**INITIAL["features"], "phase3": {"enabled": False, "rollout": 0.0, "audiences": ""}},
    }
    faults: ClassVar[Mapping[str, Range]] = {
        "cost": (0.0, math.inf),  # factor on what a memory costs
        "batch_ms": (0.0, math.inf),  # time that a batch of the usual size waits to be full
        "pool_leak": (0.0, 1.0),  # at 1 a session is left behind that holds the memories; once
    }

    def __init__(self, service: "Service") -> None:
        super().__init__(service)
        self._metrics = MemoryMetrics(service.telemetry.registry)
        self._store = Store(own_database(service.database_uri), service.side)
        self._volume = Volume(service.folder / "volume")
        self._cached: dict[str, float] = {}
        self._leaked = False

    def routes(self) -> list[tuple[str, str, Handler]]:
        facts = {
            "/status": self._status,
            "/api/cost/stats": self._costs,
            "/api/cost/test": self._costs,
            "/budget/stats": self._budget,
            "/api/analytics/summary": self._summary,
            "/api/archival/metrics": self._archival,
            "/api/archival/status": self._archival,
            "/cache/metrics": self._cache,
            "/api/cache/metrics": self._cache,
        }
        return [
            ("GET", "/health", self.health),
            ("POST", "/api/memories", self.remember),
            *(("GET", path, self._told(tell)) for path, tell in facts.items()),
        ]

    async def live(self) -> None:
        while True:
            await self._leak(self.service.faults.now.own.get("pool_leak", 0.0) > 0)
            await self._store.flush(archive=self._phase_3())
            self._metrics.refresh(self._store, self._volume)
            await asyncio.sleep(FLUSH_S)

    async def health(self, _: Request) -> Response:
        """Ready to serve, and with what beside it."""
        starting = self.service.faults.starting
        status = "starting" if starting else "healthy" if self._store.up else "degraded"
        return self._json({"status": status, **self._status()}, 503 if starting else 200)

    async def remember(self, request: Request) -> Response:
        """Take a memory: what it means is computed, or known from the cache; it is written behind the answer."""
        try:
            asked = await request.json()
            user, text = str(asked["userId"]), str(asked["text"])
        except (ValueError, KeyError, TypeError):
            return self._json({"error": "expected JSON with userId and text"}, 400)
        config = self._config()
        if config["readOnly"]:
            return self._json({"error": "the service is read-only; what was remembered can be read"}, READ_ONLY)
        if (batch_ms := self.service.faults.now.own.get("batch_ms", 0.0)) > 0:
            await asyncio.sleep(batch_ms / 1000 / max(1.0, float(config["BATCH_SIZE_FACTOR"])))
        if await self.service.behaviour.serve(user) >= 500:
            return self._json({"error": "the memory was not taken"}, 500)
        phase_3 = self._phase_3()
        hit = self._known(text, config) if phase_3 else None
        usd = self._cost(hit=bool(hit), budgeted=phase_3)
        self._metrics.remembered(usd, hit=hit)
        self._store.remember(user, text, usd, _feature(user) if phase_3 else None)
        return self._json({"remembered": True, "usd": usd, "version": self.service.behaviour.version}, 201)

    def _known(self, text: str, config: Mapping[str, Any]) -> bool:
        """Whether the cache knows what it means; it does from now on."""
        now = time.monotonic()
        hit = bool(config["CACHE_ENABLED"]) and self._cached.get(text, 0.0) > now
        if not hit:
            self._cached[text] = now + CACHED_FOR_S * float(config["CACHE_TTL_FACTOR"])
        return hit

    def _cost(self, *, hit: bool, budgeted: bool) -> float:
        """US dollars. With the budget used up, what a memory means is computed later."""
        embeds = not hit and not (budgeted and self._store.spent_usd >= BUDGET_USD)
        return (STORE_USD + (EMBED_USD if embeds else 0.0)) * self.service.faults.now.own.get("cost", 1.0)

    def _phase_3(self) -> bool:
        return self.service.side == "canary" and bool(self._config()["features"]["phase3"]["enabled"])

    def _config(self) -> dict[str, Any]:
        return self.service.configuration.read()

    async def _leak(self, wanted: bool) -> None:
        """A session is left behind once, when the fault comes; ended by whoever, it does not come again."""
        if wanted and not self._leaked:
            await self._store.lock()
        if self._leaked and not wanted:
            await self._store.unlock()
        self._leaked = wanted

    # ── what it tells of itself ──

    def _told(self, tell: Any) -> Handler:
        async def answer(_: Request) -> Response:
            return self._json(tell())

        return answer

    def _status(self) -> dict[str, Any]:
        names = ["memories", *(FEATURES if self._phase_3() else ())]
        parts = [{"name": name, "status": "up"} for name in names]
        database = {"name": "database", "status": "up" if self._store.up else "down", "waiting": self._store.waiting}
        return {"version": self.service.behaviour.version, "side": self.service.side, "services": [*parts, database]}

    def _costs(self) -> dict[str, Any]:
        return {"tracked": True, "spent_usd": round(self._store.spent_usd, 6), "budget_usd": BUDGET_USD}

    def _budget(self) -> dict[str, Any]:
        return {**self._costs(), "enforced": self._phase_3(), "used": round(self._store.spent_usd / BUDGET_USD, 4)}

    def _summary(self) -> dict[str, Any]:
        return {"waiting": self._store.waiting, "archived": self._store.archived, "cached": len(self._cached)}

    def _archival(self) -> dict[str, Any]:
        return {"running": self._phase_3(), "archived": self._store.archived}

    def _cache(self) -> dict[str, Any]:
        config = self._config()
        enabled = self._phase_3() and bool(config["CACHE_ENABLED"])
        seconds = CACHED_FOR_S * float(config["CACHE_TTL_FACTOR"])
        return {"enabled": enabled, "texts": len(self._cached), "seconds": seconds}

    def _json(self, content: Mapping[str, Any], code: int = 200) -> JSONResponse:
        return JSONResponse(content, code, headers=self.service.headers)


def _feature(user: str) -> str:
    number = int(user.rpartition("-")[2]) if user.rpartition("-")[2].isdigit() else 1
    return "none" if number % NO_FEATURE_OF == 0 else FEATURES[number % len(FEATURES)]
