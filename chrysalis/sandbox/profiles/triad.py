"""TRIAD: three instances in two regions of their own, a database with a replica, Redis, TLS, and a drill of the recovery."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx
import psycopg

from chrysalis.clock import utc_now
from chrysalis.effects.database import restores
from chrysalis.effects.database.backups import take_backup
from chrysalis.effects.database.programs import Address, Programs
from chrysalis.sandbox import postgres, redis, standby, tls
from chrysalis.sandbox.alerts import load_alerts
from chrysalis.sandbox.install import PROJECT
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.parts import Part
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.profiles.profile import Incident, Profile
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

INSTANCES = {"alpha": "us-east", "beta": "us-west", "gamma": "eu-west"}
DATABASE = "triad"
CHANNELS = ("oncall", "operations", "engineering", "product", "change_board")
PLAN = PROJECT / "deployments" / "triad" / "plan.yaml"


def parts(layout: Layout) -> list[Part]:
    """The replica, Redis, and the TLS front."""
    command, client = redis.make(layout.folder)
    folder = layout.folder / "tls"
    tls.make_certificates(folder)
    (port,) = free_ports(1)
    (folder / "port").write_text(str(port))
    front = (sys.executable, "-m", "chrysalis.sandbox.tls", str(folder), str(port))
    return [
        standby.part(layout),
        Part("redis", command, client.answers),
        Part("tls", front, partial(_listens, port)),
    ]


def _listens(port: int) -> bool:
    import socket

    try:
        with socket.create_connection((tls.HOST, port), timeout=0.3):
            return True
    except OSError:
        return False


def prepare(sandbox: Sandbox) -> Mapping[str, str]:
    """The database, a backup that was recovered to a point in time, the alerts in Prometheus; and where all of it is."""
    url = _make_database(sandbox.state.postgres["uri"])
    backups = sandbox.folder / "backups"
    _drill(url, backups / "triad" / "database", sandbox.layout.wal_archive)
    variables = {
        "SERVICE_DATABASE_URL": url,
        "BACKUPS": str(backups),
        "TRIAD_HOST": f"{tls.HOST}:{(sandbox.folder / 'tls' / 'port').read_text()}",
        "TLS_AUTHORITY": str(sandbox.folder / "tls" / tls.AUTHORITY),
        "TRIAD_DR_URL": sandbox.fleet.url("beta"),
    }
    load_alerts(sandbox, PLAN)
    channels = {f"TRIAD_{name.upper()}_URL": f"file:{sandbox.folder / 'channels' / name}.jsonl" for name in CHANNELS}
    return {**variables, **channels}


def new_version(sandbox: Sandbox) -> None:
    """The next version finds instances without layers: what the last one had brought is its own."""
    for name in sandbox.fleet.ports:
        nothing = {"layers": [], "frameworks_off": [], "value": 1.0, "orchestrations": 0}
        httpx.put(sandbox.fleet.url(name) + "/state", json=nothing, timeout=5.0, trust_env=False).raise_for_status()


def _make_database(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {DATABASE}")
    url = server.replace("/postgres?", f"/{DATABASE}?")
    with psycopg.connect(url, autocommit=True) as own:
        own.execute("CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)")
        own.execute("INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 500) n")
    return url


def _drill(url: str, folder: Path, wal_archive: Path) -> None:
    """A base backup, something written after it, and the way back to just before that."""
    programs = Programs(postgres.programs())
    backup = take_backup(url, folder, method="base", made_for="drill", programs=programs, now=utc_now())
    with psycopg.connect(url, autocommit=True) as own:
        own.execute("INSERT INTO customers VALUES (0, 'before the moment')")
        row = own.execute("SELECT clock_timestamp()").fetchone()
        own.execute("INSERT INTO customers VALUES (-1, 'after the moment')")
    assert row is not None  # noqa: S101 - a SELECT of one value has a row
    restored = restores.restore_to(url, backup, wal_archive, to=row[0], key="drill", programs=programs)
    kept = Address.parse(url).of(restored.kept_as)
    with psycopg.connect(url, autocommit=True) as own:
        own.execute(f'DROP DATABASE "{kept.name}"')
        own.execute("DELETE FROM customers WHERE id < 1")


PROFILE = Profile(
    "triad",
    speed=80_000,
    settings=SandboxSettings(service="triad", rate_rps=20.0, instances=INSTANCES),
    parts=parts,
    prepare=prepare,
    between=new_version,
    incident=Incident(
        "stage_1.alpha_and_beta",
        "an incident of the highest priority while R1 and R2 are on alpha and beta",
        lambda sandbox: sandbox.fleet_fault(p0_open=1.0),
        lambda sandbox: sandbox.fleet_fault(),
    ),
    timeout_s=600.0,
)
