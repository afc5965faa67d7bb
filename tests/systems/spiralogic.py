"""Spiralogic: forward with its cohort, the mode ladder down and up, each alert and guard rail, and back from every phase."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tasks.ladders import modes_now
from tests.systems.moves import (
    at,
    done,
    fault,
    going_back,
    healed,
    mode,
    operation,
    set_off,
    taken_back,
    told,
    value,
    weight,
)
from tests.systems.running import Running
from tests.systems.table import Case, Move, System

OPS, ONCALL, ENG_ONCALL = "SPIRALOGIC_OPS_URL", "SPIRALOGIC_ONCALL_URL", "SPIRALOGIC_ENG_ONCALL_URL"
FINANCE = "SPIRALOGIC_FINANCE_URL"
USERS = [f"case-user-{number}" for number in range(60)]
AT_ONCE = 8
QUESTION = {"userId": "case", "text": "Help me find clarity", "element": "air"}
DEFAULT_MODE = "ORCHESTRATOR_DEFAULT_MODE"
HEADER = "x-experiment-spiralogic"


def ask(running: Running, **headers: str) -> httpx.Response:
    """One turn, through the router."""
    url = running.sandbox.state.urls["service"] + "/api/oracle/chat"
    return httpx.post(url, json=QUESTION, headers=headers, timeout=5.0, trust_env=False)


def cohort(running: Running) -> set[str]:
    """Which of the users Spiralogic answers, by their cookie."""
    with ThreadPoolExecutor(AT_ONCE) as hands:
        answers = hands.map(lambda user: ask(running, cookie=f"spiralogic-cohort={user}"), USERS)
        return {user for user, one in zip(USERS, answers, strict=True) if one.headers["x-orchestrator"] == "spiralogic"}


def cohort_of_10(running: Running) -> str:
    running.kept["cohort"] = cohort(running)
    return f"{len(running.kept['cohort'])} of {len(USERS)} users" if running.kept["cohort"] else ""


def cohort_of_30_holds_that_of_10(running: Running) -> str:
    now = cohort(running)
    return (
        f"{len(now)} of {len(USERS)} users, the {len(running.kept['cohort'])} among them"
        if running.kept["cohort"] < now
        else ""
    )


def answers(orchestrator: str, **headers: str) -> Move:
    """Whoever asks with these headers is answered by it."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Move(
        f"{orchestrator} answers {named or 'everybody'}",
        until=lambda running: ask(running, **named).headers["x-orchestrator"] == orchestrator,
    )


def stays(wanted: str, seconds: float) -> Move:
    """The ladder has not moved after so long."""

    def waited(running: Running) -> bool:
        began = running.kept.setdefault("stays", time.monotonic())
        return time.monotonic() - began > seconds and modes_now(running.id)["mode"] == wanted

    return Move(f"mode is still {wanted} after {seconds:g} s", until=waited)


STOPPED = (
    "done rollback.weight",
    "done rollback.emergency_stop.baseline",
    "done rollback.emergency_stop.baseline_answers",
    "done rollback.emergency_stop.told",
    "done rollback.verify",
    "done rollback",
)
WATCH_STOPPED = ("watch: make_safe *'traffic.bypassed': False}", "begun rollback", *STOPPED)

SYSTEM = System(
    "spiralogic",
    speed=1_200,
    tables=("consciousness_turn_meta",),
    cases=(
        Case(
            "back_from_pre_flight",
            (done("pre_flight.indexes"), taken_back()),
            order=("begun rollback", "done undo pre_flight.schema", "done rollback.full.baseline", "done rollback.verify"),
        ),
        Case(
            "errors_high_in_canary",
            (
                at("canary.staff"),
                answers("spiralogic", x_experiment_spiralogic="on"),
                weight(0, bypassed=True),
                fault(error_rate=0.3),
                going_back(),
                weight(0, bypassed=False),
                told(ENG_ONCALL, "errors_high fires"),
                healed(),
                answers("baseline", x_experiment_spiralogic="on"),
            ),
            order=(
                "watch: make_safe {'traffic': 0, 'traffic.bypassed': True} → {'traffic': 0, 'traffic.bypassed': False}",
                "begun rollback",
                "done rollback.weight",
                "done rollback.staff_back.no_header",
                "done rollback.staff_back.baseline",
                "done rollback.staff_back.baseline_answers",
                "done rollback.staff_back.told",
                "done rollback.verify",
                "done rollback",
            ),
            never=("done beta.*",),
        ),
        Case(
            "ladder_alerts_and_emergency_stop",
            (
                at("beta.at_10"),
                mode("full"),
                # Full → lite: an external dependency is slow; heavy fusion goes, the shadow shaper stays.
                fault(dependency_ms=460),
                mode("lite"),
                value(DEFAULT_MODE, "lite"),
                value("features.archetypeFusion", False),
                value("features.shadowShaper", True),
                healed(),
                mode("full"),
                value("features.archetypeFusion", True),
                # Lite → fallback: external APIs fail; up again over lite.
                fault(dependency_errors=0.05),
                mode("fallback"),
                value("features.conciseOnly", True),
                value("features.queueTts", True),
                healed(),
                mode("lite"),
                mode("full"),
                # Fallback → baseline: slow for 30 min although fallback is on. Only a person leads out of it.
                fault(latency_ms=705),
                mode("fallback"),
                told(OPS, "latency_budget_breach fires"),
                mode("baseline"),
                value("ORCHESTRATOR", "baseline"),
                healed(),
                stays("baseline", 8.0),
                operation("leave_baseline"),
                mode("fallback"),
                mode("full"),
                # The other alerts and the guard rails.
                fault(tts_quota=0.85),
                told(OPS, "voice_quota_warn fires"),
                fault(cache_hits=0.1, tts_queue_s=80, tts_quota=1.0, cost=2.1, tokens=20),
                value("features.sfxTags", False),
                value("TTS_OVER_QUOTA_CHARS", 0),
                told(OPS, "voice_queue_guard fires"),
                told(OPS, "voice_queue_backlog fires"),
                told(OPS, "voice_quota_stop fires"),
                told(OPS, "cache_cold fires"),
                told(OPS, "tokens_surge fires"),
                told(FINANCE, "budget_doubled fires"),
                healed(),
                # The playbooks.
                operation("cost_surge"),
                value("TTS_MAX_TEXT_CHARS", 1200),
                operation("cost_surge_harder"),
                value("TTS_MAX_TEXT_CHARS", 900),
                operation("cost_surge_over"),
                value("TTS_MAX_TEXT_CHARS", 1500),
                operation("latency_spike"),
                value("SPIRALOGIC_SOFT_BUDGET_MS", 500),
                operation("latency_spike_over"),
                value("SPIRALOGIC_SOFT_BUDGET_MS", 450),
                mode("full"),
                operation("faster_model"),
                value("LONG_OUTPUT_MODEL", "flash"),
                operation("sfx_on"),
                value("features.sfxTags", True),
                operation("fallback_spike"),
                mode("baseline"),
                weight(0, bypassed=True),
                answers("baseline", cookie="spiralogic-cohort=case-user-1"),
                answers("spiralogic", x_experiment_spiralogic="on"),
                set_off("emergency_stop"),
                going_back(),
                weight(0, bypassed=False),
                answers("baseline", x_experiment_spiralogic="on"),
                told(ENG_ONCALL, "emergency_stop fires"),
            ),
            order=(
                "watch: ladder mode full → lite",
                "watch: ladder mode lite → full",
                "watch: ladder mode full → fallback",
                "watch: ladder mode fallback → lite",
                "watch: ladder mode lite → full",
                "watch: ladder mode fallback → baseline",
                "plan: ladder mode baseline → fallback",
                "watch: ladder mode fallback → lite",
                "watch: ladder mode lite → full",
                "plan: ladder mode full → lite",
                "plan: ladder mode full → baseline",
                "begun rollback",
                *STOPPED,
            ),
            never=("watch: ladder mode baseline → *",),
            speed=400,
        ),
        Case(
            "p95_high_in_beta",
            (
                at("beta.at_10"),
                fault(latency_ms=1000),
                mode("fallback"),
                going_back(),
                told(ONCALL, "p95_high fires"),
                healed(),
            ),
            order=WATCH_STOPPED,
            never=("done general_availability.*",),
        ),
        Case(
            "fallback_high_in_beta",
            (
                at("beta.at_30"),
                weight(30, bypassed=True),
                fault(falls_back=0.4),
                told(OPS, "fallback_storm fires"),
                going_back(),
                told(ENG_ONCALL, "fallback_high fires"),
                healed(),
            ),
            order=WATCH_STOPPED,
            speed=6_000,
        ),
        Case(
            "errors_high_at_100",
            (
                at("general_availability.kill_switch_week"),
                answers("spiralogic"),
                weight(100, bypassed=True),
                fault(error_rate=0.3),
                going_back(),
                told(ONCALL, "errors_high fires"),
                told(ONCALL, "error_spike fires"),
                healed(),
                answers("baseline"),
            ),
            order=WATCH_STOPPED,
            speed=20_000,
        ),
        Case(
            "forward",
            (
                done("pre_flight.load"),
                at("canary.staff"),
                weight(0, bypassed=True),
                at("beta.at_10"),
                weight(10, bypassed=True),
                Move("the cohort of 10 %", until=cohort_of_10),
                at("beta.at_30"),
                weight(30, bypassed=True),
                Move("the cohort of 30 %", until=cohort_of_30_holds_that_of_10),
                at("general_availability.kill_switch_week"),
                weight(100, bypassed=True),
                answers("spiralogic"),
                answers("baseline", x_experiment_spiralogic="off"),
                done("closing.no_header"),
                weight(100, bypassed=False),
            ),
            outcome="completed",
            order=(
                "done pre_flight.schema",
                "done pre_flight.load",
                "done canary.canary_success",
                "done canary.go_to_beta",
                "done beta.fit_for_30",
                "done beta.beta_success",
                "done beta.go_to_all",
                "done general_availability.orchestrator",
                "done general_availability.weight_100",
                "done general_availability.kill_switch_week",
                "done closing.remove_kill_switch",
                "done closing.no_kill_switch",
                "done closing.no_header",
                "done closing.t_plus_1_week",
            ),
            never=("watch: *", "begun rollback*"),
            speed=5_000,
        ),
    ),
)
