"""What a rollout of memory management finds: its databases, backups that came back, a load test, reports, alerts."""

from pathlib import Path

import httpx
import psycopg

from chrysalis.clock import utc_now
from chrysalis.effects.database.backups import note_recovery, take_backup
from chrysalis.effects.database.programs import Programs
from chrysalis.effects.load_test import Load, run_load
from chrysalis.errors import SettingsError
from chrysalis.sandbox import postgres
from chrysalis.sandbox.files import write_json
from chrysalis.sandbox.load_report import write_load_report
from chrysalis.sandbox.postgres import SCHEMA as COMMON_SCHEMA
from chrysalis.sandbox.profiles.memory.control import STATE
from chrysalis.sandbox.profiles.memory.environment import STAGING_DATABASE, Environment
from chrysalis.sandbox.profiles.memory.repository import run_script
from chrysalis.sandbox.profiles.memory.service import Memories
from chrysalis.sandbox.profiles.memory.store import DATABASE, SCHEMA
from chrysalis.sandbox.recovered import recovered_base
from chrysalis.sandbox.sandbox import Sandbox

USERS, LOAD_S = 100, 5.0
PIPELINE = ("test", "test:performance", "test:security", "test:regression")


def make_databases(sandbox: Sandbox) -> str:
    """The service's database, and staging's; returns the URI of the first."""
    server = sandbox.state.postgres["uri"]
    for name in (DATABASE, STAGING_DATABASE):
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        with psycopg.connect(server.replace("/postgres?", f"/{name}?"), autocommit=True) as own:
            own.execute(SCHEMA.encode())
            if name == STAGING_DATABASE:
                own.execute(COMMON_SCHEMA.read_text(encoding="utf-8").encode())
    return str(server.replace("/postgres?", f"/{DATABASE}?"))


def make_backups(sandbox: Sandbox, url: str) -> Path:
    """A base backup that was recovered to a point in time, and a newer dump; returns the folder of all backups."""
    folder = sandbox.folder / "backups"
    programs = Programs(postgres.programs())
    mine = folder / "memory" / "database"
    base, to = recovered_base(sandbox, url, mine, programs)
    note_recovery(base, to)
    note_recovery(take_backup(url, mine, method="dump", made_for="daily/dump", programs=programs, now=utc_now()), to)
    return folder


def run_pipeline(sandbox: Sandbox, environment: Environment, speed: float) -> None:
    """The service's own tests, and 100 users at a time on staging; 5 real seconds are over 300 s of the plan's clock."""
    repository = sandbox.folder / "repository"
    reports = sandbox.reports
    for name in PIPELINE:
        if (code := run_script(repository, name)) != 0:
            raise SettingsError(f"`npm run {name}` in {repository} ended with {code}; its reports are in {reports}")
    result = run_load(Load(url=environment.staging_url + "/api/analytics/summary", users=USERS, duration_s=LOAD_S))
    write_load_report(reports / "load.json", USERS, result, speed)


def next_version(sandbox: Sandbox) -> None:
    """Both places as a new rollout finds them: v2.x serves, the release's place is free, settings are the first."""
    write_json(sandbox.folder / STATE, {})
    if "stable" not in sandbox.state.pids:
        sandbox.restart_part("stable")
    first = {**Memories.settings, "readOnly": False}
    url = sandbox.state.urls["stable"] + "/api/config"
    httpx.patch(url, json=first, timeout=5.0, trust_env=False).raise_for_status()
