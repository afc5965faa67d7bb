"""From what a plan names to what can be called: the one place where adapters are chosen.

Adapters are kept per process and per address, so that a tick of the watch or a step of a rollout opens no new connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
from chrysalis.targets.operator import HttpOperator
from chrysalis.targets.share import ShareRouter
from chrysalis.targets.sql_flags import SqlFlagsSwitchboard

Variables = Mapping[str, str]


def router(plan: Plan, name: str, variables: Variables) -> TrafficRouter:
    """The traffic router that the plan calls `name`. Raises SettingsError for a target that routes no traffic."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Envoy() as spec:
            header = _header(spec.header)
            admin_url, route_file = (fill_in(text, variables, where=where) for text in (spec.admin_url, spec.route_file))
            return _envoy(admin_url, route_file, header, spec.cohort_cookie)
        case parts.Haproxy() as spec:
            socket, routes = (fill_in(text, variables, where=where) for text in (spec.socket, spec.routes))
            return HaproxyRouter(Path(socket), spec.backend, Path(routes), header=spec.header is not None)
        case parts.SqlFlags() as spec:
            return ShareRouter(_sql_flags(fill_in(spec.url, variables, where=where), spec.table), spec.share)
        case other:
            wanted = "use an envoy, haproxy or sql_flags target"
            raise SettingsError(f"{where} is a {type(other).__name__}, which routes no traffic; {wanted}")


def switchboard(plan: Plan, name: str, variables: Variables) -> Switchboard:
    """The named values that the plan calls `name`. Raises SettingsError for a target that has none."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.HttpApi() as spec:
            return _http_api(fill_in(spec.url, variables, where=where), spec.path)
        case parts.SqlFlags() as spec:
            return _sql_flags(fill_in(spec.url, variables, where=where), spec.table)
        case other:
            wanted = "use an http_api or sql_flags target"
            raise SettingsError(f"{where} is a {type(other).__name__}, which has no values to set; {wanted}")


def database_url(plan: Plan, name: str, variables: Variables) -> str:
    """The URL of the database that the plan calls `name`. Raises SettingsError for another kind of target."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Database() as spec:
            return fill_in(spec.url, variables, where=where)
        case other:
            raise SettingsError(f"{where} is a {type(other).__name__}, not a database; use a database target")


def operator(plan: Plan, name: str, variables: Variables) -> HttpOperator:
    """What can be operated by name: layers, versions, regions. Raises SettingsError for another kind of target."""
    where = f"{plan.name}: target {name}"
    match plan.targets[name]:
        case parts.Layers() | parts.Versions() | parts.Regions() as spec:
            return _operator(fill_in(spec.url, variables, where=where))
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


def _header(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, _, value = text.partition(":")
    return name.strip(), value.strip()


@cache
def _envoy(admin_url: str, route_file: str, header: tuple[str, str] | None, cookie: str | None) -> EnvoyRouter:
    overrides = () if header is None else (HeaderOverride(*header),)
    return EnvoyRouter(admin_url, Path(route_file), clusters=Clusters(sticky_cookie=cookie), overrides=overrides)


@cache
def _http_api(url: str, path: str) -> HttpApiSwitchboard:
    return HttpApiSwitchboard(url.rstrip("/") + path)


@cache
def _sql_flags(url: str, table: str) -> SqlFlagsSwitchboard:
    return SqlFlagsSwitchboard(url, table)


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
