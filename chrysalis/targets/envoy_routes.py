"""The route file that splits Envoy's traffic: written from a Routing, and read back from what Envoy says it uses.

Pure: values in, values out. The stamp of the write is the file's `version_info`, and stands in each route's metadata as
well, because Envoy takes a file that differs in nothing but its version for no change and goes on reporting the old version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chrysalis.targets.base import Stamp

ROUTE_CONFIGURATION = "local"
_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_METADATA = "chrysalis"


@dataclass(frozen=True, slots=True)
class HeaderOverride:
    """Requests with this header (exact value) go to the canary whatever the weights say."""

    header: str
    value: str


@dataclass(frozen=True, slots=True)
class Routing:
    """All that the route file says: the canary's share (percent, 0-100) and the overrides that bypass it."""

    canary_percent: int
    overrides: tuple[HeaderOverride, ...] = ()


@dataclass(frozen=True, slots=True)
class Clusters:
    """The names of Envoy's clusters for the two sides, and what keeps a user on one side, if anything: a header or a cookie
    that tells users apart. The service gives the cookie; whoever comes without one is split by chance."""

    stable: str = "stable"
    canary: str = "canary"
    sticky_header: str | None = None
    sticky_cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What Envoy has loaded: the routing and the version_info it came with."""

    routing: Routing
    version: str

    @property
    def stamp(self) -> Stamp | None:
        """Who wrote it; None where it was not one of us."""
        return Stamp.parse(self.version)


def render(routing: Routing, version: str, clusters: Clusters) -> dict[str, Any]:
    """The content of the route file."""
    routes = [_override_route(override, version, clusters) for override in routing.overrides]
    routes.append(_weighted_route(routing.canary_percent, version, clusters))
    return {
        "version_info": version,
        "resources": [
            {
                "@type": _TYPE,
                "name": ROUTE_CONFIGURATION,
                "validate_clusters": True,
                "virtual_hosts": [{"name": "service", "domains": ["*"], "routes": routes}],
            }
        ],
    }


def _side_header(side: str) -> list[dict[str, Any]]:
    return [{"header": {"key": "x-side", "value": side}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _metadata(version: str) -> dict[str, Any]:
    return {"filter_metadata": {_METADATA: {"stamp": version}}}


def _override_route(override: HeaderOverride, version: str, clusters: Clusters) -> dict[str, Any]:
    return {
        "match": {
            "prefix": "/",
            "headers": [{"name": override.header, "string_match": {"exact": override.value}}],
        },
        "route": {"cluster": clusters.canary, "timeout": "10s"},
        "response_headers_to_add": _side_header("canary"),
        "metadata": _metadata(version),
        "stat_prefix": "override",
    }


def _weighted_route(canary_percent: int, version: str, clusters: Clusters) -> dict[str, Any]:
    # The canary stands first: of users who stick, those in [0, percent) stay in it when the percentage grows.
    shares = [("canary", clusters.canary, canary_percent), ("stable", clusters.stable, 100 - canary_percent)]
    weighted: dict[str, Any] = {
        "clusters": [
            {"name": name, "weight": weight, "response_headers_to_add": _side_header(side)} for side, name, weight in shares
        ]
    }
    action: dict[str, Any] = {"weighted_clusters": weighted, "timeout": "10s"}
    by: list[dict[str, Any]] = []
    if clusters.sticky_header is not None:
        by.append({"header": {"header_name": clusters.sticky_header}})
    if clusters.sticky_cookie is not None:
        by.append({"cookie": {"name": clusters.sticky_cookie}})
    if by:
        weighted["use_hash_policy"] = True
        action["hash_policy"] = by
    return {"match": {"prefix": "/"}, "route": action, "metadata": _metadata(version), "stat_prefix": "weighted"}


def loaded(config_dump: Mapping[str, Any], clusters: Clusters) -> Loaded | None:
    """What the answer of `/config_dump?resource=dynamic_route_configs` holds of our route configuration.

    None where it is absent or not of the form that `render` writes.
    """
    for entry in config_dump.get("configs", []):
        configuration = entry.get("route_config", {})
        if configuration.get("name") == ROUTE_CONFIGURATION:
            routing = parse(configuration, clusters)
            return None if routing is None else Loaded(routing, str(entry.get("version_info", "")))
    return None


def written(content: Mapping[str, Any], clusters: Clusters) -> Loaded | None:
    """What a route file holds; None where it is not of the form that `render` writes."""
    resources = content.get("resources", [])
    routing = parse(resources[0], clusters) if resources else None
    return None if routing is None else Loaded(routing, str(content.get("version_info", "")))


def parse(configuration: Mapping[str, Any], clusters: Clusters) -> Routing | None:
    """The routing in a route configuration; None where it is not of the form that `render` writes."""
    try:
        routes = configuration["virtual_hosts"][0]["routes"]
        overrides = tuple(_override(route) for route in routes[:-1])
        percent = _canary_percent(routes[-1]["route"]["weighted_clusters"]["clusters"], clusters)
    except (KeyError, IndexError, TypeError):
        return None
    return None if percent is None else Routing(percent, overrides)


def _override(route: Mapping[str, Any]) -> HeaderOverride:
    header = route["match"]["headers"][0]
    return HeaderOverride(header["name"], header["string_match"]["exact"])


def _canary_percent(shares: Sequence[Mapping[str, Any]], clusters: Clusters) -> int | None:
    # Envoy leaves a weight of zero out of its answer.
    weights = {share["name"]: int(share.get("weight", 0)) for share in shares}
    if set(weights) != {clusters.stable, clusters.canary} or sum(weights.values()) != 100:
        return None
    return weights[clusters.canary]
