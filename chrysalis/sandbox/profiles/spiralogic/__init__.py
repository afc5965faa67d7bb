"""Spiralogic: an oracle that answers in an event stream, in modes; staff by header, a cohort by cookie, then everybody."""

import json
from collections.abc import Mapping, Sequence

from chrysalis.sandbox.profiles.profile import Profile, canary_fault
from chrysalis.sandbox.profiles.spiralogic import trials
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings

CHANNELS = ("ops", "oncall", "eng_oncall", "product", "infrastructure", "finance")
_ASKED = {
    "air": "Help me find clarity in this decision",
    "earth": "I feel stuck and need grounding",
    "water": "Guide me through this emotional challenge",
    "fire": "I need energy to take action",
    "aether": "Connect me with deeper wisdom",
}


def prepare(sandbox: Sandbox) -> Mapping[str, str]:
    """The load test of the day before, and a file for each channel."""
    trials.load_test(sandbox, PROFILE.speed)
    return {f"SPIRALOGIC_{name.upper()}_URL": f"file:{sandbox.folder / 'channels' / name}.jsonl" for name in CHANNELS}


def command(sandbox: Sandbox, arguments: Sequence[str]) -> int:
    """`npm --prefix FOLDER run test:orch`, the only one that the plan runs."""
    if arguments[-2:] != ["run", "test:orch"]:
        return 64
    return trials.orchestrator_tests(sandbox)


def new_version(sandbox: Sandbox) -> None:
    """The next version is another process: its cache is cold."""
    sandbox.restart_part("canary")


PROFILE = Profile(
    "spiralogic",
    speed=20_000,
    settings=SandboxSettings(
        service="oracle",
        stable_version="baseline",
        canary_version="spiralogic",
        rate_rps=60,
        header_share=0.085,
        override_header="x-experiment-spiralogic",
        cohort_cookie="spiralogic-cohort",
        load_path="/api/oracle/chat",
        load_headers={"accept": "text/event-stream"},
        load_bodies=tuple(
            json.dumps({"userId": f"{element}-user", "text": text, "element": element}) for element, text in _ASKED.items()
        ),
    ),
    service="chrysalis.sandbox.profiles.spiralogic.service:Oracle",
    prepare=prepare,
    command=command,
    between=new_version,
    surveys={"satisfaction": 4.0, "challenge_acceptance": 0.44, "worldview_accuracy": 0.81},
    incident=canary_fault("beta.at_30", "30 % errors in Spiralogic at 30 %", error_rate=0.3),
)
