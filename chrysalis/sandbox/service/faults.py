"""What can be wrong with a version, switched on while it runs. In a file, so that a fault outlasts a restart."""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from chrysalis.sandbox.files import JsonFile, write_json

WEATHERS = ("flowing", "still", "turbulent", "stormy")


@dataclass(frozen=True, slots=True)
class Faults:
    """All off by default; None leaves the measured value as it is."""

    error_rate: float = 0.0
    """Share of the requests (0-1) answered with 500, spread evenly."""
    error_feature: str = ""
    """Errors occur only while this feature switch is on; empty for always."""
    latency_ms: float = 0.0
    """Added to each request."""
    coherence: float | None = None
    symbolic_entropy: float | None = None
    field_weather: str | None = None
    emergence_per_h: float | None = None
    """In hours of the plan's clock."""
    memory_growth_mb_s: float = 0.0
    """Added to the reported memory each second; nothing is really allocated."""
    database_connections: int = 0
    """Connections really opened to the database and held."""
    no_metrics: bool = False
    """`/metrics` answers 503."""
    crash_loop: bool = False
    """The process ends now and at each start."""
    slow_start_s: float = 0.0
    """After a start, everything answers 503 for so long."""
    own: Mapping[str, float] = field(default_factory=dict)
    """Those of the system (`Extension.faults`) that are on."""


class FaultError(ValueError):
    """A fault that does not exist or has a value it cannot have."""


_NUMBERS = {"error_rate": (0.0, 1.0), "coherence": (0.0, 1.0), "symbolic_entropy": (0.0, 1.0)}
_SWITCHES = ("no_metrics", "crash_loop")
_WORDS = ("error_feature", "field_weather")


Range = tuple[float, float]
"""The lowest and the highest value."""


def check(changes: dict[str, Any], own: Mapping[str, Range]) -> dict[str, Any]:
    """The changes, each a fault with a value that it can have; `own` are the system's. Raises FaultError."""
    known = [field.name for field in fields(Faults) if field.name != "own"]
    for name, value in changes.items():
        if name in own:
            _check_number(name, value, *own[name])
            continue
        if name not in known:
            raise FaultError(f"unknown fault {name!r}; the faults are crash, {', '.join([*known, *own])}")
        if name in _SWITCHES and not isinstance(value, bool):
            raise FaultError(f"fault {name} is {value!r}, must be true or false")
        if name in _WORDS and not isinstance(value, str):
            raise FaultError(f"fault {name} is {value!r}, must be a word")
        if name == "field_weather" and value not in WEATHERS:
            raise FaultError(f"fault field_weather is {value!r}, must be one of {', '.join(WEATHERS)}")
        if name not in (*_SWITCHES, *_WORDS):
            _check_number(name, value, *_NUMBERS.get(name, (0.0, float("inf"))))
    return changes


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FaultError(f"fault {name} is {value!r}, must be a number from {low:g} to {high:g}")


class FaultFile:
    """The faults of one side, as they are now."""

    def __init__(self, path: Path, own: Mapping[str, Range] | None = None) -> None:
        self._file = JsonFile(path)
        self._own = own or {}
        self._started = time.monotonic()
        self._seen: dict[str, Any] | None = None
        self._faults = Faults()

    @property
    def now(self) -> Faults:
        """Those that are on."""
        content = self._file.read()
        if content is not self._seen:
            own = {name: value for name, value in content.items() if name in self._own}
            common = {name: value for name, value in content.items() if name not in own}
            self._faults, self._seen = Faults(**common, own=own), content
        return self._faults

    @property
    def starting(self) -> bool:
        """Still in a slow start?"""
        return time.monotonic() - self._started < self.now.slow_start_s

    def change(self, changes: dict[str, Any]) -> Faults:
        """Set some, keep the others. Raises FaultError."""
        write_json(self._file.path, {**self._file.read(), **check(changes, self._own)})
        return self.now

    def clear(self) -> Faults:
        """All off."""
        write_json(self._file.path, {})
        return self.now

    def as_dict(self) -> dict[str, Any]:
        """Those that differ from their default."""
        common = {name: value for name, value in asdict(self.now).items() if value != asdict(Faults())[name]}
        return {**{name: value for name, value in common.items() if name != "own"}, **self.now.own}


def crash() -> None:
    """End this process as a crash does."""
    os._exit(70)
