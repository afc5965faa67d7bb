"""Series of every kind, the broken ones included, and conditions of every kind."""

import math

from hypothesis import strategies as st
from pydantic import TypeAdapter

from gates.conditions import AnyCondition
from gates.observation import Observations, Selector, Series

CONDITION = TypeAdapter(AnyCondition)
NOW_S = 1_800_000_000.0
MINUTE = 60.0


def condition(kind, **fields):
    """A condition as the plan writes it."""
    return CONDITION.validate_python({kind: fields})


def every_minute(values, *, unit="ms", now_s=NOW_S, interval_s=MINUTE):
    """Samples one interval apart, the newest at now."""
    first_s = now_s - interval_s * (len(values) - 1)
    return Series.of([(first_s + i * interval_s, v) for i, v in enumerate(values)], unit=unit, interval_s=interval_s)


def words(labels, *, now_s=NOW_S, interval_s=MINUTE):
    """Words one interval apart, the newest at now."""
    first_s = now_s - interval_s * (len(labels) - 1)
    rows = [(first_s + i * interval_s, label) for i, label in enumerate(labels)]
    return Series.of_labels(rows, unit="category", interval_s=interval_s)


def canary(**series):
    """Observations of the canary by metric."""
    return {Selector(metric, "canary"): one for metric, one in series.items()}


any_time = st.one_of(st.floats(NOW_S - 8000, NOW_S + 300), st.integers(-130, 5).map(lambda i: NOW_S + i * 60.0), st.floats())
any_value = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1.0, math.inf, -math.inf, math.nan, 1.7e308, -1.7e308]))
any_unit = st.sampled_from(["ms", "s", "ratio", "%", "x", "", "count", "/s", "points", "time", "USD", "category"])


@st.composite
def any_series(draw):
    """Unordered, duplicate, future, missing, infinite and huge samples; odd units and spacings."""
    unit = draw(any_unit)
    interval_s = draw(st.one_of(st.just(60.0), st.just(60.0), st.sampled_from([0.0, -1.0, math.nan, math.inf, 1e-9, 15.0])))
    times = draw(st.lists(any_time, max_size=40))
    if draw(st.booleans()):
        return Series.of_labels(
            [(t, draw(st.sampled_from(["full", "lite", ""]))) for t in times], unit=unit, interval_s=interval_s
        )
    return Series.of([(t, draw(any_value)) for t in times], unit=unit, interval_s=interval_s)


def observed(series) -> Observations:
    """The same series wherever a condition could look for it."""
    selectors = [Selector(m, side) for m in ("m", "n", "k") for side in ("canary", "stable", "all")]
    selectors += [Selector("m", "canary", 3600.0), Selector("m", "all", 0.0, "before")]
    return dict.fromkeys(selectors, series)


EVERY_KIND = {
    "threshold last": {"threshold": {"metric": "m", "at_most": 5}},
    "threshold held": {"threshold": {"metric": "m", "below": 5, "held": "60m"}},
    "threshold mean": {"threshold": {"metric": "m", "above": 5, "statistic": "mean", "over": "60m"}},
    "threshold rate": {"threshold": {"metric": "m", "at_least": 5, "statistic": "rate", "over": "60m"}},
    "threshold p95": {"threshold": {"metric": "m", "between": [1, 5], "statistic": "p95", "over": "60m"}},
    "threshold sum": {"threshold": {"metric": "m", "at_most": "5s", "statistic": "sum", "over": "60m"}},
    "comparison stable": {"comparison": {"metric": "m", "against": "stable", "at_most": "5%", "relative": True}},
    "comparison ago": {"comparison": {"metric": "m", "against": "1h ago", "within": 5}},
    "comparison multiple": {"comparison": {"metric": "m", "against": "baseline:before", "at_least": "5x"}},
    "comparison speed-up": {"comparison": {"metric": "m", "against": "stable", "speed_up": "5x"}},
    "comparison target": {"comparison": {"metric": "m", "target": 2.07, "within": "10%", "statistic": "mean", "over": "1h"}},
    "trend flat": {"trend": {"metric": "m", "is": "flat", "within": "5%", "over": "30m"}},
    "trend rising": {"trend": {"metric": "m", "is": "rising", "over": "30m"}},
    "trend unbounded": {"trend": {"metric": "m", "is": "unbounded", "over": "30m"}},
    "distribution words": {
        "distribution": {"metric": "m", "shares": {"full": "50%", "lite": "50%"}, "tolerance": "5pp", "over": "1h"}
    },
    "distribution amounts": {
        "distribution": {
            "metrics": {"full": "m", "lite": "n"},
            "shares": {"full": "50%", "lite": "50%"},
            "tolerance": {"full": "5pp", "lite": "6pp"},
        }
    },
    "category": {"category": {"metric": "m", "is": "full"}},
    "category held": {"category": {"metric": "m", "one_of": ["full", "lite"], "held": "10m"}},
    "count": {"count": {"metric": "m", "at_most": 3, "over": "1h"}},
    "count total": {"count": {"metric": "m", "at_least": 3, "over": "1h", "samples_are": "total"}},
    "exists": {"exists": {"metric": "m"}},
    "exists in a window": {"exists": {"metric": "m", "over": "1h"}},
    "in a row": {"in_a_row": {"metric": "m", "more_than": 3}},
    "incident free": {"incident_free": {"metric": "m", "for": "1h"}},
    "incident free total": {"incident_free": {"metric": "m", "for": "1h", "samples_are": "total"}},
    "stable threshold": {"stable": {"of": [{"threshold": {"metric": "m", "at_most": 5}}], "for": "30m"}},
    "stable evaluated": {
        "stable": {"of": [{"comparison": {"metric": "m", "target": 5, "within": 1}}], "for": "30m", "every": "5m"}
    },
    "product": {"product": {"metrics": ["m", "n"], "at_least": 4}},
    "consensus": {"consensus": {"metrics": ["m", "n", "k"], "below": 0.01, "instances": 3}},
    "consensus deviation": {"consensus": {"metrics": ["m"], "below": 0.01, "measure": "deviation"}},
    "burn rate": {"burn_rate": {"metric": "m", "objective": "99.9%", "is": "burning"}},
    "within budget": {
        "burn_rate": {
            "metric": "m",
            "objective": "99%",
            "is": "within_budget",
            "windows": [{"budget": "50%", "over": "1h"}],
            "period": "1d",
        }
    },
    "rank sum": {"rank_sum": {"metric": "m", "over": "60m"}},
    "sequential": {"sequential": {"metric": "m", "over": "60m"}},
    "canary score": {"canary_score": {"metrics": [{"metric": "m"}], "over": "60m"}},
    "all": {"all": [{"threshold": {"metric": "m", "at_most": 5}}, {"exists": {"metric": "n", "mode": "warn"}}]},
    "any": {"any": [{"threshold": {"metric": "m", "at_most": 5}}, {"exists": {"metric": "n"}}]},
    "at least": {
        "at_least": {
            "share": "60%",
            "of": [{"threshold": {"metric": "m", "at_most": 5, "critical": True}}, {"exists": {"metric": "n", "weight": 3}}],
        }
    },
}
