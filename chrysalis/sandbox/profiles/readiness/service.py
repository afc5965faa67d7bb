"""What the readiness checklist asks of Crystal's service besides: static assets with their headers, guarded input.

`POST /api/observe` keeps the document's limits: 100 requests a minute for a user, 10,000 for all, 20 at once; 1,000
characters; own origins only; a token against forged requests. What a user wrote comes back escaped.
"""

import html
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chrysalis.sandbox.service.extension import Extension, Handler
from chrysalis.sandbox.service.recorder import now

if TYPE_CHECKING:
    from chrysalis.sandbox.service.app import Service

PER_USER, PER_BURST, FOR_ALL = 100, 20, 10_000
MINUTE_S, BURST_S = 60.0, 1.0
MOST_CHARACTERS = 1_000
TOKEN_HEADER, ORIGIN = "x-csrf-token", "https://sandbox.localhost"
YEAR_S = 31_536_000


class Guarded(Extension):
    """One version of it."""

    def __init__(self, service: "Service") -> None:
        super().__init__(service)
        self._of_user: dict[str, deque[float]] = {}
        self._of_all: deque[float] = deque()

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [("GET", "/assets/app.js", self.asset), ("POST", "/api/observe", self.observe)]

    async def live(self) -> None:
        self._log("info", "serving")

    async def asset(self, _: Request) -> Response:
        """As the CDN hands it out."""
        headers = {"x-cache": "HIT", "cache-control": f"public, max-age={YEAR_S}, immutable"}
        return Response("'use strict';\n", headers=headers, media_type="text/javascript")

    async def observe(self, request: Request) -> Response:
        """Take a text of a user's, if it may be taken."""
        if (origin := request.headers.get("origin")) not in (None, ORIGIN):
            return self._refused(403, f"origin {origin} is foreign")
        if request.headers.get(TOKEN_HEADER) != "sandbox":
            return self._refused(403, "no token")
        if not self._lets_in(request.headers.get("x-user-id", "anonymous"), time.monotonic()):
            return self._refused(429, "too many requests")
        body = await _json(request)
        if body is None or not isinstance(body.get("text"), str):
            return self._refused(422, "expected an object with a text")
        if len(body["text"]) > MOST_CHARACTERS:
            return self._refused(422, f"{len(body['text'])} characters > at most {MOST_CHARACTERS}")
        return JSONResponse({"text": html.escape(body["text"])}, headers=self.service.headers)

    def _refused(self, code: int, why: str) -> JSONResponse:
        self._log("warning", f"refused with {code}: {why}")
        return JSONResponse({"error": why}, code)

    def _log(self, level: str, message: str) -> None:
        said = {"at": now().isoformat(), "level": level, "version": self.service.behaviour.version, "message": message}
        print(json.dumps(said), flush=True)  # noqa: T201 - the process's log

    def _lets_in(self, user: str, now: float) -> bool:
        mine = self._of_user.setdefault(user, deque())
        for times in (mine, self._of_all):
            while times and now - times[0] >= MINUTE_S:
                times.popleft()
        if len(mine) >= PER_USER or len(self._of_all) >= FOR_ALL:
            return False
        if sum(now - at < BURST_S for at in mine) >= PER_BURST:
            return False
        mine.append(now)
        self._of_all.append(now)
        return True


async def _json(request: Request) -> dict[str, Any] | None:
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
