"""From what a plan names to what can be called: the one place where adapters are chosen.

Adapters are kept per process and per address, so that a tick of the watch or a step of a rollout opens no new connection.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.envoy import EnvoySource
from chrysalis.metrics.http import HttpSource
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.metrics.sql import SqlSource
from chrysalis.plan import Plan, parts
from chrysalis.settings import fill_in
from chrysalis.targets.base import Switchboard, TrafficRouter
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import HeaderOverride
from chrysalis.targets.http_api import HttpApiSwitchboard

Variables = Mapping[str, str]


def router(plan: Plan, name: str, variables: Variables) -> TrafficRouter:
    """The traffic router that the plan calls `name`. Raises SettingsError for a target that routes no traffic."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Envoy() as spec:
            header = _header(spec.header)
            return _envoy(
                fill_in(spec.admin_url, variables, where=where), fill_in(spec.route_file, variables, where=where), header
            )
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, which routes no traffic; use an envoy target")


def switchboard(plan: Plan, name: str, variables: Variables) -> Switchboard:
    """The named values that the plan calls `name`. Raises SettingsError for a target that has none."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.HttpApi() as spec:
            return _http_api(fill_in(spec.url, variables, where=where), spec.path)
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, which has no values to set; use an http_api target")


def database_url(plan: Plan, name: str, variables: Variables) -> str:
    """The URL of the database that the plan calls `name`. Raises SettingsError for another kind of target."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Database() as spec:
            return fill_in(spec.url, variables, where=where)
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, not a database; use a database target")


def router_names(plan: Plan) -> tuple[str, ...]:
    """The targets of the plan that route traffic."""
    return tuple(name for name, target in plan.targets.items() if isinstance(target, parts.Envoy | parts.Haproxy))


def sources(plan: Plan, variables: Variables) -> Mapping[str, MetricSource]:
    """The plan's metric sources by name; those that people fill by hand are left out."""
    built: dict[str, MetricSource] = {}
    for name, spec in plan.sources.items():
        where = f"{plan.name}: source {name}"
        match spec:
            case parts.PrometheusSource():
                url = fill_in(spec.url, variables, where=where)
                built[name] = _prometheus(
                    url,
                    spec.timeout.total_seconds(),
                    float(variables.get("SCRAPE_INTERVAL_S", "0")) or spec.scrape_interval.total_seconds(),
                )
            case parts.SqlSource():
                built[name] = _sql(fill_in(spec.url, variables, where=where), spec.timeout.total_seconds())
            case parts.HttpSource():
                built[name] = _http(fill_in(spec.url, variables, where=where), spec.timeout.total_seconds())
            case parts.EnvoySource():
                url = fill_in(spec.admin_url, variables, where=where)
                built[name] = _counters(url, spec.timeout.total_seconds(), spec.min_requests)
            case _:
                continue
    return built


def _header(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, _, value = text.partition(":")
    return name.strip(), value.strip()


@cache
def _envoy(admin_url: str, route_file: str, header: tuple[str, str] | None) -> EnvoyRouter:
    overrides = () if header is None else (HeaderOverride(*header),)
    return EnvoyRouter(admin_url, Path(route_file), overrides=overrides)


@cache
def _http_api(url: str, path: str) -> HttpApiSwitchboard:
    return HttpApiSwitchboard(url.rstrip("/") + path)


@cache
def _prometheus(url: str, timeout_s: float, scrape_interval_s: float) -> PrometheusSource:
    return PrometheusSource(url, timeout_s=timeout_s, scrape_interval_s=scrape_interval_s)


@cache
def _sql(url: str, timeout_s: float) -> SqlSource:
    return SqlSource(url, timeout_s=timeout_s)


@cache
def _http(url: str, timeout_s: float) -> HttpSource:
    return HttpSource(url, timeout_s=timeout_s)


@cache
def _counters(admin_url: str, timeout_s: float, min_requests: int) -> EnvoySource:
    return EnvoySource(admin_url, timeout_s=timeout_s, min_requests=min_requests)
