"""Where things are: the ledger, the plans, the variables that plans name. Read from the environment, once per process.

| variable | meaning | default |
| --- | --- | --- |
| `CHRYSALIS_HOME` | folder for what is kept locally | `.chrysalis` in the checkout |
| `CHRYSALIS_LEDGER_URL` | SQLAlchemy URL of the ledger | SQLite in the home folder |
| `CHRYSALIS_PLANS` | folder with one folder per plan | `deployments` in the checkout |
| `CHRYSALIS_PEOPLE` | file that says who people are | `people.yaml` in the folder of the plans, if it is there |
| `CHRYSALIS_KEY_FILE` | key that seals the secrets of one-time codes, mode 600 | `key` in the home folder |
| `CHRYSALIS_WATCH_INTERVAL` | the watch's tick, as a duration | `1s` |
| `CHRYSALIS_FAST_INTERVAL` | how often the watch looks at the router's counters | `250ms` |
| `CHRYSALIS_SUSPEND_AFTER` | a wait longer than this gives its process back | `20s` |

Variables that a plan names (`${PROMETHEUS_URL}`) come from the process's environment, or else from `environment.json` in
the home folder, which `make up` writes for the sandbox.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chrysalis import secrets
from chrysalis.errors import SettingsError
from gates.units import parse_duration

CHECKOUT = Path(__file__).resolve().parent.parent
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PLAN_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process was told. Intervals in seconds of the real clock."""

    home: Path
    ledger_url: str
    plans: Path
    people_file: Path | None
    """None: there is none, and each plan's own people are all there are."""
    key_file: Path
    watch_interval_s: float
    suspend_after_s: float
    fast_interval_s: float = 0.25

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """From the process's environment. Raises SettingsError for a value that cannot be used."""
        given = os.environ if environment is None else environment
        for name, value in given.items():
            secrets.learn(name, value)
        home = Path(given.get("CHRYSALIS_HOME") or CHECKOUT / ".chrysalis")
        plans = Path(given.get("CHRYSALIS_PLANS") or CHECKOUT / "deployments")
        return cls(
            home=home,
            ledger_url=given.get("CHRYSALIS_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
            plans=plans,
            key_file=Path(given.get("CHRYSALIS_KEY_FILE") or home / "key"),
            people_file=_people_file(given.get("CHRYSALIS_PEOPLE"), plans),
            watch_interval_s=_seconds(given, "CHRYSALIS_WATCH_INTERVAL", "1s"),
            suspend_after_s=_seconds(given, "CHRYSALIS_SUSPEND_AFTER", "20s"),
            fast_interval_s=_seconds(given, "CHRYSALIS_FAST_INTERVAL", "250ms"),
        )

    def plan_file(self, name: str) -> Path:
        """The file of the plan of that name; plans run only from the plans folder. Raises SettingsError."""
        path = self.plans / name / "plan.yaml"
        if not _PLAN_NAME.fullmatch(name) or not self._is_plan(path):
            known = ", ".join(self.plan_names()) or "none"
            raise SettingsError(f"no plan {name!r} in {self.plans}; the plans there are: {known}")
        return path

    def plan_names(self) -> list[str]:
        """The plans there are, by name."""
        return sorted(path.parent.name for path in self.plans.glob("*/plan.yaml") if self._is_plan(path))

    def _is_plan(self, path: Path) -> bool:
        """Whether there is a plan, and no link leads out of the plans folder to it."""
        return path.is_file() and path.resolve().is_relative_to(self.plans.resolve())

    def variables(self) -> Mapping[str, str]:
        """What `${NAME}` in a plan stands for."""
        path = self.home / "environment.json"
        try:
            written = json.loads(path.read_text()) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}; delete it or run `make up` again") from error
        for name, value in written.items():
            secrets.learn(name, str(value))
        return {**written, **os.environ}


def fill_in(text: str, variables: Mapping[str, str], *, where: str, secret: bool = False) -> str:
    """`text` with every `${NAME}` replaced. Raises SettingsError that names the first one not set.

    With `secret`, every value filled in is taken for a secret; otherwise those whose names or passwords say so.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise SettingsError(f"{where}: ${{{name}}} is not set; export {name} or run `make up` for the sandbox")
        found = variables[name]
        (secrets.learn_value if secret else secrets.learn)(name, found)
        return found

    return _VARIABLE.sub(value, text)


def _people_file(given: str | None, plans: Path) -> Path | None:
    """The file that was named, which must be there: without it everybody might do everything."""
    path = Path(given) if given else plans / "people.yaml"
    if path.is_file():
        return path
    if given:
        raise SettingsError(f"CHRYSALIS_PEOPLE: {path} is not a file; name the file that says who people are")
    return None


def _seconds(given: Mapping[str, str], name: str, default: str) -> float:
    text = given.get(name) or default
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error
    if seconds <= 0:
        raise SettingsError(f"{name}: found {text!r}, expected more than 0s")
    return seconds
