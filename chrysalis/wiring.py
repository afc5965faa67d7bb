"""From what a plan names to what can be called: the one place where adapters are chosen.

Adapters are kept per process and per address, so that a tick of the watch or a step of a rollout opens no new connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chrysalis.effects.database.programs import Programs
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
from chrysalis.targets.envoy_routes import Clusters, HeaderOverride
from chrysalis.targets.haproxy import HaproxyRouter
from chrysalis.targets.http_api import HttpApiSwitchboard
from chrysalis.targets.operator import HttpOperator, Operator
from chrysalis.targets.share import ShareRouter
from chrysalis.targets.sql_flags import SqlFlagsSwitchboard
from chrysalis.targets.unleash import UnleashRouter, UnleashSwitchboard
from chrysalis.targets.unleash_api import Unleash

if TYPE_CHECKING:
    from chrysalis.targets.kubernetes import DeploymentOperator
    from chrysalis.targets.kubernetes_api import Cluster
    from chrysalis.targets.kubernetes_environment import DeploymentEnvironment

Variables = Mapping[str, str]
KUBECONFIG = "KUBECONFIG"
"""The variable that names the file by which a Kubernetes client finds its cluster."""


def router(plan: Plan, name: str, variables: Variables) -> TrafficRouter:
    """The traffic router that the plan calls `name`. Raises SettingsError for a target that routes no traffic."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Envoy() as spec:
            admin_url, route_file = (fill_in(text, variables, where=where) for text in (spec.admin_url, spec.route_file))
            clusters = Clusters(sticky_header=spec.user_header, sticky_cookie=spec.cohort_cookie)
            return _envoy(admin_url, route_file, spec.header, clusters, tuple(spec.cohorts.items()))
        case parts.Haproxy() as spec:
            socket, routes = (fill_in(text, variables, where=where) for text in (spec.socket, spec.routes))
            return HaproxyRouter(Path(socket), spec.backend, Path(routes), header=spec.header is not None)
        case parts.SqlFlags() as spec:
            return ShareRouter(_sql_flags(fill_in(spec.url, variables, where=where), spec.table), spec.share)
        case parts.Unleash(share=str(share)) as spec:
            return UnleashRouter(_unleash_of(spec, variables, where), share, stickiness=spec.stickiness)
        case parts.Kubernetes(route=str(route)) as spec:
            return _http_route(spec.namespace, spec.context, variables.get(KUBECONFIG), route, spec.canary, spec.stable)
        case other:
            wanted = "use envoy, haproxy, sql_flags, kubernetes with a route, or unleash with a share"
            raise SettingsError(f"{where} is a {type(other).__name__}, which routes no traffic; {wanted}")


def switchboard(plan: Plan, name: str, variables: Variables) -> Switchboard:
    """The named values that the plan calls `name`. Raises SettingsError for a target that has none."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.HttpApi() as spec:
            return _http_api(fill_in(spec.url, variables, where=where), spec.path)
        case parts.SqlFlags() as spec:
            return _sql_flags(fill_in(spec.url, variables, where=where), spec.table)
        case parts.Kubernetes() as spec:
            return _deployment(spec.namespace, spec.context, variables.get(KUBECONFIG), spec.deployment, spec.container)[0]
        case parts.Unleash() as spec:
            return UnleashSwitchboard(_unleash_of(spec, variables, where))
        case other:
            wanted = "use an http_api, kubernetes, sql_flags or unleash target"
            raise SettingsError(f"{where} is a {type(other).__name__}, which has no values to set; {wanted}")


def database_url(plan: Plan, name: str, variables: Variables) -> str:
    """The URL of the database that the plan calls `name`. Raises SettingsError for another kind of target."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Database() as spec:
            return fill_in(spec.url, variables, where=where)
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, not a database; use a database target")


def operator(plan: Plan, name: str, variables: Variables) -> Operator:
    """What can be operated by name: layers, versions, regions. Raises SettingsError for another kind of target."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Layers() | parts.Versions() | parts.Regions() as spec:
            return _operator(fill_in(spec.url, variables, where=where))
        case parts.Kubernetes() as spec:
            return _deployment(spec.namespace, spec.context, variables.get(KUBECONFIG), spec.deployment, spec.container)[1]
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, which has no operations by name")


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """A database of the service, and what its backups and restores need."""

    url: str
    backups: Path
    wal_archive: Path | None
    time_columns: Mapping[str, str]
    programs: Programs


def database(plan: Plan, name: str, variables: Variables, home: Path) -> ServiceDatabase:
    """The database that the plan calls `name`; its backups lie in `PLAN/NAME` below `backups_folder`.

    PostgreSQL's programs are those on the PATH, or in `${POSTGRES_PROGRAMS}`. Raises SettingsError.
    """
    url = database_url(plan, name, variables)
    spec: parts.Database = plan.targets[name]
    programs, archive = variables.get("POSTGRES_PROGRAMS"), None
    if spec.wal_archive is not None:
        archive = Path(fill_in(spec.wal_archive, variables, where=f"{plan.name}: target {name}"))
    return ServiceDatabase(
        url=url,
        backups=backups_folder(variables, home) / plan.name / name,
        wal_archive=archive,
        time_columns=spec.time_columns,
        programs=Programs(Path(programs) if programs else None),
    )


def backups_folder(variables: Variables, home: Path) -> Path:
    """Where backups lie: below `${BACKUPS}`, else in the home folder."""
    return Path(variables.get("BACKUPS") or home / "backups")


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


@cache
def _envoy(
    admin_url: str, route_file: str, header: str | None, clusters: Clusters, cohorts: tuple[tuple[str, str], ...]
) -> EnvoyRouter:
    return EnvoyRouter(
        admin_url,
        Path(route_file),
        clusters=clusters,
        overrides=() if header is None else (HeaderOverride.parse(header),),
        cohorts={name: HeaderOverride.parse(text) for name, text in cohorts},
    )


@cache
def _http_api(url: str, path: str) -> HttpApiSwitchboard:
    return HttpApiSwitchboard(url.rstrip("/") + path)


@cache
def _sql_flags(url: str, table: str) -> SqlFlagsSwitchboard:
    return SqlFlagsSwitchboard(url, table)


def _unleash_of(spec: parts.Unleash, variables: Variables, where: str) -> Unleash:
    url, token = fill_in(spec.url, variables, where=where), fill_in(spec.token, variables, where=where, secret=True)
    given = spec.client_token
    client_token = None if given is None else fill_in(given, variables, where=where, secret=True)
    return _unleash(url, token, spec.project, spec.environment, client_token)


@cache
def _unleash(url: str, token: str, project: str, environment: str, client_token: str | None) -> Unleash:
    return Unleash(url, token, project=project, environment=environment, client_token=client_token)


# The client is an extra, and takes a second to import: only plans with such a target need it.


@cache
def _cluster(namespace: str, context: str | None, kubeconfig: str | None) -> "Cluster":
    try:
        from chrysalis.targets.kubernetes_api import Cluster
    except ImportError as error:
        raise SettingsError(f"a kubernetes target needs its client ({error}); install chrysalis[kubernetes]") from error
    return Cluster(namespace, context=context, kubeconfig=kubeconfig)


@cache
def _deployment(
    namespace: str, context: str | None, kubeconfig: str | None, name: str, container: str | None
) -> "tuple[DeploymentEnvironment, DeploymentOperator]":
    cluster = _cluster(namespace, context, kubeconfig)
    from chrysalis.targets.kubernetes import DeploymentOperator
    from chrysalis.targets.kubernetes_environment import DeploymentEnvironment

    return DeploymentEnvironment(cluster, name, container), DeploymentOperator(cluster, name, container)


@cache
def _http_route(
    namespace: str, context: str | None, kubeconfig: str | None, name: str, canary: str, stable: str
) -> TrafficRouter:
    cluster = _cluster(namespace, context, kubeconfig)
    from chrysalis.targets.kubernetes_route import HttpRouteRouter

    return HttpRouteRouter(cluster, name, canary=canary, stable=stable)


@cache
def _operator(url: str) -> HttpOperator:
    return HttpOperator(url)


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
