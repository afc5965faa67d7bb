"""What Prometheus scrapes: both versions of the service and Envoy, with labels that name service, side and version."""

from typing import Any

from chrysalis.sandbox.fleet.layout import Fleet
from chrysalis.sandbox.layout import SIDES, Ports
from chrysalis.sandbox.settings import SandboxSettings

# Only what a plan asks of Envoy; all of it is 2,000 lines a second.
ENVOY_STATS = r"^(cluster\.(stable|canary)\.(upstream_rq|upstream_cx)|vhost\.|http\.ingress\.(downstream_rq|rds))"

RULES = "rules/*.yml"
"""Below the sandbox's folder; a profile may put alerting rules there."""


def configuration(ports: Ports, settings: SandboxSettings, fleet: Fleet | None = None) -> dict[str, Any]:
    """The content of `prometheus.yml`; JSON is YAML."""
    interval = f"{round(settings.scrape_interval_s * 1000)}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [RULES],
        "scrape_configs": [_service(ports, settings), _envoy(ports, settings), *([] if fleet is None else _fleet(fleet))],
    }


def _fleet(fleet: Fleet) -> list[dict[str, Any]]:
    """The jobs that TRIAD's document names: what an instance says, and what its layer manager says; and the control."""
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name, "region": fleet.regions[name]}}
        for name, port in fleet.ports.items()
    ]
    control = [{"targets": [f"127.0.0.1:{fleet.control_port}"]}]
    return [
        {"job_name": "instance_coordinator", "static_configs": targets},
        {"job_name": "layer_manager", "metrics_path": "/metrics/manager", "static_configs": targets},
        {"job_name": "fleet_control", "static_configs": control},
    ]


def _service(ports: Ports, settings: SandboxSettings) -> dict[str, Any]:
    listening = ports.as_dict()
    targets = [
        {
            "targets": [f"127.0.0.1:{listening[side]}"],
            "labels": {"service": settings.service, "side": side, "version": settings.version(side)},
        }
        for side in SIDES
    ]
    return {"job_name": "service", "static_configs": targets}


def _envoy(ports: Ports, settings: SandboxSettings) -> dict[str, Any]:
    by_side = [
        {
            "source_labels": ["envoy_cluster_name"],
            "regex": "(stable|canary)",
            "target_label": "side",
        }
    ]
    return {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "params": {"filter": [ENVOY_STATS]},
        "static_configs": [{"targets": [f"127.0.0.1:{ports.envoy_admin}"], "labels": {"service": settings.service}}],
        "metric_relabel_configs": by_side,
    }
