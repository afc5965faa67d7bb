"""What every kind of condition says of every kind of series, a line each, as it was read and approved by people.

`decisions.txt` and `fits.txt` beside this file hold the lines. After a change that is meant,
`python -m tests.gates.approved` writes them anew; the difference is then what is reviewed.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gates.condition import MetricFacts
from gates.observation import Observations, Selector, Series, Unavailable
from tests.gates.strategies import CONDITION, EVERY_KIND, NOW_S

FOLDER = Path(__file__).parent
DECISIONS, FITS = FOLDER / "decisions.txt", FOLDER / "fits.txt"

_T = {"metric": "m"}
_SLOW = {"threshold": {"metric": "m", "at_most": 5}}
_MORE = {
    "threshold above": {"threshold": {**_T, "above": 5, "stale_after": "8m"}},
    "threshold between held": {"threshold": {**_T, "between": [0.5, 5], "held": "30m", "min_samples": 10}},
    "threshold at least held": {"threshold": {**_T, "at_least": 1, "held": "10m", "stale_after": "30m"}},
    "threshold above held": {"threshold": {**_T, "above": 1, "held": "10m"}},
    "threshold median of n, few": {
        "threshold": {"metric": "n", "below": 5, "statistic": "median", "over": "5m", "min_samples": 4}
    },
    "threshold stable side": {"threshold": {**_T, "below": 5, "side": "stable"}},
    "comparison points": {"comparison": {**_T, "against": "stable", "at_most": "0.5pp", "stale_after": "8m"}},
    "comparison mean, multiple": {
        "comparison": {**_T, "against": "stable", "above": "1.5x", "statistic": "mean", "over": "20m", "min_samples": 3}
    },
    "comparison below": {"comparison": {**_T, "against": "stable", "below": 1}},
    "comparison at least": {"comparison": {**_T, "against": "stable", "at_least": "-10%", "relative": True}},
    "comparison between": {"comparison": {**_T, "against": "1h ago", "between": ["-1", "1"]}},
    "comparison baseline p90": {
        "comparison": {
            **_T,
            "against": "baseline:before",
            "within": "50%",
            "relative": True,
            "statistic": "p90",
            "over": "20m",
        }
    },
    "comparison speed-up exactly": {"comparison": {**_T, "target": 9, "speed_up": "1x"}},
    "trend falling": {"trend": {**_T, "is": "falling", "over": "20m", "within": 1, "min_samples": 6, "stale_after": "8m"}},
    "category stale": {"category": {**_T, "is": "full", "stale_after": "8m"}},
    "category held long": {"category": {**_T, "one_of": ["full", "lite"], "held": "69m"}},
    "distribution of one": {
        "distribution": {
            **_T,
            "shares": {"full": "100%"},
            "tolerance": "40%",
            "over": "30m",
            "min_samples": 20,
            "stale_after": "8m",
        }
    },
    "count newest": {"count": {**_T, "between": [1, 5], "stale_after": "8m"}},
    "count at least in a window": {"count": {**_T, "at_least": 100, "over": "30m", "stale_after": "30m"}},
    "count above in a window": {"count": {**_T, "above": 30, "over": "30m"}},
    "count below, total": {"count": {**_T, "below": 8, "over": "30m", "samples_are": "total"}},
    "exists, total": {"exists": {**_T, "over": "30m", "samples_are": "total", "stale_after": "8m"}},
    "in a row at most": {"in_a_row": {**_T, "at_most": 2, "above": 5, "over": "10m"}},
    "in a row, stale": {"in_a_row": {**_T, "more_than": 0, "above": 5, "stale_after": "8m"}},
    "incident free long": {"incident_free": {**_T, "for": "65m", "stale_after": "8m"}},
    "stable of several": {
        "stable": {
            "of": [_SLOW, {"exists": {**_T, "mode": "warn"}}, {"count": {**_T, "at_most": 5}}],
            "for": "20m",
            "every": "2m",
        }
    },
    "stable of a mean": {
        "stable": {"of": [{"threshold": {**_T, "below": 5, "statistic": "mean", "over": "10m"}}], "for": "20m"}
    },
    "product of one": {"product": {"metrics": ["m"], "between": [1, 5], "stale_after": "8m"}},
    "consensus of two": {"consensus": {"metrics": ["m", "n"], "at_most": 2, "measure": "deviation", "stale_after": "8m"}},
    "burn rate, one window": {
        "burn_rate": {
            **_T,
            "objective": "50%",
            "is": "burning",
            "windows": [{"budget": "50%", "over": "20m", "short": "0s"}],
            "period": "20m",
            "side": "canary",
            "min_samples": 5,
            "stale_after": "8m",
        }
    },
    "within budget, two windows": {
        "burn_rate": {
            **_T,
            "objective": "90%",
            "is": "within_budget",
            "windows": [{"budget": "50%", "over": "30m", "short": "5m"}, {"budget": "90%", "over": "60m", "short": "2m"}],
            "period": "60m",
            "side": "canary",
        }
    },
    "all, two wait": {"all": [{"threshold": {**_T, "at_most": 5, "held": h}} for h in ("65m", "68m")]},
    "any, two wait": {"any": [{"threshold": {**_T, "at_most": 5, "held": h}} for h in ("65m", "68m")]},
    "any of three": {
        "any": [_SLOW, {"threshold": {"metric": "n", "above": 5}}, {"exists": {"metric": "k", "mode": "dry_run"}}]
    },
    "at least two": {"at_least": {"count": 2, "of": [_SLOW, {"exists": {"metric": "n"}}, {"exists": {"metric": "k"}}]}},
    "at least by weight": {
        "at_least": {
            "share": "60%",
            "of": [
                {"threshold": {**_T, "name": "slow", "at_most": 5, "weight": 3, "critical": True}},
                {"exists": {"metric": "n", "weight": 2}},
                {"threshold": {"metric": "k", "above": 100, "weight": 1}},
            ],
        }
    },
    "at least, critical": {
        "at_least": {
            "count": 1,
            "of": [
                {"exists": {"metric": "n", "name": "any"}},
                {"threshold": {**_T, "name": "slow", "at_most": 5, "critical": True}},
            ],
        }
    },
}
STATISTICAL = ("rank sum", "sequential", "canary score")
"""Their numbers have tests of their own; here they would only repeat a library's rounding."""
CONDITIONS = {name: written for name, written in {**EVERY_KIND, **_MORE}.items() if name not in STATISTICAL}


def _numbers(values: list[float], *, unit: str = "", every_s: float = 60.0, ago_s: float = 0.0) -> Series:
    first_s = NOW_S - ago_s - every_s * (len(values) - 1)
    return Series.of([(first_s + index * every_s, value) for index, value in enumerate(values)], unit=unit, interval_s=60.0)


def _words(words: list[str]) -> Series:
    rows = [(NOW_S - 60.0 * (len(words) - 1 - index), word) for index, word in enumerate(words)]
    return Series.of_labels(rows, unit="category", interval_s=60.0)


_WAVE = [3 + math.sin(index) for index in range(70)]
_HIGH = [8 + math.sin(index) for index in range(70)]
_FULL = ["full"] * 50
SERIES: dict[str, Series | Unavailable] = {
    "low": _numbers(_WAVE),
    "high": _numbers(_HIGH),
    "low, then high": _numbers([*_WAVE[:62], *_HIGH[62:]]),
    "high, then low": _numbers([*_HIGH[:30], *_WAVE[30:]]),
    "one high among low": _numbers([*_WAVE[:55], 9.0, *_WAVE[56:]]),
    "newest at the limit": _numbers([*_WAVE[:-1], 5.0]),
    "few": _numbers(_WAVE[:4]),
    "one of eight missing": _numbers([math.nan if index % 8 == 3 else value for index, value in enumerate(_WAVE)]),
    "missing now": _numbers([*_WAVE[:-1], math.nan]),
    "a gap of ten": _numbers([math.nan if 20 <= index < 30 else value for index, value in enumerate(_WAVE)]),
    "silent for seven minutes": _numbers(_WAVE, ago_s=420.0),
    "only NaN": _numbers([math.nan] * 20),
    "zeros": _numbers([0.0] * 70),
    "negative": _numbers([-value for value in _WAVE]),
    "rising": _numbers([0.2 * index + value for index, value in enumerate(_WAVE)]),
    "a counter that restarts": _numbers([float(index % 25) for index in range(70)], unit="count"),
    "a steady counter": _numbers([7.0] * 70, unit="count"),
    "a ratio": _numbers([value / 100 for value in _WAVE], unit="ratio"),
    "a bad ratio in percent": _numbers([10 * value for value in _WAVE], unit="%"),
    "milliseconds": _numbers([1000 * value for value in _WAVE], unit="ms"),
    "words": _words([*(["lite"] * 20), *_FULL]),
    "half words": _words(["full" if index % 2 else "lite" for index in range(70)]),
    "odd words": _words([*_FULL, *(["odd"] * 3), *(["full"] * 17)]),
    "no word now": _words([*_FULL, ""]),
    "nothing": _numbers([]),
    "out of reach": Unavailable("refused"),
}
FACTS: dict[str, MetricFacts] = {
    "ms with sides": MetricFacts("ms", 60.0, True, "neither"),
    "ratio without sides": MetricFacts("ratio", 60.0, False, "lower_is_better"),
    "count": MetricFacts("count", 60.0, True, "neither"),
    "number": MetricFacts("", 60.0, True, "neither"),
    "words": MetricFacts("category", 60.0, True, "neither"),
    "sparse": MetricFacts("x", 3000.0, True, "higher_is_better"),
    "no spacing": MetricFacts("", 0.0, True, "neither"),
}


def _observed(series: Series | Unavailable) -> Observations:
    """The series of m; the other ones are steady, a little worse, and of the same unit."""
    other: Series | Unavailable = series
    if isinstance(series, Series) and series.labels is None:
        other = Series(series.times_s, np.where(np.isnan(series.values), 3.0, 3.5), series.unit, series.interval_s)
    found: dict[Selector, Series | Unavailable] = {}
    for metric in ("m", "n", "k"):
        for side in ("canary", "stable", "all"):
            found[Selector(metric, side)] = series if metric == "m" and side != "stable" else other
    return {**found, Selector("m", "canary", 3600.0): other, Selector("m", "all", 0.0, "before"): other}


def decisions(name: str) -> Iterator[str]:
    """What the condition says of each series."""
    spec = CONDITION.validate_python(CONDITIONS[name])
    for title, series in SERIES.items():
        found = spec.judge(_observed(series), NOW_S)
        left = "" if found.holds_in_s is None else f" (in {found.holds_in_s:.10g} s)"
        numbers = ", ".join(f"{key} {value:.10g}" for key, value in found.numbers.items())
        yield f"{name} | {title} | {found.verdict.name}{left} | {found.reason} | {numbers}"


def fits(name: str) -> Iterator[str]:
    """What the condition needs, and what it says of each kind of metric."""
    spec = CONDITION.validate_python(CONDITIONS[name])
    for need in spec.needs():
        yield f"{name} | needs | {need.selector[:4]} for {need.window_s:g} s"
    for title, facts in FACTS.items():
        problems = spec.problems({"m": facts, "n": facts, "k": facts})
        yield f"{name} | {title} | {'; '.join(problems) or 'fits'}"
    yield f"{name} | none | {'; '.join(spec.problems({}))}"
    mixed = {"m": FACTS["ms with sides"], "n": FACTS["ratio without sides"], "k": FACTS["words"]}
    yield f"{name} | mixed | {'; '.join(spec.problems(mixed)) or 'fits'}"


def approved(path: Path) -> dict[str, list[str]]:
    """The lines of a file by condition."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        found.setdefault(line.split(" | ", 1)[0], []).append(line)
    return found


if __name__ == "__main__":
    for file, lines in ((DECISIONS, decisions), (FITS, fits)):
        file.write_text("".join(f"{line}\n" for name in CONDITIONS for line in lines(name)))
