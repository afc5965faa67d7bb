"""Checks by one query: SQL in the service's database (read-only), PromQL in Prometheus. One value, one bound."""

import math

from chrysalis.checks.bounds import compare_measured
from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.metrics.base import Query
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.metrics.sql import SqlSource
from chrysalis.plan.checklist import Measured, Promql, Sql
from gates.observation import Series, Unavailable
from gates.units import CATEGORY


def check_sql(spec: Sql, context: Context) -> Verdict:
    """Raises NotKnown without a row, and where the database does not answer; SettingsError for a URL that is none."""
    source = SqlSource(context.fill(spec.url), timeout_s=spec.timeout.total_seconds())
    unit = CATEGORY if isinstance(spec.equals, str | bool) else spec.unit
    try:
        (answer,) = source.fetch([_query(spec, context, unit)])
    finally:
        source.close()
    return compare_measured("it returns", _one(answer, "no row"), spec)


def check_promql(spec: Promql, context: Context) -> Verdict:
    """Raises NotKnown without a sample, and where Prometheus does not answer."""
    source = PrometheusSource(context.fill(spec.url), timeout_s=spec.timeout.total_seconds())
    try:
        (answer,) = source.fetch([_query(spec, context, spec.unit)])
    finally:
        source.close()
    return compare_measured("it returns", _one(answer, "no sample"), spec)


def _query(spec: Measured, context: Context, unit: str) -> Query:
    now_s = context.now.timestamp()
    return Query("the query", spec.query, unit, "all", now_s - 1.0, now_s, 1.0, context.variables)


def _one(answer: Series | Unavailable, nothing: str) -> float | str:
    if isinstance(answer, Unavailable):
        raise NotKnown(answer.reason)
    if not len(answer):
        raise NotKnown(f"the query returned {nothing}")
    if answer.labels is not None:
        return answer.labels[-1]
    value = float(answer.values[-1])
    if math.isnan(value):
        raise NotKnown("the query returned NaN or NULL, which is no measurement")
    return value
