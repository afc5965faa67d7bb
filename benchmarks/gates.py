"""What judging costs: 10,000 conditions of each kind over 240 samples, on one core, from arrays that are ready.

`python -m benchmarks.gates [--gates N]` prints seconds of one core's time for ours, for a reference that makes the same
decision the way it is usually written (a pandas object per series, or every pair of samples), and the ratio; and the
memory that 10,000 findings leave behind. The reference runs on fewer gates and is scaled. Beside the whole stands what it
would have been at the pace of the fastest fiftieth: on a machine that is busy with other work the two are far apart.
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
from scipy.stats import mannwhitneyu

from benchmarks.result import Result
from gates.condition import Condition
from gates.conditions import AnyCondition
from gates.observation import FloatArray, Observations, Selector, Series, Side

GATES = 10_000
SAMPLES = 240
REFERENCE_GATES = 100
MEASURED = 1000
"""Gates of each kind that `make bench` judges; the seconds are scaled to `GATES`."""
ROUNDS = 50
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
    share: float = 1.0
    """So many of the gates asked for are judged, and scaled: for a kind that takes minutes."""


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


def _mann_whitney(times_s: FloatArray, values: FloatArray) -> bool:
    return bool(mannwhitneyu(values, values[::-1] + 1).pvalue > 0.02)


def _shares(times_s: FloatArray, values: FloatArray) -> bool:
    return bool((_frame(times_s, values) < 500).value_counts(normalize=True).max() < 0.9)


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
    Kind("trend, unbounded over 1 h", {"trend": {"metric": "m", "is": "unbounded", "over": WINDOW}}, _theil_sen),
    Kind("count over 1 h", {"count": {"metric": "n", "at_most": 3, "over": WINDOW}}, _mean),
    Kind("in a row", {"in_a_row": {"metric": "n", "at_most": 10}}, _all_hold),
    Kind("incident-free, 50 min", {"incident_free": {"metric": "n", "for": "50m"}}, _all_hold),
    Kind(
        "distribution over 1 h",
        {"distribution": {"metric": "w", "shares": {"full": "75%", "lite": "25%"}, "tolerance": "5pp", "over": WINDOW}},
        _shares,
    ),
    Kind("category, held 50 min", {"category": {"metric": "w", "one_of": ["full", "lite"], "held": "50m"}}, _all_hold),
    Kind(
        "all of three thresholds",
        {"all": [{"threshold": {"metric": "m", "below": bound}} for bound in (700, 800, 900)]},
        _mean,
    ),
    Kind("rank_sum, two sides", {"rank_sum": {"metric": "m", "over": WINDOW}}, _mann_whitney),
    Kind("rank_sum, two sides full of ties", {"rank_sum": {"metric": "e", "over": WINDOW}}, _mann_whitney),
    Kind("sequential, two sides", {"sequential": {"metric": "m", "over": WINDOW}}, _mann_whitney),
    Kind(
        "sequential, two sides with requests",
        {"sequential": {"metric": "e", "requests": "r", "over": WINDOW}},
        _mann_whitney,
    ),
    Kind("canary_score of two metrics", {"canary_score": {"metrics": [{"metric": "m"}, {"metric": "e"}]}}, _mann_whitney),
    Kind(
        "stable, count over 10 min, 30 min",
        {"stable": {"of": [{"count": {"metric": "n", "at_most": 3, "over": "10m"}}], "for": "30m"}},
        _rolling,
    ),
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
    Kind(
        "stable, trend over 30 min, 30 min",
        {"stable": {"of": [{"trend": {"metric": "m", "is": "flat", "within": "5%", "over": "30m"}}], "for": "30m"}},
        _theil_sen,
        share=0.02,
    ),
)


def observations() -> Observations:
    """Both sides of a latency, error ratios of requests, a count of nothing, and words; a few samples are missing."""
    rng = np.random.default_rng(7)
    times = NOW_S - INTERVAL_S * np.arange(SAMPLES - 1, -1, -1)
    found: dict[Selector, Series] = {}
    sides: tuple[Side, Side] = ("canary", "stable")
    for side in sides:
        measured = {
            "m": ("ms", 500 + 20 * rng.standard_normal(SAMPLES)),
            "e": ("ratio", rng.binomial(1000, 0.005, SAMPLES) / 1000),
            "r": ("count", np.full(SAMPLES, 1000.0)),
            "n": ("count", np.zeros(SAMPLES)),
        }
        for name, (unit, values) in measured.items():
            values[rng.integers(0, SAMPLES - 1, 3)] = np.nan
            found[Selector(name, side)] = Series.from_arrays(times, values, unit=unit, interval_s=INTERVAL_S)
    words = [(float(time_s), "full" if place % 4 else "lite") for place, time_s in enumerate(times)]
    found[Selector("w", "canary")] = Series.of_labels(words, unit="category", interval_s=INTERVAL_S)
    return found


def run() -> list[Result]:
    """Every kind, in seconds for 10,000 gates, beside the usual way; and the memory that so many leave behind."""
    seen = observations()
    results = []
    for kind in KINDS:
        condition = _CONDITION.validate_python(kind.written)
        judged = int(MEASURED * kind.share)
        ours = seconds(condition, seen, judged) * GATES / judged
        results.append(
            Result(f"10,000 gates: {kind.name}", ours, reference_seconds(kind, seen, GATES), "pandas or scipy", "s")
        )
    left, _ = memory(seen, GATES)
    return [*results, Result("10,000 gates: memory left behind", left / 1024, None, "", "kB")]


def memory(seen: Observations, gates: int) -> tuple[int, int]:
    """Bytes that so many gates leave behind, and that they take at most."""
    condition = _CONDITION.validate_python(KINDS[1].written)
    condition.judge(seen, NOW_S)
    tracemalloc.start()
    for _ in range(gates):
        condition.judge(seen, NOW_S)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return left, peak


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
    sys.stdout.write(f"{'condition':<38}{'ours s':>10}{'at best':>10}{'reference s':>14}{'ratio':>8}\n")
    for kind in KINDS:
        condition = _CONDITION.validate_python(kind.written)
        each = max(1, int(gates * kind.share) // ROUNDS)
        rounds = [seconds(condition, seen, each) * gates / each for _ in range(ROUNDS)]
        ours, theirs = sum(rounds) / ROUNDS, reference_seconds(kind, seen, gates)
        sys.stdout.write(f"{kind.name:<38}{ours:>10.2f}{min(rounds):>10.2f}{theirs:>14.2f}{theirs / ours:>8.1f}\n")
    left, peak = memory(seen, gates)
    sys.stdout.write(f"memory after {gates} gates: {left / 1024:.0f} kB left, {peak / 1024:.0f} kB at most\n")


if __name__ == "__main__":
    main()
