"""Memory management, Phase 3: staging of its own, beta testers first, everybody over five days, verified for a month."""

import json
from collections.abc import Mapping
from itertools import cycle, islice

from chrysalis.sandbox.alerts import load_alerts
from chrysalis.sandbox.install import PROJECT
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.parts import Part
from chrysalis.sandbox.profiles.memory import environment, surroundings, tool
from chrysalis.sandbox.profiles.memory.environment import PREVIOUS, RELEASE, Environment
from chrysalis.sandbox.profiles.memory.repository import make_repository
from chrysalis.sandbox.profiles.profile import Profile, canary_fault
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

PLAN = PROJECT / "deployments" / "memory" / "plan.yaml"
CHANNELS = ("mail", "pagerduty", "alerts", "critical", "oncall", "lead", "devops", "product", "cto")
TEXTS = 120
"""Different memories that the load sends in turn: at 60 a second each comes every 2 s."""
_WORDS = ("the walk by the river", "what we said at dinner", "a plan for the spring", "the name of the song")


def _texts() -> tuple[str, ...]:
    words = list(islice(cycle(_WORDS), TEXTS))
    texts = (f"Remember {number}: {' '.join([said] * 20)}." for number, said in enumerate(words))
    return tuple(json.dumps({"userId": f"user-{number * 7 % 500}", "text": text}) for number, text in enumerate(texts))


def parts(layout: Layout) -> list[Part]:
    """Staging and the control."""
    return environment.parts(layout, SandboxSettings.load_from(layout.folder))


def prepare(sandbox: Sandbox) -> Mapping[str, str]:
    """Databases, the checkout and its reports, backups, alerts; and where all of it is."""
    found = Environment.load(sandbox.folder)
    url = surroundings.make_databases(sandbox)
    make_repository(sandbox, found.staging_url)
    surroundings.run_pipeline(sandbox, found, PROFILE.speed)
    variables = {
        "SERVICE_DATABASE_URL": url,
        "SERVICE_CONTROL_URL": found.control_url("production"),
        "STAGING_SERVICE_URL": found.staging_url,
        "STAGING_CONTROL_URL": found.control_url("staging"),
        "STAGING_DATABASE_URL": environment.staging_database_uri(sandbox.layout),
        "STAGING_PROMETHEUS_URL": found.staging_prometheus_url,
        "BACKUPS": str(surroundings.make_backups(sandbox, url)),
        "MONITORING_API_KEY": "sandbox-monitoring-key",
    }
    load_alerts(sandbox, PLAN)
    channels = {f"MEMORY_{name.upper()}_URL": f"file:{sandbox.folder / 'channels' / name}.jsonl" for name in CHANNELS}
    return {**variables, **channels}


PROFILE = Profile(
    "memory",
    speed=80_000,
    settings=SandboxSettings(
        service="memory",
        stable_version=PREVIOUS,
        canary_version=RELEASE,
        rate_rps=60,
        beta_share=0.5,
        cohort_cookie="memory-cohort",
        load_path="/api/memories",
        load_bodies=_texts(),
    ),
    service="chrysalis.sandbox.profiles.memory.service:Memories",
    parts=parts,
    prepare=prepare,
    command=tool.run,
    between=surroundings.next_version,
    surveys={"satisfaction": 4.3, "feedback": 0.9, "security_issues": 0},
    incident=canary_fault("production.day_3_soak", "30 % errors in v3.0.0 at 50 %", error_rate=0.3),
    timeout_s=600.0,
)
