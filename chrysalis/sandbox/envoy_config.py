"""Envoy's bootstrap: one listener with routes from the route file, one cluster per side, buckets that fit the gates."""

from pathlib import Path
from typing import Any

from chrysalis.sandbox.layout import Ports
from chrysalis.targets.envoy_routes import ROUTE_CONFIGURATION

# Milliseconds. Envoy's own buckets jump from 500 to 1000, which says nothing about a limit of 700.
BUCKETS_MS = (
    1,
    2.5,
    5,
    7.5,
    10,
    15,
    20,
    25,
    35,
    50,
    75,
    100,
    150,
    200,
    300,
    350,
    400,
    500,
    600,
    700,
    900,
    1000,
    1500,
    2000,
    5000,
    10000,
)
MOST_WAITING = 20_000
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def bootstrap(ports: Ports, route_file: Path) -> dict[str, Any]:
    """The content of Envoy's configuration file."""
    return {
        "node": {"id": "sandbox", "cluster": "sandbox"},
        "admin": {"address": _address(ports.envoy_admin)},
        "stats_flush_on_admin": True,
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"safe_regex": {"regex": ".*_time|.*_ms"}}, "buckets": list(BUCKETS_MS)}]
        },
        "static_resources": {
            "listeners": [_listener(ports, route_file)],
            "clusters": [_cluster("stable", ports.stable), _cluster("canary", ports.canary)],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(ports: Ports, route_file: Path) -> dict[str, Any]:
    source = {"path": str(route_file), "watched_directory": {"path": str(route_file.parent)}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "ingress",
        "rds": {
            "route_config_name": ROUTE_CONFIGURATION,
            "config_source": {"resource_api_version": "V3", "path_config_source": source},
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "service", "address": _address(ports.envoy), "filter_chains": [chain]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        # Requests beyond the connections wait their turn; Envoy's own limit of 1,024 answers all others with 503.
        "circuit_breakers": {"thresholds": [{"max_pending_requests": MOST_WAITING, "max_requests": MOST_WAITING}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }
