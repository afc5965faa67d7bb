"""Crystal guarded by its readiness checklist: the service with its guards, and everything around it that the list checks."""

from collections.abc import Mapping

from chrysalis.sandbox.profiles.profile import Profile, canary_fault
from chrysalis.sandbox.profiles.readiness import surroundings
from chrysalis.sandbox.profiles.readiness.pipeline import run_pipeline
from chrysalis.sandbox.profiles.readiness.repository import make_repository
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

DAYS_KEPT_S = 30 * 86_400.0
CHANNELS = ("primary", "secondary", "oncall", "emergency", "deployment", "war_room", "users")
HYBRID = {
    "CRYSTAL_MODE": "hybrid",
    "CRYSTAL_WEIGHT": "0.3",
    "AETHER_WEIGHT": "0.35",
    "PARADOX_THRESHOLD": "3",
    "EMERGENCE_ENABLED": "true",
    "MONITORING_ENABLED": "true",
    "LOG_LEVEL": "info",
    "NODE_ENV": "production",
    "NEXT_PUBLIC_SUPABASE_URL": "http://127.0.0.1/supabase",
    "NEXT_PUBLIC_SUPABASE_ANON_KEY": "sandbox-anon-key-9f31",
    "SUPABASE_SERVICE_KEY": "sandbox-service-key-77ab",
}
"""What the service's environment is to be from the hybrid phase on."""


def prepare(sandbox: Sandbox) -> Mapping[str, str]:
    """The checkout, the database, two days of history, backups, and then the pipeline over all of it."""
    make_repository(sandbox.folder / "repository")
    surroundings.database(sandbox)
    run_pipeline(sandbox, PROFILE.speed)
    # Thousands of connections leave their traces in a process; the version that is rolled out is a fresh one.
    sandbox.restart_part("canary")
    surroundings.history(sandbox)
    return {
        **HYBRID,
        **{f"CRYSTAL_{name.upper()}_URL": f"file:{sandbox.folder / 'channels' / name}.jsonl" for name in CHANNELS},
        **surroundings.tls_variables(sandbox),
        "KUBECONFIG": str(sandbox.folder / surroundings.KUBECONFIG),
        "BACKUPS": str(surroundings.backups(sandbox)),
        "SERVICE_ALERT_RULES": str(surroundings.alert_rules(sandbox)),
        "SERVICE_ASSET_URL": sandbox.state.urls["service"] + "/assets/app.js",
        "SERVICE_POOLER_URL": sandbox.state.postgres["uri"],
    }


PROFILE = Profile(
    "readiness",
    speed=80_000,
    settings=SandboxSettings(service="maia", rate_rps=60, retention_s=DAYS_KEPT_S),
    service="chrysalis.sandbox.profiles.readiness.service:Guarded",
    parts=surroundings.parts,
    prepare=prepare,
    surveys={"user_feedback": 0.87, "complaints": 2},
    incident=canary_fault("hybrid.first_week", "30 % errors in Crystal at 30 %", error_rate=0.3),
)
