"""Crystal: forward over eight weeks, what takes it back in each phase, the decision tree after phase 2, and its commands."""

from tests.systems.moves import at, done, fault, going_back, healed, operation, set_off, taken_back, told, value, weight
from tests.systems.table import Case, Move, System

DEPLOYMENT, ONCALL, EMERGENCY = "CRYSTAL_DEPLOYMENT_URL", "CRYSTAL_ONCALL_URL", "CRYSTAL_EMERGENCY_URL"
USERS, PRIMARY = "CRYSTAL_USERS_URL", "CRYSTAL_PRIMARY_URL"
DMITRI = "dmitri"
"""Holds devops_lead: may operate, roll back, and set triggers off."""
ALL_CONNECTIONS = 400
"""More than the sandbox's database has."""
BACK = (
    "begun rollback",
    "done rollback.weight",
    "done rollback.full.legacy_mode",
    "done rollback.full.legacy_is_active",
    "done rollback.full.users_told",
    "done rollback.verify",
    "done rollback",
)
WATCH_BACK = ("watch: make_safe *", *BACK)


def configured(**values: object) -> tuple[Move, ...]:
    """Until the service's own configuration says so."""
    return tuple(value(name.replace("__", "."), wanted) for name, wanted in values.items())


def breach(name: str, soak: str, trigger: str, *also: Move, speed: float = 20_000, **faults: float) -> Case:
    """In that soak the new version breaks, and the watch takes it back."""
    moves = (
        at(soak, 400.0),
        *also,
        fault(**faults),
        going_back(),
        weight(0),
        told(EMERGENCY, f"{trigger} fires"),
        healed(),
        told(USERS, "rolled back", 120.0),
        *configured(mode="legacy", crystalWeight=0),
    )
    return Case(name, moves, order=WATCH_BACK, never=("done crystal.*",), speed=speed)


SYSTEM = System(
    "crystal",
    speed=20_000,
    cases=(
        Case(
            "forward",
            (
                at("hybrid.at_30", 400.0),
                weight(30),
                done("transition.share", 400.0),
                weight(90),
                done("crystal.archive", 400.0),
                *configured(mode="crystal", legacyFallback=False),
            ),
            outcome="completed",
            order=(
                "done foundation.component_checks",
                "done foundation.no_impact",
                "done foundation.go_to_hybrid",
                "done hybrid.fit_for_40",
                "done hybrid.evaluate_for_50",
                "done hybrid.hybrid_success",
                "done hybrid.go_to_transition",
                "done transition.fit_for_90",
                "done transition.transition_success",
                "done transition.share",
                "done transition.go_to_crystal",
                "done crystal.targets_met",
                "done crystal.archive_legacy",
                "done crystal.archive",
                "done crystal.after_archive",
            ),
            never=("begun rollback*", "watch: *"),
            speed=80_000,
        ),
        Case(
            "back_from_foundation",
            (at("foundation.components", 200.0), taken_back(DMITRI)),
            order=("begun rollback", "done undo foundation.header", "done undo foundation.schema", "done rollback.verify"),
        ),
        breach("coherence_low_in_hybrid", "hybrid.at_30", "coherence_collapse", weight(30), coherence=0.2),
        breach("slow_in_hybrid", "hybrid.at_50", "crystal_below_threshold", weight(50), latency_ms=1_300),
        breach("coherence_collapses_in_transition", "transition.at_70", "coherence_collapse", weight(70), coherence=0.2),
        breach("errors_very_high_in_transition", "transition.at_70", "error_rate_high", weight(70), error_rate=0.3),
        breach("very_slow_in_transition", "transition.at_70", "responses_very_slow", weight(70), latency_ms=2_600),
        breach("memory_grows_in_transition", "transition.at_70", "memory_unbounded", weight(70), memory_growth_mb_s=5.0),
        breach("connections_exhausted", "hybrid.at_50", "connections_exhausted", database_connections=ALL_CONNECTIONS),
        Case(
            "decision_tree_in_transition",
            (
                at("transition.multi_user_at_70", 400.0),
                weight(70),
                # Errors between 2 and 5 % that one feature brings: it goes off, and with it the errors.
                fault(error_rate=0.04, error_feature="emergence"),
                value("features.emergence", False),
                told(ONCALL, "errors fires"),
                healed(),
                # Slow, and not very slow: 20 points less, and it waits for a person.
                fault(latency_ms=1_300),
                weight(50),
                told(ONCALL, "slow_responses fires"),
                healed(),
                fault(coherence=0.2),
                going_back(),
                weight(0),
                healed(),
            ),
            order=("watch: *features.emergence*", "watch: *", *WATCH_BACK),
            speed=10_000,
        ),
        Case(
            "too_much_emergence",
            (
                at("hybrid.at_50", 400.0),
                fault(emergence_per_h=60),
                value("emergenceThrottle", 0.5),
                told(ONCALL, "emergence_overload fires"),
                told(DEPLOYMENT, "emergence_overload fires"),
                healed(),
                taken_back(DMITRI),
            ),
            order=BACK,
        ),
        Case(
            "a_vulnerability_is_reported",
            (
                at("hybrid.at_30", 400.0),
                set_off("vulnerability_reported", DMITRI),
                going_back(),
                weight(0),
                told(PRIMARY, "vulnerability_reported"),
            ),
            order=WATCH_BACK,
        ),
        Case(
            "commands_by_hand",
            (
                at("hybrid.at_50", 400.0),
                operation("status", DMITRI),
                operation("aether_up", DMITRI),
                value("aetherWeight", 0.5),
                operation("aether_down", DMITRI),
                value("aetherWeight", 0.25),
                operation("throttle_emergence", DMITRI),
                value("emergenceThrottle", 0.5),
                operation("emergence_off", DMITRI),
                value("features.emergence", False),
                operation("weights_to_50", DMITRI),
                value("crystalWeight", 0.5),
                operation("crystal_mode", DMITRI),
                value("mode", "crystal"),
                operation("legacy_mode", DMITRI),
                value("mode", "legacy"),
                operation("partial_rollback", DMITRI),
                weight(50),
                operation("full_rollback", DMITRI),
                value("crystalWeight", 0),
                taken_back(DMITRI),
            ),
            order=(*(f"{DMITRI}: operation {one}*" for one in ("status", "aether_up", "full_rollback")), *BACK),
            speed=10_000,
        ),
    ),
)
