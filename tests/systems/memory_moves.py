"""What is done to memory management, and looked for in it: beta testers, its database, its volume, its process."""

import httpx
import psycopg

from chrysalis.effects.database.read_only import is_read_only
from chrysalis.sandbox.profiles.memory.store import own_database
from chrysalis.sandbox.profiles.memory.volume import Volume
from tests.systems.running import Running
from tests.systems.table import Move

BETA = {"x-user-segment": "beta_users"}
USERS = 60


def database(running: Running) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(own_database(running.sandbox.state.postgres["uri"]), autocommit=True)


def count(running: Running, query: str) -> int:
    with database(running) as connection:
        row = connection.execute(query.encode()).fetchone()
        return int(str(row[0])) if row else 0


def asks(running: Running, path: str = "/health", **headers: str) -> httpx.Response:
    """A request through the router."""
    return httpx.get(running.sandbox.state.urls["service"] + path, headers=headers, timeout=5.0, trust_env=False)


def answers(version: str, headers: dict[str, str] | None = None) -> Move:
    """Whoever asks with these headers is answered by that version."""
    given = headers or {}

    def is_answered(running: Running) -> bool:
        return bool(asks(running, **given).json()["version"] == version)

    return Move(f"{version} answers {given or 'everybody'}", until=is_answered)


def only_beta_testers(running: Running) -> str:
    """Some beta testers, and nobody else, are on the release's side."""
    sides = {}
    with httpx.Client(base_url=running.sandbox.state.urls["service"], timeout=5.0, trust_env=False) as client:
        for kind, headers in (("beta", BETA), ("others", {})):
            asked = [
                client.get("/health", headers={"cookie": f"memory-cohort=user-{number}", **headers})
                for number in range(USERS)
            ]
            sides[kind] = sum(one.headers["x-side"] == "canary" for one in asked)
    return f"{sides['beta']} of {USERS} beta testers, nobody else" if sides["beta"] and not sides["others"] else ""


def writes(allowed: bool) -> Move:
    """Whether the service takes a memory."""

    def asked(running: Running) -> bool:
        url = running.sandbox.state.urls["service"] + "/api/memories"
        told = httpx.post(url, json={"userId": "case", "text": "a case"}, timeout=5.0, trust_env=False)
        return told.status_code == (201 if allowed else 423)

    return Move(f"memories are {'taken' if allowed else 'refused, read-only'}", until=asked)


def database_is_read_only(wanted: bool) -> Move:
    def reads(running: Running) -> bool:
        return is_read_only(own_database(running.sandbox.state.postgres["uri"])) is wanted

    return Move(f"the database is {'read-only' if wanted else 'read and write'}", until=reads)


def measured(query: str, wanted: str, holds: object, within_s: float = 60.0) -> Move:
    """Until Prometheus itself says so; `holds` judges the value."""

    def asked(running: Running) -> str:
        url = running.sandbox.state.urls["prometheus"] + "/api/v1/query"
        found = httpx.get(url, params={"query": query}, timeout=5.0, trust_env=False).json()["data"]["result"]
        values = [float(one["value"][1]) for one in found]
        return f"{values[0]:.4g}" if values and holds(values[0]) else ""  # type: ignore[operator]

    return Move(wanted, until=asked, within_s=within_s)


def volume(running: Running) -> Volume:
    return Volume(running.sandbox.folder / "volume")


def full_disk() -> Move:
    """Old logs until 5 % of the volume are free."""
    return Move("!! the volume is full of old logs", do=lambda running: volume(running).fill(0.05))


def disk_has_room() -> Move:
    return Move(
        "the volume has room again",
        until=lambda running: volume(running).free_bytes >= 0.1 * volume(running).size_bytes,
        within_s=120.0,
    )


def remembers_the_process() -> Move:
    return Move("which process it is", do=lambda running: running.kept.update(pid=running.sandbox.state.pids["canary"]))


def another_process() -> Move:
    return Move(
        "the release runs in another process",
        until=lambda running: running.sandbox.state.pids.get("canary") not in (None, running.kept["pid"]),
    )


def rows_wait_and_come(table: str = "memories") -> tuple[Move, Move]:
    """Two moves: how many rows there are, and that there are more."""

    def note(running: Running) -> None:
        running.kept["rows"] = count(running, f"SELECT count(*) FROM {table}")

    def more(running: Running) -> str:
        now = count(running, f"SELECT count(*) FROM {table}")
        return f"{running.kept['rows']} → {now}" if now > running.kept["rows"] else ""

    return Move(f"rows of {table}", do=note), Move(f"{table} has more rows", until=more)


def corrupt(running: Running) -> None:
    """Memories that were written since differ from their checksum."""
    with database(running) as connection:
        last = "SELECT id FROM memories ORDER BY id DESC LIMIT 20"
        connection.execute(f"UPDATE memories SET body = body || '!' WHERE id IN ({last})".encode())


def sound(wanted: bool) -> Move:
    """Whether every memory is as its checksum says."""
    query = "SELECT count(*) FROM memories WHERE md5(body) <> checksum"
    return Move(
        f"memories are {'sound' if wanted else 'corrupt'}", until=lambda running: (count(running, query) == 0) is wanted
    )
