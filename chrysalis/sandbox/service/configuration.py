"""The service's configuration: mode, weights, feature switches, canary segment. One file for both versions, validated here.

A write may carry a stamp (`rollout:token:step`); it is remembered, and a later write with an older token is refused.
Every write that was let through is a line of `NAME.writes.jsonl` beside the file: when, by which stamp, what.
"""

import fcntl
import json
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.targets.base import Stamp

MODES = ("legacy", "hybrid", "crystal")
INITIAL: dict[str, Any] = {
    "mode": "legacy",
    "crystalWeight": 0.0,
    "aetherWeight": 0.35,
    "legacyFallback": True,
    "readOnly": False,
    "emergenceThrottle": 1.0,
    "userSegmentation": {"canary": "", "percentage": 0},
    "features": {
        "crystalEnabled": True,
        "paradoxAccumulation": False,
        "emergence": True,
        "collectiveResonance": False,
        "multiUserSync": False,
    },
    "optimizations": {"parallelProcessing": True, "gpuAcceleration": False, "distributedParadox": False},
    "stamp": "",
}
_OPEN = ("features.", "optimizations.")
_SHARES = ("crystalWeight", "aetherWeight", "emergenceThrottle")


class ConfigurationError(ValueError):
    """A change that the configuration does not allow; nothing was changed."""


class StaleWrite(Exception):
    """A change by a writer that another has succeeded; nothing was changed."""

    def __init__(self, mine: Stamp, last: Stamp) -> None:
        super().__init__(f"token {mine.token} is older than {last.token}, which wrote last")
        self.last = last


class Configuration:
    """The file, read by both versions and changed under a lock."""

    def __init__(self, path: Path, own: Mapping[str, Any] | None = None) -> None:
        """`own` are further settings of the system, with the values that they begin with."""
        self._initial = {**INITIAL, **(own or {})}
        self._own = frozenset(own or {})
        self._file = JsonFile(path)
        self._lock = path.with_name(f".{path.name}.lock")
        self._writes = write_log(path)

    def read(self) -> dict[str, Any]:
        """All of it now."""
        return {**self._initial, **self._file.read()}

    def change(self, changes: dict[str, Any], *, stamp: str = "") -> dict[str, Any]:
        """Merge the changes and return all of it. Raises ConfigurationError, StaleWrite."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = json.loads(json.dumps(self.read()))
            _refuse_stale(before["stamp"], stamp or str(changes.get("stamp", "")))
            after = _merged(before, changes, path="", unbounded=self._own)
            if stamp:
                after["stamp"] = stamp
            write_json(self._file.path, after)
            line = {"at": datetime.now(UTC).isoformat(), "stamp": after["stamp"], "changes": changes}
            with self._writes.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        return after


def write_log(path: Path) -> Path:
    """Where the writes to the configuration in `path` are kept."""
    return path.with_suffix(".writes.jsonl")


def _refuse_stale(last: str, mine: str) -> None:
    older, newer = Stamp.parse(mine), Stamp.parse(last)
    if older is not None and newer is not None and older.token < newer.token:
        raise StaleWrite(older, newer)


def _merged(
    current: dict[str, Any], changes: dict[str, Any], *, path: str, unbounded: Set[str] = frozenset()
) -> dict[str, Any]:
    merged = dict(current)
    for name, value in changes.items():
        full = path + name
        # Feature switches and optimizations are named by the deployment, so new ones are allowed there.
        if name not in current and path not in _OPEN:
            raise ConfigurationError(f"unknown setting {full!r}; the settings here are {', '.join(sorted(current))}")
        if value is None and path in _OPEN:
            merged.pop(name, None)  # as a JSON merge patch has it (RFC 7396)
        elif isinstance(current.get(name), dict):
            if not isinstance(value, dict):
                raise ConfigurationError(f"{full} is {value!r}, must be an object")
            merged[name] = _merged(current[name], value, path=f"{full}.")
        else:
            _check(full, value, current.get(name, True), high=inf if full in unbounded else 100.0)
            merged[name] = value
    return merged


def _check(name: str, value: Any, current: Any, *, high: float) -> None:
    if name == "mode":
        if value not in MODES:
            raise ConfigurationError(f"mode is {value!r}, must be one of {', '.join(MODES)}")
    elif isinstance(current, bool):
        if not isinstance(value, bool):
            raise ConfigurationError(f"{name} is {value!r}, must be true or false")
    elif isinstance(current, str):
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} is {value!r}, must be text")
    else:
        high = 1.0 if name in _SHARES else high
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise ConfigurationError(f"{name} is {value!r}, must be a number from 0 to {high:g}")
