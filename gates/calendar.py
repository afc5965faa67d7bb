"""When changes may be made: in the windows that there are, and on no frozen day. All times are UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

LOOKS_AHEAD = timedelta(days=800)
"""A freeze that lasts longer has no end that is worth waiting for."""


@dataclass(frozen=True, slots=True)
class Open:
    """On these days of the week (Monday is 0) from `start` to `end`, both included."""

    days: frozenset[int]
    start: time = time(0, 0)
    end: time = time(23, 59, 59)


@dataclass(frozen=True, slots=True)
class Frozen:
    """From the first day to the last, both included."""

    first: date
    last: date
    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing may be changed now. `until` is the first moment at which it may; None: not within two years."""

    why: str
    until: datetime | None


def closed(windows: Sequence[Open], freezes: Sequence[Frozen], now: datetime) -> Closed | None:
    """Why nothing may be changed at `now`, and until when; None when it may. No windows at all: every time is one."""
    now = now.astimezone(UTC)
    why = _frozen(freezes, now.date()) or (None if _in_window(windows, now) else "outside of the windows for changes")
    if why is None:
        return None
    return Closed(why, _opens(windows, freezes, now))


def _frozen(freezes: Sequence[Frozen], day: date) -> str | None:
    return next((f"frozen until {one.last}: {one.why}" for one in freezes if one.first <= day <= one.last), None)


def _in_window(windows: Sequence[Open], now: datetime) -> bool:
    at = now.time().replace(microsecond=0)
    return not windows or any(now.weekday() in one.days and one.start <= at <= one.end for one in windows)


def _opens(windows: Sequence[Open], freezes: Sequence[Frozen], now: datetime) -> datetime | None:
    every = windows or [Open(frozenset(range(7)))]
    day = now.date()
    while day - now.date() < LOOKS_AHEAD:
        if _frozen(freezes, day) is None:
            begins = [datetime.combine(day, one.start, UTC) for one in every if day.weekday() in one.days]
            later = [begin for begin in begins if begin > now]
            if later:
                return min(later)
        day += timedelta(days=1)
    return None
