"""`state.json`, the door to a running sandbox: ports, urls, pids, paths. The keeper writes it whenever something changes."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.sandbox.files import write_json
from chrysalis.sandbox.layout import Layout

FORMAT = 1
DEFAULT_FOLDER = Path(".chrysalis") / "sandbox"


@dataclass(frozen=True, slots=True)
class State:
    """What `state.json` holds."""

    folder: str
    keeper_pid: int
    keeper_started: int
    """The keeper's start in clock ticks since boot, so that a pid used again is not taken for it."""
    started_s: float
    detached: bool
    service: str
    versions: dict[str, str]
    ports: dict[str, int]
    urls: dict[str, str]
    postgres: dict[str, str]
    paths: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    """How often a part that ended by itself was started again."""
    ready: bool = False
    error: str = ""
    format: int = FORMAT

    def save(self) -> None:
        """Replace `state.json`."""
        write_json(Layout(Path(self.folder)).state, asdict(self))

    @property
    def running(self) -> bool:
        """Is the keeper that wrote this still there?"""
        return process_started(self.keeper_pid) == self.keeper_started


def sandbox_folder(given: Path | None = None) -> Path:
    """The folder meant: the given one, CHRYSALIS_SANDBOX, or `.chrysalis/sandbox` here."""
    chosen = given or Path(os.environ.get("CHRYSALIS_SANDBOX") or DEFAULT_FOLDER)
    return chosen.expanduser().resolve()


def read_state(folder: Path) -> State | None:
    """The state in this folder, of a sandbox running or not; None where there never was one. Raises SettingsError."""
    path = Layout(folder).state
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SettingsError(f"{path} is not readable as JSON ({error}); delete it and start the sandbox again") from error
    if content.get("format") != FORMAT:
        raise SettingsError(
            f"{path} has format {content.get('format')}, this program reads {FORMAT}; start the sandbox again"
        )
    return State(**content)


def process_started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is none, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
