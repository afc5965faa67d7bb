"""How often the statistical judges cry wolf over a whole rollout, and how soon they see a real fault.

`python -m benchmarks.judges [--rollouts N] [--seed S] [--picture F.svg]` simulates N rollouts per line, prints ours
(`sequential`), theirs (`rank_sum` at Kayenta's defaults) and the ratio, and draws the operating curve. A rollout is 60
points of one minute per side. A false alarm is a FAIL at any of its looks. `make bench` runs the part that has a claim to
keep, on fewer rollouts.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve import Line, draw
from benchmarks.result import Result
from gates.rank_sum import Label, rank_sum_test
from gates.sequential import SequentialOptions, sequential_test
from gates.verdict import Verdict

POINTS = 60
FIVE_MINUTES = range(5, POINTS + 1, 5)
EACH_MINUTE = range(1, POINTS + 1)
AUTOCORRELATIONS = (0.0, 0.5, 0.8, 0.9, 0.95)
ERROR_RATE = 0.005
NEVER = 10**6
SEED = 20261121
CLAIMED = 400
"""Rollouts per claim in `make bench`; `python -m benchmarks.judges` takes more of them."""
KAYENTA = "rank_sum at Kayenta's defaults"

Matrix = NDArray[np.float64]
Judge = Callable[[Matrix, Matrix], bool]
"""Whether the judge fails an experiment against a control, both as seen so far."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Detection of one fault: the share of rollouts that saw it, and after how many points (of those that did)."""

    recall: float
    median: float
    p99: float


def autoregressive(rng: np.random.Generator, rollouts: int, points: int, rho: float) -> Matrix:
    """Stationary AR(1) of mean 0 and variance 1, one rollout per row."""
    shocks = rng.standard_normal((rollouts, points))
    series = shocks.copy()
    for t in range(1, points):
        series[:, t] = rho * series[:, t - 1] + np.sqrt(1 - rho**2) * shocks[:, t]
    return series


def error_ratios(
    rng: np.random.Generator, rollouts: int, points: int, *, requests: int, times: float, drift: float, rho: float
) -> Matrix:
    """Observed error ratios of 0.5 % times `times`: binomial noise on a rate that drifts log-normally."""
    wander = autoregressive(rng, rollouts, points, rho)
    rate = np.minimum(ERROR_RATE * times * np.exp(drift * wander - drift**2 / 2), 1.0)
    return rng.binomial(requests, rate) / requests


def first_alarms(control: Matrix, experiment: Matrix, judge: Judge, looks: Iterable[int], history: int = 0) -> Matrix:
    """The first look at which each rollout failed, or NEVER. The control has `history` points before the first."""
    schedule = tuple(looks)
    return np.array(
        [
            next((n for n in schedule if judge(stable[: history + n], canary[:n])), NEVER)
            for stable, canary in zip(control, experiment, strict=True)
        ],
        dtype=np.float64,
    )


def kayenta(control: Matrix, experiment: Matrix) -> bool:
    """Kayenta's judge at its defaults: 98 %, tolerance 0.25, either direction."""
    return rank_sum_test(control, experiment).label in (Label.HIGH, Label.LOW)


def ours(options: SequentialOptions) -> Judge:
    """The sequential judge with these options."""
    return lambda control, experiment: sequential_test(control, experiment, options).verdict is Verdict.FAIL


def by_requests(requests: int) -> Judge:
    """The sequential judge for error rates, defaults."""
    return ours(SequentialOptions(control_requests=float(requests), experiment_requests=float(requests)))


def fault(alarms: Matrix) -> Fault:
    """Summary of first alarms."""
    seen = alarms[alarms < NEVER]
    if seen.size == 0:
        return Fault(0.0, float("nan"), float("nan"))
    return Fault(seen.size / alarms.size, float(np.median(seen)), float(np.quantile(seen, 0.99)))


def run() -> list[Result]:
    """What the sequential judge claims, beside Kayenta's judge on the same series."""
    rng = np.random.default_rng(SEED)
    results = []
    for rho, alarms, bare, theirs in false_alarms(rng, CLAIMED):
        results.append(Result(f"false alarms, rho {rho:g}", alarms, theirs, KAYENTA, "%"))
        results.append(Result(f"false alarms, rho {rho:g}, strict", bare, theirs, KAYENTA, "%"))
    for requests in (20_000, 1_000):
        mine, theirs = detection(rng, CLAIMED, requests=requests, times=3.0)
        what = f"errors 0.5 % tripled, {requests:,}/min"
        results.append(Result(f"{what}: recall", 100 * mine.recall, 100 * theirs.recall, KAYENTA, "%"))
        late = theirs.median if theirs.recall else None
        results.append(Result(f"{what}: detected after", mine.median, late, KAYENTA, "min"))
    return results


def false_alarms(rng: np.random.Generator, rollouts: int) -> list[tuple[float, float, float, float]]:
    """A row per autocorrelation: rho, then the percentage of ours, of ours strict, and of Kayenta's.

    Both sides the same AR(1) process of mean 100 and standard deviation 10, a look every 5 points.

    "strict" is ours in both directions and without an effect that matters, so that nothing but its interval protects it.
    """
    strict = ours(SequentialOptions(worse="either", minimum_effect=0.0))
    rows = []
    for rho in AUTOCORRELATIONS:
        control, experiment = (100 + 10 * autoregressive(rng, rollouts, POINTS, rho) for _ in range(2))
        mine, bare, theirs = (
            100 * float(np.mean(first_alarms(control, experiment, judge, FIVE_MINUTES) < NEVER))
            for judge in (ours(SequentialOptions()), strict, kayenta)
        )
        rows.append((rho, mine, bare, theirs))
    return rows


def measure_false_alarms(rng: np.random.Generator, rollouts: int) -> list[Line]:
    """Print them, and draw the strict one beside Kayenta's."""
    print(f"\nFalse alarms of a rollout over all its looks, {rollouts} rollouts (values, a look every 5 of {POINTS} points)")
    print("  rho    sequential   strict   rank_sum (Kayenta)   ratio strict/theirs")
    rows = false_alarms(rng, rollouts)
    for rho, mine, bare, theirs in rows:
        print(f"  {rho:<6} {mine:9.2f} % {bare:6.2f} % {theirs:14.2f} % {_ratio(bare, theirs):19.4f}")
    return [
        Line("sequential, no effect that matters, both directions", [(rho, bare / 100) for rho, _, bare, _ in rows]),
        Line(KAYENTA, [(rho, theirs / 100) for rho, _, _, theirs in rows]),
    ]


def measure_other_noise(rng: np.random.Generator, rollouts: int) -> None:
    """Noise that is not the AR(1) the interval is made for; strict as above, a look every 5 points."""
    strict = ours(SequentialOptions(worse="either", minimum_effect=0.0))

    def wave(rho: float) -> Matrix:
        return autoregressive(rng, rollouts, POINTS, rho)

    def white() -> Matrix:
        return rng.standard_normal((rollouts, POINTS))

    common = wave(0.95)
    noises: dict[str, Callable[[], Matrix]] = {
        "heavy tails (Student t, 3 degrees)": lambda: rng.standard_t(3, (rollouts, POINTS)),
        "skewed (log-normal, sigma 1)": lambda: rng.lognormal(0, 1, (rollouts, POINTS)),
        "one interval in 20 ten times as high": lambda: 1 + 9 * (rng.random((rollouts, POINTS)) < 0.05) + 0.1 * white(),
        "a wave common to both sides, rho 0.95": lambda: 3 * common + white(),
        "half AR(1) 0.95, half white noise": lambda: wave(0.95) + white(),
        "half AR(1) 0.9, half white noise": lambda: wave(0.9) + white(),
        "half AR(1) 0.8, half white noise": lambda: wave(0.8) + white(),
    }
    print(f"\nFalse alarms on other noise, {rollouts} rollouts, strict, a look every 5 points")
    for name, noise in noises.items():
        alarms = first_alarms(noise(), noise(), strict, FIVE_MINUTES)
        print(f"  {name:<40} {np.mean(alarms < NEVER):.2%}")


def measure_rate_false_alarms(rng: np.random.Generator, rollouts: int) -> None:
    """Healthy error rates that drift, looked at each minute, with and without an hour of the stable side's history."""
    print(f"\nFalse alarms on error rates of 0.5 %, {rollouts} rollouts, a look each minute (no history / 60 min of it)")
    print("  requests/min   drift   " + "".join(f"rho {rho:<14}" for rho in AUTOCORRELATIONS))
    for requests in (20_000, 1_000):
        for drift in (0.0, 0.1, 0.2, 0.3):
            cells = []
            for rho in AUTOCORRELATIONS:
                stable, canary = (
                    error_ratios(rng, rollouts, points, requests=requests, times=1.0, drift=drift, rho=rho)
                    for points in (2 * POINTS, POINTS)
                )
                bare = first_alarms(stable[:, POINTS:], canary, by_requests(requests), EACH_MINUTE)
                informed = first_alarms(stable, canary, by_requests(requests), EACH_MINUTE, history=POINTS)
                cells.append(f"{np.mean(bare < NEVER):.2%} / {np.mean(informed < NEVER):.2%}")
            print(f"  {requests:<14} {drift:<7.0%} " + "".join(f"{cell:<18}" for cell in cells))


def detection(rng: np.random.Generator, rollouts: int, *, requests: int, times: float) -> tuple[Fault, Fault]:
    """Ours, looking each minute, and Kayenta's judge, looking every five, on a fifth of the rollouts."""
    stable, canary = (
        error_ratios(rng, rollouts, POINTS, requests=requests, times=more, drift=0.0, rho=0.0) for more in (1.0, times)
    )
    few = max(rollouts // 5, 100)
    mine = first_alarms(stable, canary, by_requests(requests), EACH_MINUTE)
    return fault(mine), fault(first_alarms(stable[:few], canary[:few], kayenta, FIVE_MINUTES))


def measure_detection(rng: np.random.Generator, rollouts: int) -> list[Line]:
    """A worse error rate with binomial noise. Kayenta's judge sees the same ratios, at its own pace."""
    print(
        f"\nDetection of a worse error rate (0.5 % times), {rollouts} rollouts, binomial noise,"
        " ours looks each minute, Kayenta's judge every 5"
    )
    print("  requests/min   times   ours: recall   median   p99   Kayenta: recall   median   recall ratio")
    lines = []
    for requests in (20_000, 1_000):
        curve = []
        for times in (1.5, 2.0, 3.0, 5.0):
            mine, theirs = detection(rng, rollouts, requests=requests, times=times)
            print(
                f"  {requests:<14} {times:<7} {mine.recall:11.2%} {mine.median:9.0f} {mine.p99:7.0f}"
                f" {theirs.recall:15.2%} {theirs.median:9.0f} {_ratio(mine.recall, theirs.recall):13.3f}"
            )
            curve.append((times, mine.recall))
        lines.append(Line(f"{requests:,} requests a minute", curve))
    return lines


def measure_shift(rng: np.random.Generator, rollouts: int) -> list[Line]:
    """A shift of the mean, in standard deviations of one side, without counts; a look every 5 points."""
    print(f"\nDetection of a shifted mean (values, no counts), {rollouts} rollouts, a look every 5 points")
    print("  rho    shift   recall   median point")
    lines = []
    for rho in (0.0, 0.5, 0.8, 0.95):
        control, experiment = (autoregressive(rng, rollouts, POINTS, rho) for _ in range(2))
        curve = []
        for shift in (1.0, 2.0, 3.0, 5.0, 10.0):
            seen = fault(first_alarms(control, experiment + shift, ours(SequentialOptions()), FIVE_MINUTES))
            print(f"  {rho:<6} {shift:<6} {seen.recall:8.2%} {seen.median:10.0f}")
            curve.append((shift, seen.recall))
        lines.append(Line(f"autocorrelation {rho}" if rho else "no autocorrelation", curve))
    return lines


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("nan")


def main() -> int:
    """Run everything and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--picture", type=Path, default=Path("operating-curve.svg"))
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    alarms = measure_false_alarms(rng, chosen.rollouts)
    measure_other_noise(rng, chosen.rollouts)
    measure_rate_false_alarms(rng, max(chosen.rollouts // 4, 100))
    rates = measure_detection(rng, max(chosen.rollouts // 2, 100))
    shifts = measure_shift(rng, max(chosen.rollouts // 4, 100))
    chosen.picture.write_text(
        draw(
            [
                ("False alarms over all looks of a rollout", "autocorrelation of both sides", alarms),
                ("Error rate of 0.5 % made worse: seen within 60 min", "times worse", rates),
                ("Shifted mean: seen within 60 points", "shift in standard deviations of one side", shifts),
            ]
        ),
        encoding="utf-8",
    )
    print(f"\noperating curve: {chosen.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
