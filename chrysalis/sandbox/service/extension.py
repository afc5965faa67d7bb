"""What a system's service has besides what every service of the sandbox has: settings, faults, requests, a life."""

from collections.abc import Awaitable, Callable, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response

from chrysalis.sandbox.profiles import load_profile
from chrysalis.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from chrysalis.sandbox.service.app import Service
    from chrysalis.sandbox.service.faults import Range

Handler = Callable[[Request], Awaitable[Response]]


class Extension:
    """Nothing besides; a system derives from it. Metrics of its own go into `service.telemetry.registry`."""

    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings of the configuration API with the values that they begin with; numbers among them have no upper bound."""
    faults: ClassVar[Mapping[str, "Range"]] = {}
    """Faults that can be switched on, each a number in a range; those that are on are `service.faults.now.own`."""

    def __init__(self, service: "Service") -> None:
        self.service = service

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each request that it answers besides."""
        return []

    async def live(self) -> None:
        """What it does by itself, until it is cancelled."""


def extension_of(settings: SandboxSettings) -> type[Extension]:
    """The class that the sandbox's profile names. Raises SettingsError for a profile that there is not."""
    named = load_profile(settings.profile).service if settings.profile else ""
    found: type[Extension] = resolve_name(named) if named else Extension
    return found
