"""The service's HTTP face: the work, health, metrics, the configuration API of the Crystal document, and `/faults`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chrysalis.sandbox import postgres
from chrysalis.sandbox.files import JsonFile
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.service import faults as fault_kinds
from chrysalis.sandbox.service.behaviour import Behaviour
from chrysalis.sandbox.service.configuration import Configuration, ConfigurationError, StaleWrite
from chrysalis.sandbox.service.extension import Handler, extension_of
from chrysalis.sandbox.service.faults import FaultError, FaultFile
from chrysalis.sandbox.service.recorder import Recorder
from chrysalis.sandbox.service.telemetry import Telemetry
from chrysalis.sandbox.settings import SandboxSettings

STAMP_HEADER = "x-chrysalis-stamp"
CRASH_AFTER_S = 0.02


class Service:
    """The handlers of one version."""

    def __init__(self, layout: Layout, side: str, settings: SandboxSettings) -> None:
        self.side = side
        extension = extension_of(settings)
        self.folder = layout.folder
        self.database_uri = settings.database_uri or postgres.uri(layout)
        self.faults = FaultFile(layout.faults(side), extension.faults)
        self.configuration = Configuration(layout.service_config, extension.settings)
        self.telemetry = Telemetry()
        self.recorder = Recorder(self.database_uri, self.telemetry, self.faults, retention_s=settings.retention_s)
        self.behaviour = Behaviour(
            side,
            control=JsonFile(layout.control),
            settings=settings,
            configuration=self.configuration,
            faults=self.faults,
            telemetry=self.telemetry,
            recorder=self.recorder,
        )
        self.headers = {"x-version": settings.version(side)}
        self.extension = extension(self)

    async def work(self, request: Request) -> Response:
        """One request of a user."""
        if self.faults.starting:
            return self._json({"error": "starting"}, 503)
        code = await self.behaviour.serve(request.headers.get("x-user-id", "anonymous"))
        return self._json({"version": self.behaviour.version, "ok": code == 200}, code)

    async def health(self, _: Request) -> Response:
        """Ready to serve?"""
        starting = self.faults.starting
        answer = {"status": "starting" if starting else "ok", "version": self.behaviour.version, "side": self.side}
        return self._json(answer, 503 if starting else 200)

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        if self.faults.now.no_metrics or self.faults.starting:
            return Response("no metrics", 503)
        return Response(self.telemetry.text(), media_type="text/plain; version=0.0.4")

    async def read_config(self, _: Request) -> Response:
        """All of the configuration."""
        return self._json(self.configuration.read())

    async def change_config(self, request: Request) -> Response:
        """Merge a part into it."""
        return await self._change(request, dict)

    async def read_weights(self, _: Request) -> Response:
        """The two weights."""
        config = self.configuration.read()
        return self._json({"crystal": config["crystalWeight"], "aether": config["aetherWeight"]})

    async def change_weights(self, request: Request) -> Response:
        """Set one or both, by their short names."""
        return await self._change(request, lambda body: {f"{name}Weight": value for name, value in body.items()})

    async def crystal_status(self, _: Request) -> Response:
        """Which mode is on."""
        config = self.configuration.read()
        shown = {name: config[name] for name in ("mode", "crystalWeight", "aetherWeight", "features", "legacyFallback")}
        return self._json({**shown, "version": self.behaviour.version, "side": self.side})

    async def monitoring_health(self, _: Request) -> Response:
        """The health figures of this version."""
        figures = {
            "coherenceRatio": self.behaviour.coherence,
            "symbolicEntropy": self.behaviour.symbolic_entropy,
            "fieldWeather": self.behaviour.field_weather,
            "aetherWeight": self.configuration.read()["aetherWeight"],
        }
        return self._json({"status": "ok", "version": self.behaviour.version, **figures})

    async def read_faults(self, _: Request) -> Response:
        """Faults that are on, and when the first request failed because of them."""
        return self._json(self._fault_report())

    async def change_faults(self, request: Request) -> Response:
        """Switch some on; `crash` ends the process right after the answer."""
        try:
            changes = await _body(request)
            crash = bool(changes.pop("crash", False))
            self.faults.change(changes)
        except (FaultError, ConfigurationError) as error:
            return self._json({"error": str(error)}, 422)
        self.behaviour.first_error_s = None
        if crash or self.faults.now.crash_loop:
            asyncio.get_running_loop().call_later(CRASH_AFTER_S, fault_kinds.crash)
        return self._json(self._fault_report())

    async def clear_faults(self, _: Request) -> Response:
        """All off."""
        self.faults.clear()
        return self._json(self._fault_report())

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Write to the database and live while it serves."""
        if self.faults.now.crash_loop:
            fault_kinds.crash()
        self.behaviour.refresh()
        living = (self.recorder.run(), self.behaviour.live(), self.extension.live())
        tasks = [asyncio.create_task(one) for one in living]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _change(self, request: Request, shape: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
        try:
            body = await _body(request)
            return self._json(self.configuration.change(shape(body), stamp=request.headers.get(STAMP_HEADER, "")))
        except ConfigurationError as error:
            return self._json({"error": str(error)}, 422)
        except StaleWrite as error:
            return self._json({"error": str(error), "stale_stamp": str(error.last)}, 409)

    def _fault_report(self) -> dict[str, Any]:
        behaviour = self.behaviour
        moments = {"first_error_s": behaviour.first_error_s, "last_request_s": behaviour.last_request_s}
        return {"faults": self.faults.as_dict(), **moments}

    def _json(self, content: Any, code: int = 200) -> JSONResponse:
        return JSONResponse(content, code, headers=self.headers)


def create_app(layout: Layout, side: str, settings: SandboxSettings) -> Starlette:
    """The application of one version."""
    logging.basicConfig(level=logging.WARNING)
    service = Service(layout, side, settings)
    routes: list[tuple[str, str, Handler]] = [
        *service.extension.routes(),  # first, so that a system may answer a request in its own way
        ("GET", "/work", service.work),
        ("POST", "/work", service.work),
        ("GET", "/health", service.health),
        ("GET", "/metrics", service.metrics),
        ("GET", "/api/config", service.read_config),
        ("PATCH", "/api/config", service.change_config),
        ("GET", "/api/config/weights", service.read_weights),
        ("PATCH", "/api/config/weights", service.change_weights),
        ("GET", "/api/crystal/status", service.crystal_status),
        ("GET", "/api/monitoring/health", service.monitoring_health),
        ("GET", "/faults", service.read_faults),
        ("POST", "/faults", service.change_faults),
        ("DELETE", "/faults", service.clear_faults),
    ]
    return Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in routes], lifespan=service.lifespan
    )


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise ConfigurationError(f"the body is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise ConfigurationError(f"the body is {type(body).__name__}, must be a JSON object")
    return body
