"""Which metric names a PromQL text uses."""

import pytest

from chrysalis.live_prometheus import names_in


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ["up"]),
        ('sum by (le) (rate(a_bucket{side="{side}"}[{window}]))', ["a_bucket"]),
        ("sum(a) by (job, side) / on (job) group_left (team) b:rate5m", ["a", "b:rate5m"]),
        ("(a or vector(0)) unless b and c", ["a", "b", "c"]),
        ("histogram_quantile(0.99, sum by (le) (rate(x[5m] offset 1h))) >= 0", ["x"]),
        ('label_replace(a{x="b{c}"}, "d", "e", "f", "g")', ["a"]),
        ("max_over_time(rate(a[1m])[5m:15s]) > bool 1e3 + Inf", ["a"]),
        ("a / a", ["a"]),
        ("vector(1)", []),
        ("SUM(a) BY (b)", ["a"]),
        ("1h + 5m + 0x1f", []),
    ],
)
def test_names(query: str, names: list[str]) -> None:
    assert names_in(query) == names
