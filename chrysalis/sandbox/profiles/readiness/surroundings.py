"""What stands around Crystal's service and the checklist asks for: the database's settings, history, backups, TLS."""

import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg

from chrysalis.effects.database.backups import note_recovery, take_backup
from chrysalis.effects.database.programs import Programs
from chrysalis.sandbox import postgres, tls
from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.layout import SIDES, Layout
from chrysalis.sandbox.parts import Part, answers_tcp
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.profiles.readiness import cluster
from chrysalis.sandbox.programs import run
from chrysalis.sandbox.recovered import recovered_base
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

HISTORY = timedelta(hours=49)
HISTORY_STEP_S = 15
KUBECONFIG = "kubeconfig.json"
_TABLES = """
ALTER TABLE system_health ENABLE ROW LEVEL SECURITY;
ALTER TABLE resonance_events ENABLE ROW LEVEL SECURITY;
DROP PUBLICATION IF EXISTS supabase_realtime;
CREATE PUBLICATION supabase_realtime FOR TABLE system_health, resonance_events;
INSERT INTO system_health ("timestamp", version, side, user_id, coherence_ratio, paradox_count, symbolic_entropy,
                           field_weather, aether_weight, response_ms, error)
SELECT at, 'v1', 'stable', 'user-' || (extract(epoch FROM at)::int % 50), 0.67, 0, 0.62, 'flowing', 0.35, 24, false
FROM generate_series(now() - interval '49 hours', now() - interval '1 hour', interval '5 minutes') AS at;
"""
_RULES = """\
groups:
  - name: crystal
    rules:
      - {alert: CoherenceCritical, expr: "min(coherence_ratio) < 0.4", for: 5m, labels: {severity: critical}}
      - alert: ResponseTimeHigh
        expr: histogram_quantile(0.99, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket[5m]))) > 1000
        for: 5m
        labels: {severity: warning}
      - {alert: EmergencePattern, expr: "increase(emergence_events_total[1h]) >= 1", labels: {severity: info}}
"""


def database(sandbox: Sandbox) -> None:
    """Row-level security, a publication for subscriptions, and two days of rows."""
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(_TABLES.encode())


def alert_rules(sandbox: Sandbox) -> Path:
    """The folder of the service's alert rules, which promtool has read."""
    folder = sandbox.folder / "rules"
    folder.mkdir(exist_ok=True)
    file = folder / "crystal.yml"
    file.write_text(_RULES, encoding="utf-8")
    run([ensure_prometheus().promtool, "check", "rules", file], folder)
    return folder


def history(sandbox: Sandbox) -> None:
    """Two days of the metrics that are asked over a day, at the level that each has now, as if it had always run."""
    now = {side: metrics_of(sandbox.state.urls[side]) for side in SIDES}
    end_s = int(datetime.now(UTC).timestamp())
    times = range(end_s - int(HISTORY.total_seconds()), end_s - HISTORY_STEP_S, HISTORY_STEP_S)
    settings, ports = SandboxSettings.load_from(sandbox.folder), sandbox.state.ports
    lines = []
    for metric in ("memory_bytes", "coherence_ratio"):
        lines.append(f"# TYPE {metric} gauge")
        for side in SIDES:
            labels = f'instance="127.0.0.1:{ports[side]}",job="service",service="{settings.service}",side="{side}"'
            named = f'{metric}{{{labels},version="{settings.version(side)}"}}'
            lines += [f"{named} {now[side][metric]:.6g} {at}" for at in times]
    with tempfile.NamedTemporaryFile("w", suffix=".om", dir=sandbox.folder) as file:
        file.write("\n".join([*lines, "# EOF", ""]))
        file.flush()
        data = sandbox.state.paths["prometheus_data"]
        blocks = ("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=162h", file.name, data)
        sandbox.stop_part("prometheus")
        try:
            run([ensure_prometheus().promtool, *blocks], sandbox.folder)
        finally:
            sandbox.start_part("prometheus")


def backups(sandbox: Sandbox) -> Path:
    """A base backup that is really recovered to a point in time, and a dump; returns their folder."""
    folder = sandbox.folder / "backups"
    uri, programs = sandbox.state.postgres["uri"], Programs(postgres.programs())
    _, recovered_to = recovered_base(sandbox, uri, folder, programs)
    # The dump is newer than the base backup, so that it is the newest that can be restored.
    dump = take_backup(uri, folder, method="dump", made_for="daily/dump", programs=programs, now=datetime.now(UTC))
    note_recovery(dump, recovered_to)
    return folder


def metrics_of(url: str) -> dict[str, float]:
    """What a version says of itself: its metrics without labels."""
    text = httpx.get(url + "/metrics", trust_env=False, timeout=5.0).text
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+]+)$", text, re.MULTILINE)}


# ── further parts ──────────────────────────────────────────────────────────────────────────────────────────────────


def parts(layout: Layout) -> list[Part]:
    """What listens besides."""
    return [_tls_front(layout), _cluster(layout)]


def _cluster(layout: Layout) -> Part:
    """The API server of the cluster that the Deployment is in."""
    (port,) = free_ports(1)
    cluster.write_kubeconfig(layout.folder / KUBECONFIG, port)
    command = (sys.executable, "-m", cluster.__name__, str(layout.folder), str(port))
    return Part("cluster", command, lambda: answers_tcp(port))


def _tls_front(layout: Layout) -> Part:
    """A server that shows a certificate of the sandbox's own authority, as the public host does."""
    folder = layout.folder / "tls"
    tls.make_certificates(folder)
    (port,) = free_ports(1)
    (folder / "port").write_text(str(port))
    command = (sys.executable, "-m", "chrysalis.sandbox.tls", str(folder), str(port))
    return Part("tls", command, lambda: answers_tcp(port))


def tls_variables(sandbox: Sandbox) -> dict[str, str]:
    """Where the certificate is shown, and the authority that signed it."""
    folder = sandbox.folder / "tls"
    return {
        "SERVICE_HOST": f"{tls.HOST}:{(folder / 'port').read_text()}",
        "TLS_AUTHORITY": str(folder / tls.AUTHORITY),
    }
