"""What is asked together, and that it answers as if each had been asked alone: on a real Prometheus, random questions."""

import os
import random
from collections.abc import Iterator, Sequence
from time import sleep, time
from urllib.parse import parse_qs

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chrysalis.metrics.base import Query
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.metrics.prometheus_batches import plan
from chrysalis.metrics.promql_regroup import regroup
from gates.observation import Series, Unavailable
from tests.metrics.queries import query, reason, series
from tests.metrics.servers import Asked, Reply, running_prometheus, serving

SERVICES = ("maia", "ir.s", "o|d", 'q"', "lost", "half", "quiet")
"""Names that mean something in a pattern or end a string; `lost` has no series, `half` no errors, `quiet` only zeros."""
SIDES = ("canary", "stable")
MATCH = 'service="{service}",side="{side}"'


def exposed() -> bytes:
    """Growing counters, gauges and a histogram for all services but `lost`."""
    seed = random.Random(4)
    grown = int(time() * 10) % 1_000_000
    lines: list[str] = []
    for service in SERVICES:
        if service == "lost":
            continue
        for side in SIDES:
            for pod in ("a", "b"):
                at = f'service="{service}",side="{side}",pod="{pod}"'.replace('q"', 'q\\"')
                total = 0 if service == "quiet" else seed.randint(1, 9) * grown
                lines.append(f"asked{{{at}}} {total}")
                if service != "half":
                    lines.append(f"failed{{{at}}} {total // seed.randint(2, 9)}")
                lines.append(f"level{{{at}}} {seed.choice([0.25, 0.5, 0.75, float('nan')])}")
                for bound, count in (("0.1", 3), ("0.5", seed.randint(4, 9)), ("+Inf", 10)):
                    lines.append(f'took_bucket{{{at},le="{bound}"}} {count * total}')
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture(scope="module")
def source() -> Iterator[PrometheusSource]:
    def reply(_: Asked) -> Reply:
        return Reply(body=exposed(), headers={"Content-Type": "text/plain; version=0.0.4"})

    with serving(reply) as exporter, running_prometheus(exporter.url) as url:
        opened = PrometheusSource(url, scrape_interval_s=0.2)
        deadline = time() + 30
        while not len(series(opened.fetch([query("sum(count_over_time(asked[10s])) >= 400")])[0])):
            assert time() < deadline, "Prometheus has not scraped often enough"
            sleep(0.1)
        yield opened
        opened.close()


def vectors() -> st.SearchStrategy[str]:
    """PromQL of the kinds that plans write, and some that cannot be asked together."""
    chosen = st.sampled_from
    raw = st.builds("{}{{{}}}".format, chosen(["asked", "failed", "level", "absent_metric"]), st.just(MATCH))
    ranged = st.builds(
        "{}({}{{{}}}[2s])".format,
        chosen(["increase", "max_over_time", "count_over_time", "last_over_time"]),
        chosen(["asked", "failed", "level"]),
        st.just(MATCH),
    )
    quantiles = st.just(f"histogram_quantile(0.9, sum by (le) (took_bucket{{{MATCH}}}))")
    summed = st.builds(
        "{} {}({})".format,
        chosen(["sum", "max", "min", "avg", "count", "quantile(0.5, x)"]),
        chosen(["", "by (side) ", "by (pod) ", "by (service, pod) ", "without (pod) "]),
        raw | ranged,
    ).map(lambda text: text.replace("quantile(0.5, x)", "max"))
    filled = st.builds("({} or vector({}))".format, summed, chosen(["0", "2.5", "-1"]))

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        sign = chosen(["+", "-", "*", "/", ">", "<= bool", "==", "or", "and", "unless"])
        return (
            st.builds("({} {} {})".format, inner, sign, inner)
            | st.builds("({} {} {})".format, inner, chosen(["+", "/", ">", "< bool", "^"]), chosen(["0", "2", "-0.5"]))
            | st.builds("{}({})".format, chosen(["sum", "abs", "max", "-", "absent", "clamp_min"]), inner).map(
                lambda text: text if not text.startswith("clamp_min") else f"{text[:-1]}, 0.5)"
            )
        )

    return st.recursive(summed | filled | quantiles | raw, grow, max_leaves=4)


def asked_for(text: str, end_s: float, span_s: float) -> list[Query]:
    return [query(text, end_s=end_s, span_s=span_s, service=one, side=side) for one in SERVICES for side in SIDES]


def same(one: Series | Unavailable, other: Series | Unavailable) -> bool:
    if isinstance(one, Unavailable) or isinstance(other, Unavailable):
        return type(one) is type(other)
    return one.times_s.tolist() == other.times_s.tolist() and np.allclose(
        one.values, other.values, rtol=1e-12, atol=0, equal_nan=True
    )


@settings(max_examples=int(os.environ.get("EXAMPLES", "80")), deadline=None, suppress_health_check=list(HealthCheck))
@given(vectors(), st.sampled_from([1.0, 1.0, 3.0]))
def test_asked_together_is_as_if_asked_alone(source: PrometheusSource, text: str, span_s: float) -> None:
    assume(regroup(text, ("service", "side")) is not None)
    queries = asked_for(text, time() - 1, span_s)
    together = source.fetch(queries)
    alone = [source.fetch([one])[0] for one in queries]
    differ = [(q.variables, a, b) for q, a, b in zip(queries, alone, together, strict=True) if not same(a, b)]
    assert differ == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sum(asked{%s}) / sum(failed{%s})", id="a ratio"),
        pytest.param("(sum(rate(failed{%s}[2s])) or vector(0)) / (sum(rate(asked{%s}[2s])) > 0)", id="errors, 0 for none"),
        pytest.param("sum(asked{%s}) or vector(0)", id="a count, 0 for none"),
        pytest.param("histogram_quantile(0.99, sum by (le) (rate(took_bucket{%s}[2s]))) >= 0", id="a percentile"),
        pytest.param("max(level{%s} offset 1s)", id="some time ago"),
        pytest.param("min(level{%s,pod!=''})", id="one more matcher"),
        pytest.param("-2 ^ 2 * sum(asked{%s})", id="signs bind as in PromQL"),
        pytest.param("sum(asked{%s}) - sum(failed{%s}) - 1", id="differences from the left"),
    ],
)  # fmt: skip
def test_what_plans_write_is_asked_once(source: PrometheusSource, text: str) -> None:
    queries = asked_for(text.replace("%s", MATCH), time() - 1, 1.0)
    assert len(list(plan(queries))) == 1
    alone = [source.fetch([one])[0] for one in queries]
    assert all(map(same, alone, source.fetch(queries)))
    assert any(isinstance(one, Series) and len(one) for one in alone)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sum without (pod) (asked{%s})", id="without"),
        pytest.param("topk(1, asked{%s})", id="topk"),
        pytest.param("absent(asked{%s})", id="absent"),
        pytest.param("sum(asked{%s}) / on () sum(failed{%s})", id="a modifier"),
        pytest.param("sum(asked{%s}) / sum(failed)", id="a selector of everybody"),
        pytest.param("sum(asked{%s}) / asked{%s}", id="a sum matched with series that have labels"),
        pytest.param("(sum(asked{%s}) or vector(0)) > 5", id="a default that is filtered"),
        pytest.param("max_over_time(rate(asked{%s}[1s])[5s:1s])", id="a subquery"),
        pytest.param('asked{service=~"{service}",side="{side}"}', id="a pattern"),
        pytest.param('asked{service="x-{service}",side="{side}"}', id="a part of a name"),
        pytest.param("asked{%s}[2s]", id="a range alone"),
    ],
)  # fmt: skip
def test_what_would_not_be_exact_is_asked_alone(text: str) -> None:
    queries = asked_for(text.replace("%s", MATCH), 1000.0, 1.0)
    assert len(list(plan(queries))) == len(queries)


def test_a_service_that_is_missing_has_no_data(source: PrometheusSource) -> None:
    found = source.fetch([query("sum(asked{%s})".replace("%s", MATCH), service=one, side="canary") for one in SERVICES])
    assert [len(series(one)) for one in found] == [0 if one == "lost" else 1 for one in SERVICES]


def test_a_fault_of_one_service_spoils_no_other_answer() -> None:
    """A refusal for the service `bad` among eight: asked in halves until it stands alone."""

    def reply(asked: Asked) -> Reply:
        text = parse_qs(asked.body.decode())["query"][0]
        if "bad" in text:
            return Reply(status=422, body=b'{"status":"error","error":"many-to-many matching not allowed"}')
        names = [name for name in "abcdefg" if f'"{name}"' in text or f"|{name}" in text or f'"{name}|' in text]
        rows = ",".join(f'{{"metric":{{"service":"{name}"}},"value":[1,"1"]}}' for name in names)
        return Reply(body=f'{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}'.encode())

    with serving(reply) as server:
        source = PrometheusSource(server.url)
        services = [*"abcdefg", "bad"]
        found = source.fetch(
            [query('sum by (service) (x{service="{service}"})', end_s=1.0, service=one) for one in services]
        )
        source.close()
    assert "many-to-many" in reason(found[-1])
    assert [series(one).values.tolist() for one in found[:-1]] == [[1.0]] * 7
    assert len(server.asked) == 7


def test_services_differ_and_sides_are_told_apart() -> None:
    text = 'sum(up{service="{service}"}) / sum(asked{service="{service}",side="{side}"})'
    batches = list(plan(asked_for(text, 1000.0, 1.0)))
    assert sorted(len(batch.members) for batch in batches) == [len(SERVICES)] * 2


def test_equal_questions_are_one(source: PrometheusSource) -> None:
    twice: Sequence[Query] = [query("sum(asked)", end_s=1000.0)] * 2
    (batch,) = plan(twice)
    assert batch.indexes == [0, 1]
