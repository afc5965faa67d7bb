"""MAIA's Crystal Observer: the service of every sandbox as it is, at a speed that shows eight weeks in a minute."""

from collections.abc import Mapping

from chrysalis.sandbox.profiles.profile import Profile, canary_fault
from chrysalis.sandbox.sandbox import Sandbox

CHANNELS = ("oncall", "deployment", "emergency", "primary", "secondary", "escalation", "war_room", "users")


def prepare(sandbox: Sandbox) -> Mapping[str, str]:
    """A file for each channel."""
    return {f"CRYSTAL_{name.upper()}_URL": f"file:{sandbox.folder / 'channels' / name}.jsonl" for name in CHANNELS}


PROFILE = Profile(
    "crystal",
    speed=80_000,
    prepare=prepare,
    surveys={
        "emergence_quality": 4.6,
        "emergence_appreciation": 0.86,
        "paradox_resolution": 0.7,
        "net_promoter_score": 41,
        "response_quality": 4.7,
        "conversation_depth": 34,
        "return_rate": 22,
    },
    incident=canary_fault("hybrid.at_50", "30 % errors in the new version at 50 %", error_rate=0.3),
)
