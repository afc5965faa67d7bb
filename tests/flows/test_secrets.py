"""Known secrets are planted wherever one can come in; after a rollout forward and back none is found anywhere."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, inspect, text

from chrysalis.local.prefect_database import PrefectDatabase
from flows.report import report
from tests.desk import Desk, Said, deploy
from tests.effects.receivers import RECEIVER, SENDER, mail_server
from tests.metrics.servers import Asked, Reply, closed_port, serving
from tests.stack import PLANTED, until

CONFIG, DATABASE, METRICS, SMOKE, ARGUMENT, HOOK, JSON, MAIL, GONE, KEPT = (
    f"{name}-4tJ3yv{number}QmZ"
    for number, name in enumerate(
        ("config", "database", "metrics", "smoke", "argument", "hook", "json", "mail", "gone", "kept")
    )
)
SECRETS = (CONFIG, DATABASE, METRICS, SMOKE, ARGUMENT, HOOK, JSON, MAIL, GONE, KEPT, *PLANTED.values())
VERSION = "planted"
OPERATIONS = ("bad_command", "bad_smoke", "bad_config", "bad_migration")


def talkative(asked: Asked) -> Reply:
    """A service that repeats whatever it was asked with, and fails unless it is asked for /ok or its configuration."""
    shown = [asked.headers.get(name) for name in ("authorization", "x-key", "idempotency-key")]
    said = f"{shown} {asked.method} {asked.path}"
    if asked.path.startswith("/config") and asked.method == "GET":
        return Reply(200, json.dumps({"mode": "hybrid", "apiToken": KEPT}).encode())
    if asked.path.startswith("/config"):
        return Reply(422, json.dumps({"error": f'{said} "apiToken": "{KEPT}"'}).encode())
    return Reply(200, b"fine") if asked.path == "/ok" else Reply(500, said.encode())


@pytest.fixture
def planted(desk: Desk) -> Iterator[Desk]:
    """The plan's variables, each with a secret in it, in the stack's home."""
    written = (desk.stack.home / "environment.json").read_text()
    deploy(desk.stack, "secrets")
    with ExitStack() as running:
        service = running.enter_context(serving(talkative))
        mail = running.enter_context(mail_server("554 no"))
        gone = running.enter_context(closed_port())
        host = service.url.removeprefix("http://")
        for name, value in {
            "CONFIG_URL": f"http://robot:{CONFIG}@{host}/config",
            "BROKEN_CONFIG_URL": f"http://robot:{CONFIG}@{host}/config?token={KEPT}",
            "DATABASE_URL": f"postgresql://chrysalis:{DATABASE}@127.0.0.1:{gone}/app",
            "METRICS_URL": f"http://robot:{METRICS}@{host}",
            "SMOKE_URL": service.url,
            "SMOKE_CREDENTIALS": SMOKE,
            "ARGUMENT_TOKEN": ARGUMENT,
            "HOOK_URL": f"{service.url}/hooks/{HOOK}",
            "JSON_URL": f"json://robot:{JSON}@{host}/{HOOK}?+X-Key={JSON}",
            "MAIL_URL": f"mailto://robot:{MAIL}@127.0.0.1:{mail.port}?mode=insecure&from={SENDER}&to={RECEIVER}",
            "GONE_URL": f"http://127.0.0.1:{gone}/services/{GONE}",
        }.items():
            desk.variable(f"PLANTED_{name}", value)
        yield desk
    (desk.stack.home / "environment.json").write_text(written)


def forms(secret: str) -> list[str]:
    """As it is, in a URL, and in base64 at each of the three places that it can have in a longer text."""
    inner = [b64encode(b"x" * lead + secret.encode())[4 * (lead > 0) : -4].decode() for lead in range(3)]
    return [secret, quote(secret, safe=""), *inner]


def leaks(where: str, text: str) -> list[str]:
    return [f"{secret} in {where}" for secret in SECRETS for form in forms(secret) if form in text]


def leaks_of_database(url: str) -> list[str]:
    """Every column of every row of every table."""
    found = []
    engine = create_engine(url)
    with engine.connect() as database:
        tables = inspect(engine).get_table_names()
        assert tables
        for table in tables:
            for row in database.execute(text(f'SELECT * FROM "{table}"')):
                said = " ".join(str(cell) if not isinstance(cell, bytes) else cell.decode("latin-1") for cell in row)
                found += leaks(f"table {table} of {engine.dialect.name}: {said[:2000]}", said)
    engine.dispose()
    return found


def leaks_of_files(home: Path) -> list[str]:
    """Every file below the stack's home but the one that the secrets come from; logs, the record of notices, databases."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "environment.json"]
    logs = [path for path in files if path.suffix == ".log" or path.name == "notices.jsonl"]
    assert len(logs) > 3
    return [leak for path in files for leak in leaks(str(path), path.read_bytes().decode("latin-1"))]


def test_no_planted_secret_is_in_any_record_log_artifact_or_answer(planted: Desk) -> None:
    desk = planted
    said: list[Said] = []
    rollout = desk.start("secrets", VERSION)
    desk.await_sign_off(rollout.id)
    said += [desk.say("operate", rollout.id, operation, "--as", "nadia") for operation in OPERATIONS]
    assert [one.code for one in said] == [1, 1, 1, 1], said
    assert desk.say("approve", rollout.id, "--as", "dmitri").code == 0
    assert desk.await_end(rollout.id).outcome == "rolled_back"
    report("weekly", return_state=True)
    for command in ("status", "history", "notices", "report weekly", "report executive", "report daily"):
        said += [desk.say(*command.split()), desk.say(*command.split(), "--json")]
    for command in ("show", "notices"):
        said += [desk.say(command, rollout.id), desk.say(command, rollout.id, "--json")]
    said.append(desk.say("notices", rollout.id, "--all"))
    until(lambda: all_were_tried(desk, rollout.id), "every notice to be tried")
    shown = "\n".join(one.out + one.err for one in said)
    assert "[PLANTED_" in shown, "the places were reached at which secrets come out"
    found = leaks("the terminal", shown)
    prefects = PrefectDatabase(desk.stack.home).url.replace("+asyncpg", "+psycopg")
    for url in (f"sqlite:///{desk.stack.home / 'ledger.db'}", prefects):
        found += leaks_of_database(url)
    found += leaks_of_files(desk.stack.home)
    assert found == []


def all_were_tried(desk: Desk, rollout_id: str) -> bool:
    ledger = desk.stack.ledger
    deliveries = [one for notice in ledger.notices(rollout_id) for one in ledger.deliveries(notice.id)]
    return len(deliveries) > 8 and all(one.tries for one in deliveries)
