"""The route file that splits Envoy's traffic: written from a Routing, and read back from what Envoy says it uses.

Pure: values in, values out. The stamp of the write is the file's `version_info`, and stands in each route's metadata as
well, because Envoy takes a file that differs in nothing but its version for no change and goes on reporting the old version.

Envoy hashes a cookie when it picks a side, but gives none to whoever comes without (1.40, seen). So such requests have a
route of their own: hashed by the id that Envoy gives each request, which goes back as the cookie. Both hash alike, so a
newcomer is on the same side from the first request on. (An Envoy that traces changes a digit of the id after it picked the
side; then it is from the second on.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chrysalis.errors import SettingsError
from chrysalis.targets.base import Stamp

ROUTE_CONFIGURATION = "local"
COOKIE_LIVES_S = 90 * 24 * 3600
"""Longer than a rollout takes: a user whose cookie ran out might change sides."""
_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_METADATA = "chrysalis"
_EVERYBODY: Mapping[str, Any] = {"prefix": "/"}
_OF_COHORT = r"(\..*)?"
"""What may follow the cohort's name in its cookie: a dot, and what tells this user from the others."""
_REQUEST_ID = "x-request-id"
_UNESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class HeaderOverride:
    """Requests with this header (exact value)."""

    header: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "HeaderOverride":
        """From `name: value`. Raises SettingsError."""
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise SettingsError(f"header {text!r}: expected `name: value`, such as `x-canary: on`")
        return cls(name.strip(), value.strip())


@dataclass(frozen=True, slots=True)
class CookieCohort:
    """Requests of a cohort: the cookie's value is the cohort's name, or begins with it and a dot (`beta.4711`)."""

    cookie: str
    cohort: str


Cohort = HeaderOverride | CookieCohort
"""Who belongs to a cohort: by a header (exact value), or by a cookie."""


@dataclass(frozen=True, slots=True)
class Routing:
    """All that the route file says: the canary's share (percent, 0-100), the overrides that bypass it, and the cohort that
    the share is taken from (all users where there is none)."""

    canary_percent: int
    overrides: tuple[Cohort, ...] = ()
    audience: Cohort | None = None


@dataclass(frozen=True, slots=True)
class Clusters:
    """The names of Envoy's clusters for the two sides, and what keeps a user on one side, if anything: a header that the
    client sends, or a cookie, which Envoy gives to whoever comes without one. With both the header counts where it is sent.
    """

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
    if routing.audience is None:
        routes += _weighted_routes(_EVERYBODY, routing.canary_percent, version, clusters)
    else:
        routes += _weighted_routes(_match(routing.audience), routing.canary_percent, version, clusters)
        routes += _weighted_routes(_EVERYBODY, 0, version, clusters)
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


def _match(cohort: Cohort) -> dict[str, Any]:
    match cohort:
        case HeaderOverride(header, value):
            return {**_EVERYBODY, "headers": [{"name": header, "string_match": {"exact": value}}]}
        case CookieCohort(cookie, name):
            pattern = {"safe_regex": {"regex": re.escape(name) + _OF_COHORT}}
            return {**_EVERYBODY, "cookies": [{"name": cookie, "string_match": pattern}]}


def _override_route(override: Cohort, version: str, clusters: Clusters) -> dict[str, Any]:
    return {
        "match": _match(override),
        "route": {"cluster": clusters.canary, "timeout": "10s"},
        "response_headers_to_add": _side_header("canary"),
        "metadata": _metadata(version),
        "stat_prefix": "override",
    }


def _weighted_routes(
    match: Mapping[str, Any], canary_percent: int, version: str, clusters: Clusters
) -> list[dict[str, Any]]:
    """The split of those who match; before it, where a cookie is to keep users, that of those who come without one."""
    by_header = [] if clusters.sticky_header is None else [{**_hash_of(clusters.sticky_header), "terminal": True}]
    cookie = clusters.sticky_cookie
    if cookie is None:
        return [_weighted_route(match, canary_percent, version, clusters, by_header)]
    by_cookie = [*by_header, {"cookie": {"name": cookie}}]
    routes = [_weighted_route(match, canary_percent, version, clusters, by_cookie)]
    if canary_percent > 0 and "cookies" not in match:
        without = {"name": cookie, "string_match": {"safe_regex": {"regex": ".+"}}, "invert_match": True}
        by_request = [*by_header, _hash_of(_REQUEST_ID)]
        newcomers = _weighted_route({**match, "cookies": [without]}, canary_percent, version, clusters, by_request)
        value = f"{cookie}=%REQ({_REQUEST_ID})%; Max-Age={COOKIE_LIVES_S}; Path=/; HttpOnly; SameSite=Lax"
        newcomers["response_headers_to_add"] = [
            {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
        ]
        routes.insert(0, newcomers)
    return routes


def _hash_of(header: str) -> dict[str, Any]:
    return {"header": {"header_name": header}}


def _weighted_route(
    match: Mapping[str, Any], canary_percent: int, version: str, clusters: Clusters, by: list[dict[str, Any]]
) -> dict[str, Any]:
    # The canary stands first: of users who stick, those in [0, percent) stay in it when the percentage grows.
    shares = [("canary", clusters.canary, canary_percent), ("stable", clusters.stable, 100 - canary_percent)]
    weighted: dict[str, Any] = {
        "clusters": [
            {"name": name, "weight": weight, "response_headers_to_add": _side_header(side)} for side, name, weight in shares
        ]
    }
    action: dict[str, Any] = {"weighted_clusters": weighted, "timeout": "10s"}
    if by:
        weighted["use_hash_policy"] = True
        action["hash_policy"] = by
    return {"match": match, "route": action, "metadata": _metadata(version), "stat_prefix": "weighted"}


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
        # Only a weighted route has weights; with an audience there are two, and the last one keeps the others on stable.
        weighted = [route for route in routes if "weighted_clusters" in route["route"]]
        overrides = tuple(_cohort(route) for route in routes[: -len(weighted)])
        percents = [_canary_percent(route["route"]["weighted_clusters"]["clusters"], clusters) for route in weighted]
        if weighted and _is_of_newcomers(weighted[0]):
            if percents[0] != percents[1]:
                return None
            del weighted[0], percents[0]
        match percents:
            case [int() as percent]:
                return Routing(percent, overrides)
            case [int() as percent, 0]:
                return Routing(percent, overrides, _cohort(weighted[0]))
    except (KeyError, IndexError, TypeError):
        pass
    return None


def _is_of_newcomers(route: Mapping[str, Any]) -> bool:
    return any(cookie.get("invert_match") for cookie in route["match"].get("cookies", ()))


def _cohort(route: Mapping[str, Any]) -> Cohort:
    match route["match"]:
        case {"cookies": [{"name": cookie, "string_match": {"safe_regex": {"regex": pattern}}}]}:
            return CookieCohort(cookie, _UNESCAPED.sub(r"\1", pattern.removesuffix(_OF_COHORT)))
        case other:
            header = other["headers"][0]
            return HeaderOverride(header["name"], header["string_match"]["exact"])


def _canary_percent(shares: Sequence[Mapping[str, Any]], clusters: Clusters) -> int | None:
    # Envoy leaves a weight of zero out of its answer.
    weights = {share["name"]: int(share.get("weight", 0)) for share in shares}
    if set(weights) != {clusters.stable, clusters.canary} or sum(weights.values()) != 100:
        return None
    return weights[clusters.canary]
