"""What the service's own commands do (`npm run NAME -- ARGUMENTS`): its checkout's scripts, and upkeep of the real parts.

Each prints a line of what it found or did; its exit code is 0 when that was well.
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from chrysalis.clock import utc_now
from chrysalis.effects.database import restores
from chrysalis.effects.database.backups import check_stored
from chrysalis.errors import ChrysalisError
from chrysalis.sandbox.files import write_json
from chrysalis.sandbox.profiles.memory.repository import SCRIPTS, run_script
from chrysalis.sandbox.profiles.memory.store import own_database
from chrysalis.sandbox.profiles.memory.volume import DAY_S, Volume
from chrysalis.sandbox.sandbox import Sandbox

UNKNOWN = 64
_WRONG = "SELECT count(*) FROM memories WHERE md5(body) <> checksum"
_OLD = "DELETE FROM memory_archive WHERE archived_at < now() - make_interval(days => %s)"
_ARCHIVE_OLD = """
INSERT INTO memory_archive (memory_id, original_bytes, stored_bytes, checksum)
SELECT id::text, octet_length(body), octet_length(body), checksum FROM memories
WHERE created_at < now() - make_interval(days => %s)
AND NOT EXISTS (SELECT 1 FROM memory_archive WHERE memory_id = memories.id::text)"""
_AGAIN = "UPDATE memory_archive SET stored_bytes = original_bytes"
_BUSY = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
_Found = tuple[bool, str]


def run(sandbox: Sandbox, arguments: Sequence[str]) -> int:
    """`--prefix FOLDER test` or `--prefix FOLDER run NAME -- ARGUMENTS`."""
    words = list(arguments[2:] if arguments[:1] == ["--prefix"] else arguments)
    name, given = (words[0], words[1:]) if words[:1] == ["test"] else (words[1], words[2:]) if len(words) > 1 else ("", [])
    if name in SCRIPTS:
        return run_script(sandbox.folder / "repository", name)
    if name not in COMMANDS:
        sys.stderr.write(f"unknown script {name!r}; there is {', '.join(sorted({*SCRIPTS, *COMMANDS}))}\n")
        return UNKNOWN
    try:
        well, said = COMMANDS[name](sandbox, [one for one in given if one != "--"])
    except (psycopg.Error, httpx.HTTPError, ChrysalisError, OSError) as error:
        well, said = False, f"{type(error).__name__}: {error}"
    sys.stdout.write(f"{name}: {said}\n")
    return 0 if well else 1


def _database(sandbox: Sandbox) -> "psycopg.Connection[Any]":
    return psycopg.connect(own_database(sandbox.state.postgres["uri"]), autocommit=True, connect_timeout=5)


def _one(sandbox: Sandbox, query: str) -> Any:
    with _database(sandbox) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def _get(sandbox: Sandbox, path: str) -> Any:
    answer = httpx.get(sandbox.state.urls["service"] + path, timeout=5.0, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def _volume(sandbox: Sandbox) -> Volume:
    return Volume(sandbox.folder / "volume")


def _check_database(sandbox: Sandbox, _: list[str]) -> _Found:
    return _one(sandbox, "SELECT 1") == 1, "the database answers"


def _verify_database(sandbox: Sandbox, _: list[str]) -> _Found:
    wrong, rows = int(_one(sandbox, _WRONG)), int(_one(sandbox, "SELECT count(*) FROM memories"))
    return wrong == 0, f"{rows} memories, {wrong} of them differ from their checksum"


def _check_cache(sandbox: Sandbox, _: list[str]) -> _Found:
    told = _get(sandbox, "/api/cache/metrics")
    return bool(told["enabled"]), f"cache {'on' if told['enabled'] else 'off'}, {told['texts']} texts"


def _check_services(sandbox: Sandbox, _: list[str]) -> _Found:
    told = _get(sandbox, "/status")
    return True, ", ".join(f"{one['name']} {one['status']}" for one in told["services"])


def _verify_deployment(sandbox: Sandbox, _: list[str]) -> _Found:
    told = _get(sandbox, "/health")
    return told["status"] == "healthy", f"{told['version']} is {told['status']}"


def _verify_backups(sandbox: Sandbox, _: list[str]) -> _Found:
    newest = restores.newest(sandbox.folder / "backups" / "memory" / "database")
    check_stored(newest)
    return True, f"{newest.folder.name} is there and whole"


def _check_config(sandbox: Sandbox, _: list[str]) -> _Found:
    told = _get(sandbox, "/api/config")
    return True, f"batches {told['BATCH_SIZE_FACTOR']} times their size, cache {'on' if told['CACHE_ENABLED'] else 'off'}"


def _check_load(sandbox: Sandbox, _: list[str]) -> _Found:
    return True, f"{_one(sandbox, _BUSY)} sessions of the database are at work"


def _profile(sandbox: Sandbox, _: list[str]) -> _Found:
    pids = sandbox.state.pids
    lines = []
    for side in ("stable", "canary"):
        if side in pids:
            status = Path(f"/proc/{pids[side]}/status").read_text(encoding="ascii").splitlines()
            lines.append(
                f"{side} " + ", ".join(" ".join(one.split()) for one in status if one.startswith(("VmRSS", "VmHWM")))
            )
    return bool(lines), "; ".join(lines)


def _start_incident(sandbox: Sandbox, given: list[str]) -> _Found:
    told = {"opened_at": utc_now().isoformat(), "arguments": given}
    write_json(sandbox.folder / f"incident-{time.time_ns()}.json", told)
    return True, f"opened, {' '.join(given)}"


def _archive_now(sandbox: Sandbox, _: list[str]) -> _Found:
    won = _volume(sandbox).compress_archive()
    return True, f"{won} bytes of the archive won"


def _clean_logs(sandbox: Sandbox, given: list[str]) -> _Found:
    days = _days(given, 30)
    return True, f"{_volume(sandbox).delete('logs', older_than_s=days * DAY_S)} logs of over {days:g} days deleted"


def _clean_cache(sandbox: Sandbox, _: list[str]) -> _Found:
    return True, f"{_volume(sandbox).delete('cache')} files of the cache deleted"


def _clean_archives(sandbox: Sandbox, given: list[str]) -> _Found:
    days = _days(given, 180)
    with _database(sandbox) as connection:
        count = connection.execute(_OLD, [days]).rowcount
    return True, f"{count} archived memories of over {days:g} days deleted"


def _archive_old(sandbox: Sandbox, given: list[str]) -> _Found:
    days = _days(given, 365)
    with _database(sandbox) as connection:
        count = connection.execute(_ARCHIVE_OLD, [days]).rowcount
    return True, f"{count} memories of over {days:g} days archived"


def _archive_plainly(sandbox: Sandbox, _: list[str]) -> _Found:
    with _database(sandbox) as connection:
        return True, f"{connection.execute(_AGAIN).rowcount} memories archived again without compression"


def _update_statistics(sandbox: Sandbox, _: list[str]) -> _Found:
    with _database(sandbox) as connection:
        connection.execute("ANALYZE")
    return True, "statistics are new"


def _plan_budget(sandbox: Sandbox, _: list[str]) -> _Found:
    told = _get(sandbox, "/budget/stats")
    write_json(sandbox.reports / "budget.json", {**told, "planned_at": datetime.now(UTC).isoformat()})
    return True, f"{told['spent_usd']} of {told['budget_usd']} USD spent; next month is planned with that"


def _days(given: list[str], otherwise: int) -> int:
    """`--older-than 30d`."""
    if "--older-than" not in given:
        return otherwise
    return int(given[given.index("--older-than") + 1].removesuffix("d"))


def _all_of(*checks: "Callable[[Sandbox, list[str]], _Found]") -> "Callable[[Sandbox, list[str]], _Found]":
    def together(sandbox: Sandbox, given: list[str]) -> _Found:
        found = [check(sandbox, given) for check in checks]
        return all(well for well, _ in found), "; ".join(said for _, said in found)

    return together


COMMANDS: dict[str, Callable[[Sandbox, list[str]], _Found]] = {
    "check:database": _check_database,
    "check:cache": _check_cache,
    "check:services": _check_services,
    "check:batch-config": _check_config,
    "check:database-load": _check_load,
    "verify:database": _verify_database,
    "verify:deployment": _verify_deployment,
    "verify:backups": _verify_backups,
    "profile:memory": _profile,
    "incident:start": _start_incident,
    "maintenance:aggressive-archive": _archive_now,
    "maintenance:cleanup-logs": _clean_logs,
    "maintenance:cleanup-cache": _clean_cache,
    "maintenance:cleanup-archives": _clean_archives,
    "maintenance:archive-old": _archive_old,
    "maintenance:update-stats": _update_statistics,
    "archival:full": _archive_plainly,
    "budget:plan-next-month": _plan_budget,
    "ops:daily-check": _all_of(_check_services, _check_database, _verify_deployment),
    "ops:weekly-check": _all_of(_check_services, _verify_database, _verify_backups),
    "ops:monthly-check": _all_of(_check_services, _verify_database, _verify_backups, _check_load),
}
