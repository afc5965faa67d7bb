"""Readiness: four phases behind checklists and six people; each trigger, alert and operation; what is not ready stops."""

from tests.systems.moves import (
    ON_CALL,
    at,
    done,
    fault,
    going_back,
    healed,
    operation,
    set_off,
    taken_back,
    told,
    value,
    weight,
)
from tests.systems.readiness_moves import (
    DMITRI,
    LIST_S,
    asked,
    attested,
    incident_is_written,
    left_in_the_code,
    no_go,
    replicas,
    says,
    says_no,
    stays_watched,
    taken_out_of_the_code,
)
from tests.systems.table import Case, System

ONCALL, DEPLOYMENT, EMERGENCY, USERS = (
    "CRYSTAL_ONCALL_URL",
    "CRYSTAL_DEPLOYMENT_URL",
    "CRYSTAL_EMERGENCY_URL",
    "CRYSTAL_USERS_URL",
)
SANJAY, CLARA = "sanjay", "clara"
"""Security, CTO."""

BACK = (
    "begun rollback",
    "done rollback.full.legacy_mode",
    "done rollback.full.legacy_is_active",
    "done rollback.full.users_told",
    "done rollback.full.incident_documented",
    "done rollback.verify",
    "done rollback",
)
SAFE_BACK = ("watch: make_safe * → {'traffic': 0*", *BACK)
LEGACY = (
    weight(0),
    value("mode", "legacy"),
    value("crystalWeight", 0),
    told(USERS, "Crystal was rolled back to legacy mode"),
)


def phase(name: str, percent: int) -> tuple[str, ...]:
    """What a phase does, in its order."""
    steps = [
        "ready",
        "launch_criteria",
        "launch_measured",
        "go_no_go",
        "authorisable",
        "authorise",
        "configure",
        *([f"set weight {percent} %"] if percent else []),
        "first_hour",
        "after_first_hour",
        "verify_first_hour",
        "first_day",
        "after_first_day",
        "verify_first_day",
        "first_week",
        "verify_first_week",
        "report",
    ]
    return tuple(f"done {name}.{step}" for step in steps)


SYSTEM = System(
    "readiness",
    speed=80_000,
    tables=("system_health", "resonance_events"),
    cases=(
        # What a checklist asks over days (coherence, memory, response times) is spoilt by the cases at the end: one stack
        # serves them all, and checklists look at the real clock.
        Case(
            "forward",
            (
                at("foundation.first_week", LIST_S),
                weight(0),
                value("mode", "legacy"),
                at("hybrid.first_week", LIST_S),
                weight(30),
                value("mode", "hybrid"),
                value("features.collectiveResonance", False),
                at("transition.first_week", LIST_S),
                weight(70),
                value("features.collectiveResonance", True),
                at("crystal.first_week", LIST_S),
                weight(100),
                value("mode", "crystal"),
                value("legacyFallback", True),
                done("crystal.report"),
            ),
            outcome="completed",
            order=(
                *phase("foundation", 0),
                *phase("hybrid", 30),
                *phase("transition", 70),
                *phase("crystal", 100),
                "done crystal.report",
            ),
            never=("begun rollback*", "watch: make_safe*"),
        ),
        Case(
            "vulnerability_at_100",
            (
                at("crystal.first_week", 2 * LIST_S),
                weight(100),
                set_off("vulnerability_reported", SANJAY),
                going_back(),
                told(EMERGENCY, "vulnerability_reported fires"),
                *LEGACY,
            ),
            order=("done crystal.set weight 100 %", "begun rollback", *BACK[1:]),
            never=("done crystal.first_week",),
        ),
        Case(
            "operations_and_emergency_rollback",
            (
                at("hybrid.first_week", LIST_S),
                told(DEPLOYMENT, "emergence_pattern fires"),
                operation("health_check", DMITRI),
                says("view_logs", '"message": "serving"'),
                operation("scale_up", DMITRI),
                replicas(10),
                operation("enable_crystal_mode", DMITRI),
                value("mode", "crystal"),
                operation("emergency_rollback", ON_CALL),
                weight(0),
                going_back(),
                incident_is_written(),
                *LEGACY,
                attested("Rollback verification"),
                says("verify_rollback", "go: all 5 items"),
            ),
            order=("dmitri: operation scale_up*", "elena: make_safe*", *BACK),
            speed=20_000,
        ),
        Case(
            "errors_at_30",
            (
                at("hybrid.first_week", LIST_S),
                weight(30),
                fault(error_rate=0.3),
                going_back(),
                weight(0),
                told(EMERGENCY, "error_rate_high fires"),
                healed(),
                *LEGACY,
            ),
            order=("done hybrid.set weight 30 %", *SAFE_BACK),
            never=("done hybrid.first_week", "begun transition.*"),
            speed=40_000,
        ),
        Case(
            "an_item_fails_and_blocks",
            (
                left_in_the_code("console.log('left');\n"),
                no_go("code.no_console_log"),
                weight(0),
                taken_out_of_the_code(),
                done("foundation.ready", LIST_S),
                taken_back(),
            ),
            order=("done foundation.schema", "done foundation.ready", *BACK),
            never=("done foundation.go_no_go",),
        ),
        Case(
            "one_of_the_six_says_no",
            (asked("foundation.go_no_go"), says_no(SANJAY, "a finding is open"), going_back(), *LEGACY),
            outcome="rejected",
            order=("done foundation.launch_measured", *BACK),
            never=("done foundation.go_no_go", "done foundation.configure"),
        ),
        Case(
            "not_authorised",
            (asked("foundation.authorise"), says_no(CLARA, "the window is closed"), going_back(), *LEGACY),
            outcome="rejected",
            order=("done foundation.go_no_go", "done foundation.authorisable", *BACK),
            never=("done foundation.authorise", "done foundation.configure"),
        ),
        Case(
            "connections_are_exhausted",
            (
                at("foundation.first_week", LIST_S),
                fault(database_connections=60),
                going_back(),
                told(EMERGENCY, "connections_exhausted fires"),
                healed(),
                *LEGACY,
            ),
            order=SAFE_BACK,
            speed=10_000,
        ),
        Case(
            "slow_then_very_slow",
            (
                at("hybrid.first_week", LIST_S),
                fault(latency_ms=1200),
                told(ONCALL, "slow_responses fires"),
                weight(30),
                fault(latency_ms=2400),
                going_back(),
                told(EMERGENCY, "responses_very_slow fires"),
                healed(),
                *LEGACY,
            ),
            order=("warning: *slow_responses fires*", *SAFE_BACK),
            never=("done hybrid.first_week",),
            speed=20_000,
        ),
        Case(
            "coherence_dips_then_stays_low",
            (
                at("foundation.first_hour", LIST_S),
                # Low for two of the five minutes and high again takes nothing back.
                fault(coherence=0.3),
                stays_watched(2.0),
                healed(),
                stays_watched(8.0),
                fault(coherence=0.3),
                going_back(),
                told(EMERGENCY, "coherence_low fires"),
                healed(),
                *LEGACY,
            ),
            order=("done foundation.both_versions", *SAFE_BACK),
            never=("done foundation.first_hour",),
            speed=60,
        ),
        Case(
            "memory_grows_without_bound",
            (
                at("foundation.first_week", LIST_S),
                fault(memory_growth_mb_s=4.0),
                going_back(),
                told(EMERGENCY, "memory_unbounded fires"),
                healed(),
                *LEGACY,
            ),
            order=SAFE_BACK,
            speed=10_000,
        ),
    ),
)
