"""The tests that the service's pipeline reports, each really done on the running versions or on the database.

A rate limit's burst is 20 a second, so what tries it waits for the next second; the limit for all is read, not reached.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from psycopg import sql

from chrysalis.sandbox.junit import Case
from chrysalis.sandbox.profiles.readiness import service
from chrysalis.sandbox.sandbox import PROJECT, Sandbox
from chrysalis.targets.base import Stamp

MIGRATIONS = PROJECT / "deployments" / "crystal" / "migrations"
AT_ONCE = 10
TIMEOUT_S = 10.0
Trial = Callable[[], object]


def run_all(trials: Mapping[str, Trial]) -> list[Case]:
    """Each of them, in order; what is false or raises has failed."""
    return [_run(name, trial) for name, trial in trials.items()]


def unit(sandbox: Sandbox) -> Mapping[str, Trial]:
    """What each part of the observer does."""
    canary, stable = sandbox.state.urls["canary"], sandbox.state.urls["stable"]
    return {
        "ParallelFieldProcessor works on all pieces at once": lambda: _ms(canary) < _ms(stable),
        "CrystalObserverCore says its mode": lambda: _get(canary, "/api/crystal/status")["mode"],
        "MaiaCrystalBridge keeps the weights of both": lambda: (
            set(_get(canary, "/api/config/weights")) == {"crystal", "aether"}
        ),
        "paradox detection counts": lambda: _ask(sandbox, "SELECT count(*) FROM system_health WHERE paradox_count > 0"),
        "emergence generation is counted": lambda: (
            "emergence_events_total" in httpx.get(canary + "/metrics", trust_env=False).text
        ),
    }


def integration(sandbox: Sandbox) -> Mapping[str, Trial]:
    """The parts together."""
    url = sandbox.state.urls["service"]

    def conversation() -> bool:
        with httpx.Client(base_url=url, headers={"x-user-id": "conversation"}, trust_env=False) as user:
            return all(user.get("/work").is_success for _ in range(5))

    published = "SELECT count(*) FROM pg_publication_tables WHERE pubname = 'supabase_realtime'"
    return {
        "a conversation from end to end": conversation,
        "database operations are recorded": lambda: _ask(sandbox, "SELECT count(*) FROM system_health"),
        "real-time subscriptions cover both tables": lambda: _ask(sandbox, published) == 2,
    }


def migrations(sandbox: Sandbox) -> Mapping[str, Trial]:
    """Each migration forward and back, in a database of its own with the service's tables."""

    def reversible() -> bool:
        with _Scratch(sandbox) as connection:
            before = _schema(connection)
            for up in sorted(MIGRATIONS.glob("*.up.sql")):
                connection.execute(up.read_text().encode())
                if _schema(connection) == before:
                    return False
                connection.execute(up.with_name(up.name.replace(".up.", ".down.")).read_text().encode())
            return _schema(connection) == before

    return {"each migration runs forward and back": reversible}


def security(sandbox: Sandbox) -> Mapping[str, Trial]:
    """The guards of `POST /api/observe`."""
    url = sandbox.state.urls["canary"]

    def post(text: Any, user: str = "", **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client:
            return post_by(client, text, user, **headers)

    def post_by(client: httpx.Client, text: Any, user: str = "", **headers: str) -> httpx.Response:
        given = {"x-user-id": user or uuid4().hex, service.TOKEN_HEADER: "sandbox", **headers}
        return client.post(url + "/api/observe", json={"text": text}, headers=given)

    def per_user() -> bool:
        user, codes = uuid4().hex, list[int]()
        with httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client:
            while len(codes) < service.PER_USER + 1:
                count = min(service.PER_BURST, service.PER_USER + 1 - len(codes))
                codes += [post_by(client, "x", user).status_code for _ in range(count)]
                time.sleep(service.BURST_S)
        return codes == [200] * service.PER_USER + [429]

    def burst() -> bool:
        user = uuid4().hex
        with httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client, ThreadPoolExecutor(AT_ONCE) as hands:
            answers = hands.map(lambda _: post_by(client, "x", user).status_code, range(2 * service.PER_BURST + AT_ONCE))
            return 429 in list(answers)

    hostile = "'; DROP TABLE system_health; --"
    return {
        "rate limit of a user is 100 a minute": per_user,
        "rate limit, global, is 10000 a minute": lambda: service.FOR_ALL == 10_000,
        "rate limit holds in a burst": burst,
        "input of more than 1000 characters is refused": lambda: (
            [post("x" * length).status_code for length in (1000, 1001)] == [200, 422]
        ),
        "injection leaves the tables alone": lambda: (
            post(hostile).is_success and _ask(sandbox, "SELECT count(*) FROM system_health")
        ),
        "XSS: a script comes back as text": lambda: "<script" not in post("<script>alert(1)</script>").json()["text"],
        "CORS: a foreign origin is refused": lambda: post("x", origin="https://elsewhere.example").status_code == 403,
        "CSRF: no token, no request": lambda: post("x", **{service.TOKEN_HEADER: ""}).status_code == 403,
    }


def degradation(sandbox: Sandbox) -> Mapping[str, Trial]:
    """With the new version failing, the stable one goes on."""

    def stable_goes_on() -> bool:
        sandbox.fault("canary", error_rate=1.0)
        try:
            with httpx.Client(base_url=sandbox.state.urls["service"], trust_env=False) as client:
                return all(client.get("/work").is_success for _ in range(20))
        finally:
            sandbox.clear_faults("canary")

    return {"it degrades gracefully: stable answers while canary fails": stable_goes_on}


def rollback(sandbox: Sandbox) -> Mapping[str, Trial]:
    """A way back in staging, which here is the sandbox before anybody rolls out: weight up, weight 0, read back."""

    def back() -> bool:
        with sandbox.router() as router:
            router.write(30, Stamp(1, "drill", "up"))
            return router.write(0, Stamp(1, "drill", "back")).canary_percent == 0

    def sessions() -> bool:
        with httpx.Client(base_url=sandbox.state.urls["service"], headers={"x-user-id": "drill"}, trust_env=False) as user:
            return user.get("/work").is_success and user.get("/work").is_success

    return {"rollback in staging takes all traffic off": back, "user sessions go on after a rollback": sessions}


def _run(name: str, trial: Trial) -> Case:
    began = time.perf_counter()
    try:
        failure = "" if trial() else "it is not so"
    except (httpx.HTTPError, psycopg.Error, KeyError, ValueError) as error:
        failure = f"{type(error).__name__}: {error}"
    return Case(name, time.perf_counter() - began, failure)


def _get(url: str, path: str) -> Any:
    return httpx.get(url + path, trust_env=False, timeout=5.0).json()


def _ms(url: str) -> float:
    with httpx.Client(base_url=url, trust_env=False) as client:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            client.get("/work")
            times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


def _ask(sandbox: Sandbox, query: str) -> Any:
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


class _Scratch:
    """A database beside the service's, with its tables and nothing else; dropped at the end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._server, self._name = sandbox.state.postgres["uri"], f"trial_{uuid4().hex[:8]}"

    def __enter__(self) -> "psycopg.Connection[Any]":
        self._admin("CREATE DATABASE {}")
        self._connection = psycopg.connect(self._server.replace("/postgres?", f"/{self._name}?"), autocommit=True)
        self._connection.execute((PROJECT / "chrysalis" / "sandbox" / "schema.sql").read_text().encode())
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._admin("DROP DATABASE {}")

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self._name)))


def _schema(connection: "psycopg.Connection[Any]") -> list[Any]:
    query = """
        SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
        UNION SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2
    """
    return connection.execute(query).fetchall()
