"""The demo: one rollout that completes, and one with a fault at the middle of it that the watch sees and takes back.

Nothing in it is special: rollouts start as CI starts them, people sign through the same doors as people do (the form of
the UI, and the command line's function), the fault is the sandbox's, and every figure comes from the ledger and from the
load generator's own log. What differs from system to system stands in its profile (`chrysalis.sandbox.profiles`).
"""

import os
import time
from typing import Any

from chrysalis.errors import SettingsError
from chrysalis.ledger import Ledger
from chrysalis.local.people import ENROLLED_BY, POLL_S, Authenticators, People
from chrysalis.local.processes import descendants, memory_bytes
from chrysalis.local.stack import Say, Stack
from chrysalis.local.view import View
from chrysalis.sandbox.profiles import Incident, Profile
from chrysalis.targets.base import Stamp
from tasks import prefect_api
from tasks.lifecycle import register
from tasks.report import report
from tasks.workspace import TOKENS_PER_ROLLOUT, Workspace, open_ledger, plan_of

GOOD, BAD = "2.0.0", "2.1.0"
"""The version that completes, and the one that is taken back."""


class Demo:
    """Two rollouts of one plan on a running stack."""

    def __init__(self, stack: Stack, profile: Profile, say: Say) -> None:
        if stack.sandbox is None:
            raise SettingsError("the demo needs a started stack")
        self.stack, self.profile, self.say = stack, profile, say
        self.sandbox = stack.sandbox
        self.ledger: Ledger = open_ledger()
        self.authenticators = Authenticators(ENROLLED_BY)

    def run(self) -> list[dict[str, Any]]:
        """Both rollouts; a report for each."""
        incident = self.profile.incident
        if incident is None:
            raise SettingsError(f"the profile of {self.profile.name} has no incident, so nothing can be taken back")
        self.say(f"\n── 1. {self.profile.name} {GOOD}: to the end ──")
        first = self._one(GOOD, None)
        self._retire_canary(open_ledger().get(first["id"]).serial)
        self.say(f"\n── 2. {self.profile.name} {BAD}: with {incident.said} ──")
        second = self._one(BAD, incident)
        return [first, second]

    def _retire_canary(self, serial: int) -> None:
        """What follows a completed rollout: its version is the stable one now, and the canary's side is free again."""
        last = Stamp((serial + 1) * TOKENS_PER_ROLLOUT - 1, "demo", "retire")
        with self.sandbox.router() as router:
            router.write(0, last)
        self.profile.between(self.sandbox)

    def _one(self, version: str, incident: Incident | None) -> dict[str, Any]:
        began = time.time()
        given = {
            "plan": self.profile.name,
            "version": version,
            "reason": "demo",
            "started_by": "ci",
            "speed": self.profile.speed,
        }
        rollout, _ = register(
            self.profile.name,
            version,
            reason="demo",
            started_by="ci",
            speed=self.profile.speed,
            dry_run=False,
            again=False,
        )
        prefect_api.start_run(f"rollout/{self.profile.name}", given, rollout.id, [rollout.id])
        memory = Memory(self.ledger)
        people = People(self.ledger, rollout, self.profile, self.authenticators, self.say)
        begun = False
        with View(self.ledger, rollout.id) as view:
            deadline = time.monotonic() + self.profile.timeout_s
            while (row := view.show().rollout).active:
                people.act()
                memory.look()
                if incident is not None and not begun and self._soaks(rollout.id, incident.during):
                    incident.begin(self.sandbox)
                    begun = True
                    self.say(f"           !! {incident.said}")
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"{rollout.id} did not end within {self.profile.timeout_s:g} s: {row.status_text}; "
                        f"see {self.stack.home}/logs"
                    )
                time.sleep(POLL_S)
        time.sleep(1.0)  # the load generator writes its log in batches; the last requests are wanted
        if incident is not None:
            incident.end(self.sandbox)
        return {
            **self._report(rollout.id, began),
            "memory_mb": {"all": round(memory.all_of_it / 1e6), "watch": round(memory.watch / 1e6)},
        }

    def _soaks(self, rollout_id: str, named: str) -> bool:
        """Whether the rollout is watched in the soak of that phase and name."""
        plan = plan_of(rollout_id)
        soaks = [wait for wait in self.ledger.waits(rollout_id) if wait.kind == "soak" and wait.is_open and wait.watched_s]
        return any(f"{(step := plan.step(wait.step_id)).phase}.{step.title}" == named for wait in soaks)

    def _report(self, rollout_id: str, began: float) -> dict[str, Any]:
        told = report(Workspace.open(rollout_id, 0))
        load = self.sandbox.load_summary(since_s=began)
        exposure = load.exposure_ms if told["outcome"] != "completed" else None
        return {
            "plan": self.profile.name,
            "id": rollout_id,
            "outcome": told["outcome"],
            "phases": [
                {
                    "name": phase["name"],
                    "weights": phase["weights"],
                    "findings": [
                        {"name": one["name"], "verdict": one["verdict"], "reason": one["reason"]}
                        for one in phase["findings"]
                    ],
                    "seconds": phase["seconds"],
                }
                for phase in told["phases"]
            ],
            "breach_to_safe_ms": None if exposure is None else round(exposure, 1),
            "requests": {"served": load.served, "lost": load.lost, "lost_by_side": load.lost_by_side},
            "seconds": round(time.time() - began, 1),
        }


class Memory:
    """The most memory that everything took, and that the watch took, in bytes; looked at once a second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked_at = 0.0
        self.all_of_it = 0
        self.watch = 0

    def look(self) -> None:
        """Measure, unless that was done within the last second."""
        if time.monotonic() - self._looked_at < 1.0:
            return
        self._looked_at = time.monotonic()
        lease = self._ledger.lease("watch")
        watch_pid = int(lease.holder.rpartition(":")[2]) if lease else os.getpid()
        self.all_of_it = max(self.all_of_it, memory_bytes({os.getpid(), *descendants(os.getpid())}))
        self.watch = max(self.watch, memory_bytes({watch_pid}))
