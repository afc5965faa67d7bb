"""Memory management: staging, beta testers, five days, a month; every alert, operation and playbook, and each way back."""

import httpx
import psycopg

from chrysalis.effects.database.read_only import is_read_only
from chrysalis.sandbox.profiles.memory.store import own_database
from chrysalis.sandbox.profiles.memory.volume import Volume
from chrysalis.targets.base import Value
from tests.systems.moves import (
    at,
    did,
    done,
    down,
    fault,
    going_back,
    healed,
    load,
    operation,
    paused,
    set_off,
    signed_operation,
    stable_fault,
    stable_healed,
    taken_back,
    told,
    up,
    value,
    weight,
)
from tests.systems.running import Running
from tests.systems.table import Case, Move, System

MAIL, PAGERDUTY, ALERTS, CRITICAL = (f"MEMORY_{name}_URL" for name in ("MAIL", "PAGERDUTY", "ALERTS", "CRITICAL"))
PRODUCT, LEAD = "MEMORY_PRODUCT_URL", "MEMORY_LEAD_URL"
ELENA, DANA = "elena", "dana"
HEADER = {"x-canary": "on"}
BETA = {"x-user-segment": "beta_users"}
USERS = 60
LAST_WEEK_S, LONG_S = 600.0, 400.0


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


def setting(name: str, wanted: Value) -> Move:
    return value(name, wanted)


PREPARATION_BACK = (
    "begun rollback",
    "done undo preparation.header",
    "done undo preparation.canary_version",
    "done undo preparation.schema",
    "done rollback.preparation_back.healthy_again",
    "done rollback.preparation_back.told",
    "done rollback.verify",
    "done rollback",
)
QUICK = (
    "done rollback.weight",
    "done rollback.quick.phase3_off",
    "done rollback.quick.stop_new",
    "done rollback.quick.previous_version",
    "done rollback.quick.healthy_again",
    "done rollback.quick.told",
    "done rollback.verify",
    "done rollback",
)
FULL = (
    "done rollback.full.phase3_off",
    "done rollback.full.stop_all",
    "done rollback.full.point_in_time",
    "done rollback.full.integrity",
    "done rollback.full.previous_version",
    "done rollback.full.tests",
    "done rollback.full.verify_deployment",
    "done rollback.full.healthy_again",
    "done rollback.full.told",
    "done rollback.verify",
    "done rollback",
)
DATA_PRESERVING = (
    "done rollback.data_preserving.phase3_off",
    "done rollback.data_preserving.new_data",
    "done rollback.data_preserving.previous_version",
    "done rollback.data_preserving.compatible_data",
    "done rollback.data_preserving.verify_deployment",
    "done rollback.data_preserving.healthy_again",
    "done rollback.data_preserving.told",
    "done rollback.verify",
    "done rollback",
)
WATCH_SAFE = "watch: make_safe *'traffic': 0*"
IDLE = (at("preparation.idle", LONG_S), paused())
"""Prepared, and held there: the release runs, nobody is sent to it but by the header."""
OLD_VERSION = (weight(0, bypassed=False), answers("2.x"), answers("2.x", HEADER), setting("features.phase3.enabled", False))

SYSTEM = System(
    "memory",
    speed=20_000,
    database="memory",
    tables=("users", "memories"),
    unchanged=("users",),
    cases=(
        Case(
            "back_from_staging",
            (done("staging.staging_load", LONG_S), answers("2.x", HEADER), taken_back(), told(LEAD, "did not pass staging")),
            order=(
                "done staging.pre_deployment",
                "done staging.tests",
                "done staging.performance_tests",
                "done staging.security_tests",
                "done staging.bundle",
                "done staging.build",
                "done staging.staging_load",
                "begun rollback",
                "done undo staging.staging_version",
                "done undo staging.staging_schema",
                "done undo staging.configure",
                "done rollback.staging_back.*",
                "done rollback",
            ),
            never=("done preparation.*",),
        ),
        Case(
            "everyday_operations",
            (
                *IDLE,
                *(
                    operation(name, ELENA)
                    for name in (
                        "daily_check",
                        "weekly_check",
                        "monthly_check",
                        "monday_backup",
                        "thursday_security",
                        "saturday_archives",
                        "sunday_optimisation",
                        "incident_start",
                        "incident_notify",
                    )
                ),
                signed_operation("archive_corrupt", DANA, ELENA),
                told(CRITICAL, "critical incident"),
                sound(True),
                taken_back(),
                going_back(),
            ),
            order=(
                "done preparation.canary_smoke",
                "elena: operation daily_check*",
                "elena: operation weekly_check*",
                "elena: operation monthly_check*",
                "elena: operation archive_corrupt*",
                *PREPARATION_BACK,
            ),
            never=("watch: *", "page: * operation *"),
        ),
        Case(
            "alerts_and_playbooks",
            (
                *IDLE,
                answers("3.0.0", HEADER),
                # Cost: 40 % more is a warning, much more is critical, and so is the budget.
                stable_fault(cost=1.4),
                told(MAIL, "cost_up fires"),
                told(MAIL, "budget_high fires"),
                operation("high_cost", ELENA),
                setting("CACHE_TTL_FACTOR", 2),
                stable_fault(cost=2.4),
                told(PAGERDUTY, "cost_up_critical fires"),
                told(PAGERDUTY, "budget_critical fires"),
                stable_healed(),
                # The disk: a playbook starts by itself.
                full_disk(),
                told(PAGERDUTY, "disk_low fires"),
                did("operation disk_low", 180.0),
                disk_has_room(),
                # Memory.
                fault(memory_growth_mb_s=3),
                told(PAGERDUTY, "memory_leak fires"),
                healed(),
                remembers_the_process(),
                operation("memory_leak", ELENA),
                another_process(),
                # The pool: a session holds the memories; restarting the pool ends it.
                fault(pool_leak=1),
                told(PAGERDUTY, "database_down fires"),
                did("operation database_down", 180.0),
                measured("min(database_up)", "the database answers again", lambda value: value == 1),
                healed(),
                # The database away: read-only, nothing is lost, and back.
                operation("read_write", ELENA),
                setting("readOnly", False),
                rows_wait_and_come()[0],
                down("postgres"),
                setting("readOnly", True),
                told(CRITICAL, "database_down_critical fires"),
                writes(False),
                up("postgres"),
                measured("min(database_up)", "the database answers again", lambda value: value == 1),
                operation("read_write", ELENA),
                writes(True),
                rows_wait_and_come()[1],
                # Read-only by hand.
                operation("read_only", ELENA),
                database_is_read_only(True),
                writes(False),
                operation("read_write", ELENA),
                database_is_read_only(False),
                writes(True),
                # Errors: 3 % is a warning that goes to three routes, 30 % takes it back.
                load(header_share=0.5),
                fault(error_rate=0.03),
                told(PAGERDUTY, "errors fires"),
                fault(error_rate=0.3),
                going_back(),
                told(CRITICAL, "errors_critical fires"),
                healed(),
            ),
            order=(
                "warning: * cost_up fires*",
                "page: * cost_up_critical fires*",
                "page: * disk_low fires*",
                "watch: operation disk_low*",
                "page: * memory_leak fires*",
                "elena: operation memory_leak*",
                "watch: operation database_down*",
                "elena: operation read_write*",
                "elena: operation read_only*",
                "warning: * errors fires*",
                *PREPARATION_BACK,
            ),
            never=("done canary.*",),
        ),
        Case(
            "slow_and_slower",
            (
                # A slow service to begin with, so that a half and twice as slow are far apart in the router's buckets.
                stable_fault(latency_ms=760),
                load(rate_rps=20, header_share=0.5),
                *IDLE,
                fault(batch_ms=1230),
                told(ALERTS, "latency_up fires"),
                operation("slow_performance", ELENA),
                setting("BATCH_SIZE_FACTOR", 2),
                measured(
                    'histogram_quantile(0.95, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{side="canary"}[4s])))',
                    "larger batches halve it",
                    lambda value: value < 900,
                ),
                fault(batch_ms=5200),
                going_back(),
                told(CRITICAL, "latency_up_critical fires"),
                healed(),
                stable_healed(),
            ),
            order=("warning: * latency_up fires*", "elena: operation slow_performance*", *PREPARATION_BACK),
            never=("page: * errors_critical fires*",),
        ),
        Case(
            "errors_in_canary",
            (
                at("canary.at_5", LONG_S),
                Move("who is in the canary", until=only_beta_testers),
                fault(error_rate=0.5),
                going_back(),
                told(CRITICAL, "errors_critical fires"),
                healed(),
                told(MAIL, "Rolled back to v2.x"),
                *OLD_VERSION,
            ),
            order=("done canary.flag_5", "done canary.canary_5", WATCH_SAFE, "begun rollback", *QUICK),
            never=("done canary.canary_10",),
        ),
        Case(
            "release_is_down_in_canary",
            (
                at("canary.at_10", LONG_S),
                down("canary"),
                going_back(),
                told(CRITICAL, "service_down fires"),
                told(MAIL, "Rolled back to v2.x"),
            ),
            order=("done canary.canary_10", WATCH_SAFE, "begun rollback", *QUICK),
            never=("done production.*",),
        ),
        Case(
            "quick_by_hand_at_25",
            (
                at("production.day_2_soak", LAST_WEEK_S),
                weight(25),
                operation("rollback_quick", ELENA),
                going_back(),
                *OLD_VERSION,
            ),
            order=("done production.day_2", "begun rollback", *QUICK),
            never=("done production.day_3",),
        ),
        Case(
            "corruption_and_full_rollback_at_50",
            (
                at("production.day_3_soak", LAST_WEEK_S),
                weight(50),
                Move("!! 20 memories are corrupt", do=corrupt),
                sound(False),
                set_off("data_corruption"),
                told(CRITICAL, "data_corruption fires"),
                weight(0),
                operation("rollback_full", ELENA),
                going_back(),
                told(PRODUCT, "Fully rolled back", 240.0),
                sound(True),
            ),
            order=("done production.day_3", WATCH_SAFE, "begun rollback", *FULL),
            never=("done production.day_4",),
            back_within_s=30 * 60.0,
            outage=True,
        ),
        Case(
            "errors_in_the_first_week",
            (
                at("first_week.week", LAST_WEEK_S),
                weight(100),
                rows_wait_and_come("memory_archive")[0],
                fault(error_rate=0.3),
                going_back(),
                told(PRODUCT, "with new data kept", 240.0),
                healed(),
                Move(
                    "what was archived is there", until=lambda running: count(running, "SELECT count(*) FROM memory_archive")
                ),
                *OLD_VERSION,
            ),
            order=(
                "done first_hour.hour_report",
                "done first_day.day_report",
                WATCH_SAFE,
                "begun rollback",
                *DATA_PRESERVING,
            ),
            never=("done first_month.*",),
            back_within_s=30 * 60.0,
        ),
        Case(
            "data_preserving_by_hand_at_75",
            (
                at("production.day_4_soak", LAST_WEEK_S),
                weight(75),
                operation("rollback_data_preserving", ELENA),
                going_back(),
                *OLD_VERSION,
            ),
            order=("done production.day_4", "begun rollback", *DATA_PRESERVING),
            back_within_s=30 * 60.0,
        ),
        Case(
            "forward",
            (
                done("staging.go_to_canary", LONG_S),
                at("canary.at_5", LONG_S),
                weight(5, bypassed=True),
                Move("who is in the canary", until=only_beta_testers),
                # Its days pass in a second each, faster than anybody looks: what was done says the rest.
                done("canary.canary_valid", LONG_S),
                *(done(f"production.day_{day}_gate", LONG_S) for day in (1, 2, 3, 4)),
                done("first_hour.hour_report", LONG_S),
                weight(100),
                answers("3.0.0"),
                done("first_day.day_report", LONG_S),
                done("first_week.week_report", LONG_S),
                done("first_month.month_report", LONG_S),
            ),
            outcome="completed",
            order=(
                "done staging.pre_deployment",
                "done staging.staging_valid",
                "done staging.go_to_canary",
                "done preparation.before",
                "done preparation.canary_smoke",
                "done canary.fit_for_10",
                "done canary.canary_valid",
                "done canary.canary_people",
                "done canary.go_to_production",
                "done production.final",
                "done production.release",
                "done production.tag",
                "done production.day_1_gate",
                "done production.day_2_gate",
                "done production.day_3_gate",
                "done production.day_4_gate",
                "done production.day_5_told",
                "done first_hour.after_an_hour",
                "done first_day.after_a_day",
                "done first_week.after_a_week",
                "done first_month.after_a_month",
                "done first_month.month_report",
            ),
            never=("begun rollback*", "watch: make_safe*"),
            speed=80_000,
        ),
    ),
)
