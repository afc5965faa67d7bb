"""What the options of `chrysalis judge` say, read or refused in one line."""

import math
from datetime import datetime
from pathlib import Path

import numpy as np

from chrysalis.errors import SettingsError
from chrysalis.judge_data import read_array
from gates.observation import FloatArray
from gates.sequential import SequentialOptions
from gates.units import Quantity, UnitError, parse_duration


def time_s(option: str, written: str) -> float:
    """Unix seconds or ISO 8601 with a zone to unix seconds. Raises SettingsError."""
    try:
        seconds = float(written)
    except ValueError:
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            raise SettingsError(f"{option}: found {written!r}, expected unix seconds or 2027-01-15T08:00:00Z") from None
        if moment.tzinfo is None:
            raise SettingsError(f"{option}: found {written!r} without a time zone, expected one such as Z") from None
        seconds = moment.timestamp()
    if not math.isfinite(seconds):
        raise SettingsError(f"{option}: found {written!r}, which is no time; expected unix seconds")
    return seconds


def every_s(written: str) -> float:
    """A duration above 0 to seconds. Raises SettingsError."""
    try:
        seconds = parse_duration(written).total_seconds()
    except ValueError as error:
        raise SettingsError(f"--every: {error}") from error
    if seconds <= 0:
        raise SettingsError(f"--every: found {written!r}, expected more than 0s")
    return seconds


def effect(option: str, written: str | None, unit: str) -> float | None:
    """A quantity above 0 to a number in `unit`. Raises SettingsError."""
    if written is None:
        return None
    try:
        amount = Quantity.parse(written).to(unit)
    except (ValueError, UnitError) as error:
        raise SettingsError(f"{option}: {error}") from error
    if amount <= 0:
        raise SettingsError(f"{option}: found {written!r}, expected more than 0")
    return amount


def requests(option: str, written: str | None) -> FloatArray | float | None:
    """A number, or the array of a file. Raises SettingsError, MetricError."""
    if written is None:
        return None
    try:
        return float(written)
    except ValueError:
        pass
    if not Path(written).is_file():
        raise SettingsError(f"{option}: found {written!r}, expected a number or the path of a JSON array")
    return read_array(Path(written))


def requests_fit(settings: SequentialOptions, control: int, experiment: int) -> None:
    """Requests are for both sides, and as many as there are values. Raises SettingsError."""
    given = {"--control-requests": settings.control_requests, "--experiment-requests": settings.experiment_requests}
    missing = [option for option, counted in given.items() if counted is None]
    if len(missing) == 1:
        raise SettingsError(f"{missing[0]}: is missing; requests are needed of both sides, or of none")
    for (option, counted), values in zip(given.items(), (control, experiment), strict=True):
        if isinstance(counted, np.ndarray) and counted.size != values:
            raise SettingsError(
                f"{option}: found {counted.size} numbers, expected {values}, one for each value, or one alone"
            )
