"""The plan `proved` on the session's stack, with people whose authenticators the test holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chrysalis.clock import utc_now
from chrysalis.people import codes
from tasks import people
from tasks.workspace import settings
from tests.desk import COPIED, Desk, tidy
from tests.stack import PLANS, RunningStack

FILE = PLANS / "proved" / "people.yaml"


@dataclass
class Authenticators:
    """What people have on their telephones."""

    secrets: dict[str, str]
    _given: set[tuple[str, int]] = field(default_factory=set)

    def code(self, person: str, *, ago: timedelta = timedelta(0)) -> str:
        """A code that was not given out before: of this half minute or the next ones to it; or the one of some time ago."""
        now = utc_now() - ago
        step = int(now.timestamp()) // codes.STEP_S
        for one in (step, step - 1, step + 1) if not ago else (step,):
            if (person, one) not in self._given:
                self._given.add((person, one))
                return codes.code_at(self.secrets[person], datetime.fromtimestamp(one * codes.STEP_S, UTC))
        raise AssertionError(f"every code of {person} for now was given out")


@contextmanager
def proved(stack: RunningStack) -> Iterator[Authenticators]:
    """Deploy the plan with its people file, and enrol those who sign. The environment is this process's until the end."""
    if not _deployed(stack):
        _deploy(stack)
    before = dict(os.environ)
    os.environ.update({**stack.environment(), "CHRYSALIS_PEOPLE": str(FILE)})
    settings.cache_clear()
    try:
        made = Authenticators({name: codes.new_secret() for name in ("dmitri", "pia")})
        for name, secret in made.secrets.items():
            people.enrol(name, secret, by="kim")
        yield made
        tidy(Desk(stack))
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def _deployed(stack: RunningStack) -> bool:
    return bool(stack.call("POST", "/deployments/count", {"deployments": {"name": {"any_": ["proved"]}}}))


def _deploy(stack: RunningStack) -> None:
    model = stack.call("GET", "/deployments/name/rollout/crystal")
    job = {**model["job_variables"], "env": {**model["job_variables"].get("env", {}), "CHRYSALIS_PEOPLE": str(FILE)}}
    body = {
        **{name: model[name] for name in COPIED},
        "name": "proved",
        "parameters": {"plan": "proved"},
        "job_variables": job,
    }
    stack.call("POST", "/deployments/", body)
