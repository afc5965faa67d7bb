"""What judging costs: 10,000 conditions of each kind over 240 samples, on one core, from arrays that are ready.

`python -m benchmarks.gates [--gates N]` prints seconds of one core's time for ours, for a reference that makes the same
decision the way it is usually written (a pandas object per series, or every pair of samples), and the ratio; and the
memory that 10,000 findings leave behind. The reference runs on fewer gates and is scaled.
"""

import argparse
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from gates.condition import Condition
from gates.conditions import AnyCondition
from gates.observation import FloatArray, Observations, Selector, Series

GATES = 10_000
SAMPLES = 240
REFERENCE_GATES = 100
INTERVAL_S = 15.0
NOW_S = 1_800_000_000.0
WINDOW = "1h"

_CONDITION: TypeAdapter[Condition] = TypeAdapter(AnyCondition)


@dataclass(frozen=True, slots=True)
class Kind:
    """A condition as a plan writes it, and the usual way to the same decision."""

    name: str
    written: dict[str, Any]
    reference: Callable[[FloatArray, FloatArray], bool]


def _frame(times_s: FloatArray, values: FloatArray) -> "pd.Series[float]":
    return pd.Series(values, index=pd.to_datetime(times_s, unit="s"))


def _theil_sen(times_s: FloatArray, values: FloatArray) -> bool:
    first, second = np.triu_indices(times_s.size, k=1)
    slopes = (values[second] - values[first]) / (times_s[second] - times_s[first])
    return bool(np.abs(np.median(slopes)) < 1)


def _all_hold(times_s: FloatArray, values: FloatArray) -> bool:
    return bool((_frame(times_s, values).loc[lambda kept: kept.index > kept.index[-1] - pd.Timedelta("1h")] < 900).all())


def _mean(times_s: FloatArray, values: FloatArray) -> bool:
    return bool(_frame(times_s, values).loc[lambda kept: kept.index > kept.index[-1] - pd.Timedelta("1h")].mean() < 900)


def _percentile(times_s: FloatArray, values: FloatArray) -> bool:
    return bool(
        _frame(times_s, values).loc[lambda kept: kept.index > kept.index[-1] - pd.Timedelta("1h")].quantile(0.95) < 900
    )


def _rolling(times_s: FloatArray, values: FloatArray) -> bool:
    return bool((_frame(times_s, values).rolling("5min").mean() < 900).all())


KINDS = (
    Kind("threshold, newest", {"threshold": {"metric": "m", "below": 900}}, _mean),
    Kind("threshold, held 1 h", {"threshold": {"metric": "m", "below": 900, "held": WINDOW}}, _all_hold),
    Kind("threshold, mean of 1 h", {"threshold": {"metric": "m", "below": 900, "statistic": "mean", "over": WINDOW}}, _mean),
    Kind(
        "threshold, p95 of 1 h",
        {"threshold": {"metric": "m", "below": 900, "statistic": "p95", "over": WINDOW}},
        _percentile,
    ),
    Kind(
        "comparison, means of 1 h",
        {"comparison": {"metric": "m", "against": "stable", "at_most": "5%", "statistic": "mean", "over": WINDOW}},
        _mean,
    ),
    Kind("trend, flat over 1 h", {"trend": {"metric": "m", "is": "flat", "within": "5%", "over": WINDOW}}, _theil_sen),
    Kind(
        "stable, threshold, 30 min",
        {"stable": {"of": [{"threshold": {"metric": "m", "below": 900}}], "for": "30m"}},
        _all_hold,
    ),
    Kind(
        "stable, mean of 5 min, 30 min",
        {"stable": {"of": [{"threshold": {"metric": "m", "below": 900, "statistic": "mean", "over": "5m"}}], "for": "30m"}},
        _rolling,
    ),
    Kind(
        "stable, against stable, 30 min",
        {"stable": {"of": [{"comparison": {"metric": "m", "against": "stable", "at_most": "50%"}}], "for": "30m"}},
        _rolling,
    ),
)


def observations() -> Observations:
    """Both sides of one metric with noise and a few missing samples."""
    rng = np.random.default_rng(7)
    times = NOW_S - INTERVAL_S * np.arange(SAMPLES - 1, -1, -1)
    found: dict[Selector, Series] = {}
    for side in ("canary", "stable"):
        values = 500 + 20 * rng.standard_normal(SAMPLES)
        values[rng.integers(0, SAMPLES - 1, 3)] = np.nan
        found[Selector("m", side)] = Series.from_arrays(times, values, unit="ms", interval_s=INTERVAL_S)  # type: ignore[arg-type]
    return found


def seconds(condition: Condition, seen: Observations, gates: int) -> float:
    """What so many gates cost."""
    began = process_time()
    for _ in range(gates):
        condition.judge(seen, NOW_S)
    return process_time() - began


def reference_seconds(kind: Kind, seen: Observations, gates: int) -> float:
    """The same for the reference, scaled from fewer."""
    series = seen[Selector("m", "canary")]
    assert isinstance(series, Series)  # noqa: S101 - built above
    usable = np.isfinite(series.values)
    times, values = series.times_s[usable], series.values[usable]
    began = process_time()
    for _ in range(REFERENCE_GATES):
        kind.reference(times, values)
    return (process_time() - began) * gates / REFERENCE_GATES


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gates", type=int, default=GATES)
    gates = parser.parse_args(arguments).gates
    seen = observations()
    sys.stdout.write(f"{gates} gates of {SAMPLES} samples, one core\n")
    sys.stdout.write(f"{'condition':<32}{'ours s':>10}{'reference s':>14}{'ratio':>8}\n")
    for kind in KINDS:
        condition = _CONDITION.validate_python(kind.written)
        ours, theirs = seconds(condition, seen, gates), reference_seconds(kind, seen, gates)
        sys.stdout.write(f"{kind.name:<32}{ours:>10.2f}{theirs:>14.2f}{theirs / ours:>8.1f}\n")
    condition = _CONDITION.validate_python(KINDS[1].written)
    tracemalloc.start()
    for _ in range(gates):
        condition.judge(seen, NOW_S)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sys.stdout.write(f"memory after {gates} gates: {left / 1024:.0f} kB left, {peak / 1024:.0f} kB at most\n")


if __name__ == "__main__":
    main()
