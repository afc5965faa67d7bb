"""TRIAD: forward over three instances, R6 kept and R6 skipped; every alert, the playbooks, and back from every stage."""

from typing import Any

import httpx

from tests.systems.moves import at, did, done, down, going_back, operation, set_off, taken_back, told, up
from tests.systems.running import Running
from tests.systems.table import Case, Move, System

ONCALL, OPERATIONS = "TRIAD_ONCALL_URL", "TRIAD_OPERATIONS_URL"
OLGA = "olga"
"""Holds operations: may operate, roll back, and set triggers off."""


def state(running: Running, instance: str) -> dict[str, object]:
    """What an instance itself says."""
    answer: dict[str, object] = httpx.get(running.sandbox.fleet.url(instance) + "/state", trust_env=False).json()
    return answer


def layers(*wanted: str, on: str) -> Move:
    """Until the instance itself says that these layers are on, and no other."""

    def are(running: Running) -> bool:
        return state(running, on)["layers"] == list(wanted)

    return Move(f"{', '.join(wanted) or 'nothing'} on {on}", until=are)


def broken(**faults: float | str) -> Move:
    """Faults of the fleet."""
    return Move(f"!! {faults}", do=lambda running: running.fleet_fault(**faults))


def mended() -> Move:
    """All faults of the fleet off."""
    return Move("faults off", do=lambda running: running.sandbox.fleet_fault())


def traffic(region: str) -> Move:
    """Until requests to the front door are answered there."""

    def goes(running: Running) -> bool:
        answer = httpx.get(running.sandbox.fleet.control_url + "/gateway/health", trust_env=False)
        return answer.is_success and answer.json()["region"] == region

    return Move(f"all traffic goes to {region}", until=goes)


def alert(channel: str, name: str, **faults: float | str) -> tuple[Move, ...]:
    """One fault after the other, each until its own people are told."""
    return (broken(**faults), told(channel, f"{name} fires"), mended())


def taken(rollback: str, *steps: str) -> tuple[str, ...]:
    """A way back in its order: its own steps, its proof, its end."""
    return ("begun rollback", *(f"done rollback.{rollback}.{one}" for one in steps), "done rollback.verify", "done rollback")


FULL = taken("full", "all_off", "checked", "instances_answer", "notify")
EVERY = ("alpha", "beta", "gamma")


def back(name: str, soak: str, *moves: Move, order: tuple[str, ...], speed: float = 40_000, **more: Any) -> Case:
    """Into that soak, then what breaks it, then back."""
    return Case(
        name, (at(soak, 900.0), *moves, going_back(120.0), mended()), order=order, speed=speed, back_within_s=1800, **more
    )


SYSTEM = System(
    "triad",
    speed=40_000,
    database="triad",
    tables=("customers",),
    unchanged=("customers",),
    cases=(
        Case(
            "forward",
            (
                at("stage_1.alpha_alone", 900.0),
                layers("R1", "R2", on="alpha"),
                layers(on="beta"),
                at("stage_2.alpha_alone", 900.0),
                layers("R1", "R2", "R3", on="alpha"),
                layers("R1", "R2", on="gamma"),
                at("stage_3_r4.alpha_alone", 900.0),
                layers("R1", "R2", "R3", "R4", on="alpha"),
                layers("R1", "R2", "R3", on="beta"),
                at("stage_3_expansion.all_three", 900.0),
                *(layers("R1", "R2", "R3", "R4", "R5", on=one) for one in EVERY),
                at("stage_4.after_the_last_run", 900.0),
                *(layers("R1", "R2", "R3", "R4", "R5", "R6", on=one) for one in EVERY),
                done("full_production.full_production", 900.0),
            ),
            outcome="completed",
            order=(
                "done pre_production.prerequisites",
                "done pre_production.go_to_stage_1",
                "done stage_1.schema",
                "done stage_1.stage_1_success",
                "done stage_2.stage_2_success",
                "done stage_3_r4.r4_success",
                "done stage_3_r5.r5_stable_on_alpha",
                "done stage_3_expansion.stage_3_success",
                "done stage_4_trial.trial",
                "done stage_4_trial.epsilon_known",
                "done stage_4.four_mondays_1_of_4_orchestrate",
                "done stage_4.four_mondays_4_of_4_orchestrate",
                "done stage_4.stage_4_success",
                "done full_production.full_production",
            ),
            never=("begun rollback*", "skipped *", "watch: *"),
            speed=80_000,
        ),
        Case(
            "r6_is_not_worth_it",
            (
                broken(r6_epsilon=0.43),
                done("full_production.full_production", 1800.0),
                layers("R1", "R2", "R3", "R4", "R5", on="alpha"),
                mended(),
            ),
            outcome="completed",
            order=(
                "done stage_4_trial.epsilon_known",
                "skipped stage_4.strategic_on",
                "skipped stage_4.keep_r6",
                "done full_production.full_production",
            ),
            never=("begun rollback*", "done stage_4.strategic_on"),
            speed=80_000,
        ),
        Case(
            "alerts_playbooks_and_a_p0",
            (
                at("stage_1.alpha_alone", 900.0),
                *alert(ONCALL, "consensus_divergence", diverging="gamma"),
                operation("force_consensus_sync", OLGA),
                *alert(ONCALL, "error_rate_critical", error_rate=0.2),
                operation("disable_framework", OLGA),
                operation("error_diagnosis", OLGA),
                *alert(ONCALL, "consensus_slow", consensus_s=6.0),
                *alert(OPERATIONS, "baseline_consensus_time", consensus_s=12.0),
                *alert(ONCALL, "queue_builds_up", queue_depth=250.0),
                *alert(ONCALL, "queue_long", queue_depth=600.0),
                *alert(ONCALL, "baseline_success_rate", error_rate=0.02),
                *alert(ONCALL, "cpu_high", cpu=0.9),
                operation("scale_up", OLGA),
                operation("scale_out", OLGA),
                *alert(ONCALL, "storage_full", database_fill=0.9),
                *alert(ONCALL, "backup_too_old", backup_age_s=4000.0),
                operation("back_up_database", OLGA),
                operation("back_up_state", OLGA),
                *alert(ONCALL, "restore_untested", restore_test_age_s=90_000.0),
                operation("restore_test", OLGA),
                *alert(ONCALL, "replication_behind", replication_lag_s=4000.0),
                *alert(OPERATIONS, "baseline_alpha", r2_alpha=0.85),
                # An instance ends: the others take over by themselves within five minutes, then it is restarted.
                down("instance-beta"),
                told(ONCALL, "instance_down fires"),
                told(ONCALL, "layer_manager_down fires"),
                told(ONCALL, "region_down fires"),
                did("watch: operation instance_failover", 120.0),
                traffic("us-east"),
                up("instance-beta"),
                operation("restart_instance", OLGA),
                operation("restart_beta", OLGA),
                operation("restart_layer_manager", OLGA),
                layers("R1", "R2", on="alpha"),
                operation("region_failover", OLGA),
                traffic("us-west"),
                operation("restore_database", OLGA),
                operation("status", OLGA),
                broken(p0_open=1.0),
                going_back(),
                told(ONCALL, "any_p0 fires"),
                mended(),
                *(layers(on=one) for one in EVERY),
            ),
            order=(
                "watch: operation instance_failover*",
                "olga: operation region_failover*",
                "olga: operation restore_database*",
                *FULL,
            ),
            speed=300,
            back_within_s=1800,
        ),
        back(
            "everyday_operations_and_a_version_back",
            "stage_1.alpha_alone",
            operation("consensus_diagnosis", OLGA),
            operation("restart_gamma", OLGA),
            operation("grow_storage", OLGA),
            operation("weekly_cleanup", OLGA),
            operation("monthly_optimisation", OLGA),
            operation("recovery_drill", OLGA),
            operation("restore_lost_data", OLGA),
            operation("roll_back_version", OLGA),
            operation("deactivate_r3", OLGA),
            operation("deactivate_all", OLGA),
            layers(on="alpha"),
            taken_back(OLGA),
            order=FULL,
            speed=300,
        ),
        back("errors_for_an_hour", "stage_1.alpha_alone", broken(error_rate=0.2), order=FULL),
        back("alpha_low_for_a_day", "stage_1.alpha_alone", broken(r2_alpha=0.7), order=FULL, speed=80_000),
        back("data_is_corrupt", "stage_1.alpha_alone", broken(integrity_failures=1.0), order=FULL),
        back("data_is_lost", "stage_1.alpha_alone", broken(missing_records=3.0), order=FULL),
        back("lost_data_is_reported", "stage_1.alpha_alone", set_off("data_loss_reported", OLGA), order=FULL),
        back("a_p0_is_declared", "stage_1.alpha_alone", set_off("p0_declared", OLGA), order=FULL),
        back(
            "beta_low_for_two_days",
            "stage_2.observation",
            broken(r3_beta=0.6),
            order=taken("meta_off", "r3_off", "checked", "notify"),
            speed=80_000,
        ),
        back(
            "compositions_fail",
            "stage_2.alpha_alone",
            broken(composition=0.7),
            order=taken("meta_off", "r3_off", "checked", "notify"),
        ),
        back(
            "instances_diverge_with_r4",
            "stage_3_r4.alpha_alone",
            broken(diverging="gamma"),
            order=taken("r4_off", "r4_off", "checked", "notify"),
        ),
        back(
            "alpha_degraded",
            "stage_3_r4.alpha_alone",
            broken(r2_alpha=0.65),
            order=taken("r4_off", "r4_off", "checked", "notify"),
        ),
        back(
            "beta_degraded",
            "stage_3_r4.alpha_alone",
            broken(r3_beta=0.65),
            order=taken("r4_off", "r4_off", "checked", "notify"),
        ),
        back(
            "gamma_degraded",
            "stage_3_r4.alpha_alone",
            broken(r4_gamma=0.65),
            order=taken("r4_off", "r4_off", "checked", "notify"),
        ),
        back(
            "a_failure_spreads",
            "stage_3_r4.alpha_alone",
            broken(cascade_failures=5.0),
            order=taken("r4_off", "r4_off", "checked", "notify"),
        ),
        back(
            "delta_degraded",
            "stage_3_r5.alpha_alone",
            broken(r5_delta=0.65),
            order=taken("r5_off", "r5_off", "checked", "notify"),
        ),
        back(
            "a_p0_with_r5_everywhere",
            "stage_3_expansion.all_three",
            broken(p0_open=1.0),
            order=taken("advanced_off", "advanced_layers_off", "checked", "notify"),
            speed=80_000,
        ),
        back(
            "alerts_of_the_later_stages",
            "stage_4.after_the_last_run",
            *alert(OPERATIONS, "baseline_beta", r3_beta=0.8),
            *alert(OPERATIONS, "baseline_gamma", r4_gamma=0.8),
            *alert(OPERATIONS, "baseline_delta", r5_delta=0.75),
            *alert(OPERATIONS, "baseline_epsilon", r6_epsilon=0.75),
            down("instance-gamma"),
            told(OPERATIONS, "baseline_burden fires"),
            up("instance-gamma"),
            # From the top: what stands on a layer goes off with it.
            operation("deactivate_r6", OLGA),
            told(OPERATIONS, "r6_disabled fires"),
            operation("deactivate_r5", OLGA),
            told(OPERATIONS, "r5_disabled fires"),
            told(OPERATIONS, "layers_disabled fires"),
            operation("deactivate_r4", OLGA),
            told(OPERATIONS, "r4_disabled fires"),
            told(OPERATIONS, "burden_low fires"),
            operation("deactivate_r3", OLGA),
            told(OPERATIONS, "r3_disabled fires"),
            taken_back(OLGA),
            order=("olga: operation deactivate_r6*", "olga: operation deactivate_r3*", "begun rollback", "done rollback"),
            speed=80_000,
        ),
        back(
            "epsilon_degraded",
            "stage_4.after_the_last_run",
            broken(r6_epsilon=0.65),
            order=taken("strategic_off", "r6_off", "checked", "notify"),
            speed=80_000,
        ),
    ),
)
