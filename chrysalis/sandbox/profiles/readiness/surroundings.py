"""What stands around Crystal's service and the checklist asks for: the database's settings, history, backups, TLS."""

import json
import re
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg

from chrysalis.effects.database.backups import take_backup
from chrysalis.effects.database.programs import Programs
from chrysalis.effects.database.scratch import scratch_server
from chrysalis.sandbox import postgres
from chrysalis.sandbox.install import ensure_prometheus
from chrysalis.sandbox.layout import SIDES, Layout
from chrysalis.sandbox.parts import Part, answers_tcp
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

HISTORY = timedelta(hours=49)
HISTORY_STEP_S = 15
MOMENT = timedelta(milliseconds=200)
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
    subprocess.run([ensure_prometheus().promtool, "check", "rules", file], check=True, capture_output=True, timeout=30)
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
            subprocess.run([ensure_prometheus().promtool, *blocks], check=True, capture_output=True, timeout=60)
        finally:
            sandbox.start_part("prometheus")


def backups(sandbox: Sandbox) -> Path:
    """A base backup that is really recovered to a point in time, and a dump; returns their folder."""
    folder = sandbox.folder / "backups"
    uri, programs = sandbox.state.postgres["uri"], Programs(postgres.programs())
    for method in ("base", "dump"):
        # A dump is newer than the base backup, so that it is the newest that can be restored.
        made = take_backup(uri, folder, method=method, made_for=f"daily/{method}", programs=programs, now=datetime.now(UTC))
        if method == "base":
            recovered_to = _recover(sandbox, made.data, made.taken_at + MOMENT, programs)
        else:
            manifest = made.folder / "manifest.json"
            told = json.loads(manifest.read_text())
            manifest.write_text(json.dumps({**told, "recovered_to": recovered_to.isoformat()}, indent=1))
    return folder


def _recover(sandbox: Sandbox, base: Path, to: datetime, programs: Programs) -> datetime:
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT clock_timestamp(), pg_switch_wal()").fetchone()
            if row is not None and row[0] > to + MOMENT:
                break
    with (
        tempfile.TemporaryDirectory(prefix="chrysalis-drill-") as folder,
        scratch_server(base, Path(folder), programs, wal_archive=sandbox.layout.wal_archive, to=to),
    ):
        return to


def metrics_of(url: str) -> dict[str, float]:
    """What a version says of itself: its metrics without labels."""
    text = httpx.get(url + "/metrics", trust_env=False, timeout=5.0).text
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+]+)$", text, re.MULTILINE)}


# ── TLS ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path) -> Path:
    """A certificate for localhost, valid for 90 days, signed by an authority of the sandbox's own; returns the authority."""
    tls = folder / "tls"
    authority = tls / "authority.pem"
    if authority.exists():
        return authority
    tls.mkdir(parents=True)
    (tls / "names").write_text("subjectAltName=DNS:localhost\n")
    key = ("-newkey", "rsa:2048", "-nodes")
    _openssl(
        tls, "req", "-x509", *key, "-keyout", "authority.key", "-out", authority.name, "-days", "90", "-subj", "/CN=Sandbox"
    )
    _openssl(tls, "req", *key, "-keyout", "front.key", "-out", "front.csr", "-subj", "/CN=localhost")
    signing = ("-CA", authority.name, "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "names")
    _openssl(tls, "x509", "-req", "-in", "front.csr", *signing, "-out", "front.pem", "-days", "90")
    return authority


def tls_front(layout: Layout) -> list[Part]:
    """A server that shows the certificate, as the public host does."""
    certificate(layout.folder)
    (port,) = free_ports(1)
    (layout.folder / "tls" / "port").write_text(str(port))
    keys = ("-cert", "tls/front.pem", "-key", "tls/front.key")
    command = ("openssl", "s_server", "-accept", f"127.0.0.1:{port}", *keys, "-www", "-quiet")
    return [Part("tls", command, lambda: answers_tcp(port))]


def tls_host(sandbox: Sandbox) -> str:
    """Where the certificate is shown."""
    return f"localhost:{(sandbox.folder / 'tls' / 'port').read_text()}"


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
