"""Observations of two sides, for the tests of the statistical judges."""

from collections.abc import Sequence

from gates.observation import Observations, Selector, Series, Side

NOW_S = 1_800_000_000.0
MINUTE_S = 60.0


def series_until_now(values: Sequence[float | None], *, unit: str, age_s: float = 0.0) -> Series:
    """One sample a minute, the last one `age_s` seconds ago."""
    last_s = NOW_S - age_s
    rows = [(last_s - MINUTE_S * (len(values) - 1 - place), value) for place, value in enumerate(values)]
    return Series.of(rows, unit=unit, interval_s=MINUTE_S)


def both_sides(
    stable: Sequence[float | None], canary: Sequence[float | None], *, metric: str = "p95", unit: str = "ms"
) -> Observations:
    """Both sides of one metric, the ends at the same time."""
    sides: dict[Side, Sequence[float | None]] = {"stable": stable, "canary": canary}
    return {Selector(metric, side): series_until_now(values, unit=unit) for side, values in sides.items()}
