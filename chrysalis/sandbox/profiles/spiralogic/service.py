"""The oracle: `POST /api/oracle/chat`, answered by Spiralogic (the canary's process) or by the baseline (stable's).

Asked for `text/event-stream` it answers in events, otherwise in one JSON object. The mode of a turn is the one that the
configuration asks for, or a lesser one where the turn could not be answered in it; what the outside world does to a turn
(slow or failing dependencies, a cold cache, a long voice queue) is a fault that can be switched on.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from chrysalis.sandbox.profiles.spiralogic.metrics import LOOKUPS, OracleMetrics
from chrysalis.sandbox.profiles.spiralogic.turns import Turn, TurnLog
from chrysalis.sandbox.service.behaviour import Evenly
from chrysalis.sandbox.service.extension import Extension, Handler
from chrysalis.sandbox.service.faults import Range

if TYPE_CHECKING:
    from chrysalis.sandbox.service.app import Service

HEADER = "x-experiment-spiralogic"
MESSAGE = ("Breathe first.", "What you ask", "has an answer", "that you know already.")
LITE_SHARE, FALLBACK_SHARE = 0.26, 0.002
"""Of the turns that are asked for in full mode: those that a light question, or a lack of context, brings down. Fewer fall
back than the 5 % that the document allows: of the few turns of a sandbox's window a single one would be more than 3 %."""
QUALITY = {"full": 0.87, "lite": 0.85, "fallback": 0.80, "baseline": 0.84}
TOKENS = {"full": 320, "lite": 210, "fallback": 90, "baseline": 280}
DEPENDENCIES = {"openai": 0.004, "anthropic": 0.005, "elevenlabs": 0.003}
"""Seconds that each takes when it is well."""
SLOW = "elevenlabs"
"""The one that faults make slow or failing; only the fusion of full mode waits for it."""
COLD_HITS, WARM_HITS, WARM_AFTER_S = 0.42, 0.95, 150.0
"""Share of the archetypes found in the cache, when it is empty and in the long run, and how fast it fills."""


class Oracle(Extension):
    """One version of it."""

    settings: ClassVar[Mapping[str, Any]] = {
        "ORCHESTRATOR": "baseline",
        "ORCHESTRATOR_DEFAULT_MODE": "full",
        "SPIRALOGIC_SOFT_BUDGET_MS": 450,
        "SPIRALOGIC_HARD_BUDGET_MS": 700,
        "ARCHETYPE_MEMO_TTL": 86400,
        "SHADOW_CHALLENGE_INTENSITY": "low",
        "TTS_MAX_TEXT_CHARS": 1500,
        "TTS_OVER_QUOTA_CHARS": 1500,
        "VOICE_MEMO_TTL": 1800,
        "VOICE_PRESETS": "all",
        "LONG_OUTPUT_MODEL": "standard",
        "KILL_SWITCH": False,
        "CACHE_GENERATION": 0,
    }
    faults: ClassVar[Mapping[str, Range]] = {
        "compose_ms": (0.0, math.inf),
        "dependency_ms": (0.0, math.inf),
        "dependency_errors": (0.0, 1.0),
        "falls_back": (0.0, 1.0),
        "cache_hits": (0.0, 1.0),
        "quality": (0.0, 1.0),
        "tts_queue_s": (0.0, math.inf),
        "tokens": (0.0, math.inf),
        "tts_quota": (0.0, math.inf),
        "cost": (0.0, math.inf),
    }

    def __init__(self, service: "Service") -> None:
        super().__init__(service)
        self._metrics = OracleMetrics(service.telemetry.registry)
        self._log = TurnLog(service.database_uri)
        self._lite, self._falls, self._fails, self._hits = Evenly(), Evenly(), Evenly(), Evenly()
        self._warming_since: float | None = None
        self._generation = 0.0

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [("POST", "/api/oracle/chat", self.chat), ("POST", "/admin/cache/clear", self.clear_cache)]

    async def live(self) -> None:
        while True:
            own = self.service.faults.now.own
            self._metrics.refresh(quota_used=own.get("tts_quota", 0.35), budget_used=own.get("cost", 0.4))
            await self._log.flush()
            await asyncio.sleep(0.25)

    async def clear_cache(self, _: Request) -> Response:
        """Forget every archetype; both versions share the cache's generation, whichever of them was asked."""
        generation = float(self.service.configuration.read()["CACHE_GENERATION"])
        self.service.configuration.change({"CACHE_GENERATION": generation + 1})
        return JSONResponse({"cleared": True}, headers=self.service.headers)

    async def chat(self, request: Request) -> Response:
        """One turn."""
        began = time.perf_counter()
        try:
            user = str((await request.json())["userId"])
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "expected JSON with userId, text and element"}, 400, headers=self.service.headers)
        asked = self._asked(request.headers.get(HEADER, ""))
        mode = await self._answerable(asked)
        failed = await self.service.behaviour.serve(user) >= 500
        turn = _Turn(user, asked, mode, began, failed)
        headers = {**self.service.headers, "x-orchestrator": turn.orchestrator, "x-orchestrator-mode": mode}
        if failed:
            self._done(turn)
            return JSONResponse({"error": "the turn failed"}, 500, headers=headers)
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(self._events(turn), headers=headers, media_type="text/event-stream")
        message = [token async for token in self._tokens(turn)]
        return JSONResponse({"data": {"message": " ".join(message), "mode": mode}}, headers=headers)

    def _asked(self, header: str) -> str:
        """The mode in which this turn is wanted."""
        mode = str(self.service.configuration.read()["ORCHESTRATOR_DEFAULT_MODE"])
        if self.service.side == "stable" or header == "off" or (mode == "baseline" and header != "on"):
            return "baseline"
        return "fallback" if mode == "baseline" else mode

    async def _answerable(self, asked: str) -> str:
        """The mode in which it can be answered, once what that needs has answered or failed."""
        own = self.service.faults.now.own
        slow_s = own.get("dependency_ms", 0.0) / 1000
        failing = bool(self._fails.due(own.get("dependency_errors", 0.0)))
        self._metrics.asked(DEPENDENCIES, SLOW, slow_s=slow_s, failing=failing)
        if asked == "baseline":
            return asked
        await asyncio.sleep(max(DEPENDENCIES.values()) + (slow_s if asked == "full" else 0.0))
        if failing or self._falls.due(own.get("falls_back", FALLBACK_SHARE if asked == "full" else 0.0)):
            return "fallback"
        if asked == "full" and self._lite.due(LITE_SHARE):
            return "lite"
        return asked

    async def _events(self, turn: "_Turn") -> AsyncIterator[str]:
        async for token in self._tokens(turn):
            yield f"data: {json.dumps({'token': token})}\n\n"

    async def _tokens(self, turn: "_Turn") -> AsyncIterator[str]:
        yield MESSAGE[0]
        self._metrics.first_token.observe(time.perf_counter() - turn.began)
        compose_ms = self.service.faults.now.own.get("compose_ms", 0.0)
        if compose_ms and turn.mode in ("full", "lite"):
            await asyncio.sleep(compose_ms / 1000)
        if turn.mode != "fallback":
            yield " ".join(MESSAGE[1:])
        self._done(turn)

    def _done(self, turn: "_Turn") -> None:
        own = self.service.faults.now.own
        hits = self._hits.due(LOOKUPS * own.get("cache_hits", self._hit_share()))
        self._metrics.answered(
            mode=turn.mode,
            asked=turn.asked,
            hits=min(hits, LOOKUPS),
            quality=own.get("quality", QUALITY[turn.mode]),
            tokens=TOKENS[turn.mode] * own.get("tokens", 1.0),
            queue_s=own.get("tts_queue_s", 2.0),
        )
        latency_ms = round((time.perf_counter() - turn.began) * 1000)
        row = Turn.at_now(turn.user, turn.orchestrator, turn.mode, latency_ms, hit=hits > 0, failed=turn.failed)
        self._log.add(row)

    def _hit_share(self) -> float:
        if self.service.side == "stable":
            return COLD_HITS
        now, generation = time.monotonic(), float(self.service.configuration.read()["CACHE_GENERATION"])
        if self._warming_since is None or generation != self._generation:
            self._warming_since, self._generation = now, generation
        return WARM_HITS - (WARM_HITS - COLD_HITS) * math.exp((self._warming_since - now) / WARM_AFTER_S)


@dataclass(frozen=True, slots=True)
class _Turn:
    user: str
    asked: str
    mode: str
    began: float
    failed: bool

    @property
    def orchestrator(self) -> str:
        return "baseline" if self.mode == "baseline" else "spiralogic"
