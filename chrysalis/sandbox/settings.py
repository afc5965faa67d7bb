"""What a sandbox can be told at its start. Written to `settings.json` in its folder, from where every part reads it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chrysalis.errors import SettingsError

FILE = "settings.json"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """All have defaults that suit the demo. Rates are per real second, except where they say otherwise."""

    service: str = "maia"
    stable_version: str = "v1"
    canary_version: str = "v2"
    rate_rps: float = 150.0
    """Requests a second that the generator sends through Envoy."""
    header_share: float = 0.0
    """Share of the requests (0-1) that carry the override header."""
    override_header: str = "x-canary"
    override_value: str = "on"
    scrape_interval_s: float = 1.0
    emergence_per_h: float = 8.0
    """Emergence events per hour of the plan's clock while the canary has traffic."""
    plan_speed: float = 1.0
    """Plan seconds per real second; only the emergence rate depends on it. `Sandbox.set_plan_speed` changes it."""
    coherence: float = 0.72
    symbolic_entropy: float = 0.62
    work_parts: int = 8
    """Pieces of work in a request; stable does them one after the other, canary all at once."""
    part_ms: float = 2.0
    retention_s: float = 3600.0
    """Rows of system_health and resonance_events older than this (real time) are deleted."""
    restart_after_s: float = 1.0
    """How long a part that ended by itself stays down before the keeper starts it again."""
    database_connections: int = 60
    load: bool = True
    instances: dict[str, str] = field(default_factory=dict)
    """A fleet beside the service: instance to region; none without (see `chrysalis.sandbox.fleet`)."""
    profile: str = ""
    """Which system this is the sandbox of (`chrysalis.sandbox.profiles`); empty for none, the service as such."""
    load_path: str = "/work"
    load_bodies: tuple[str, ...] = ()
    """JSON texts that the generator posts in turn to `load_path`; none, and it sends GET."""
    load_headers: dict[str, str] = field(default_factory=dict)
    beta_share: float = 0.1
    """Share of the generator's users (0-1) who are beta testers, spread evenly over them."""
    database_uri: str = ""
    """Of a service that has no PostgreSQL of its own beside it; empty for the sandbox's."""
    cohort_cookie: str = ""
    """The cookie by which each user of the generator is known to the router; empty, and none is sent."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "load_bodies", tuple(self.load_bodies))
        for name in ("rate_rps", "emergence_per_h", "restart_after_s"):
            if getattr(self, name) < 0:
                raise SettingsError(f"sandbox setting {name} is {getattr(self, name)}, must be at least 0")
        for name in ("scrape_interval_s", "part_ms", "retention_s", "plan_speed"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"sandbox setting {name} is {getattr(self, name)}, must be above 0")
        for name in ("header_share", "beta_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"sandbox setting {name} is {getattr(self, name)}, must be from 0 to 1")

    def save(self, folder: Path) -> None:
        """Write them into the sandbox's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def load_from(cls, folder: Path) -> "SandboxSettings":
        """Those that were saved there. Raises SettingsError."""
        try:
            return cls(**json.loads((folder / FILE).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"{folder / FILE} does not hold the settings of a sandbox ({error})") from error

    def version(self, side: str) -> str:
        """The version that runs on `side`."""
        return self.canary_version if side == "canary" else self.stable_version
