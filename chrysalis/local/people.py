"""The people of a demo: they do what people do, by the functions of the command line and by the form of the UI."""

import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Ledger, Rollout, Wait
from chrysalis.local.stack import Say
from chrysalis.people import codes
from chrysalis.plan import Plan
from chrysalis.plan.parts import ManualSource
from chrysalis.sandbox.profiles import Profile
from gates.signoff import Tally
from tasks import approve, measure, prefect_api
from tasks.checklist import attest, list_of_plan
from tasks.people import all_people, enrol
from tasks.proof import Code
from tasks.workspace import Workspace, people_of, plan_of, settings

POLL_S = 0.1
ENROLLED_BY = "dmitri"
"""Who hands out the authenticators: somebody who may change people."""
MEASURES = "ravi"
"""Who enters what surveys said: somebody who may."""
SURVEY_EVERY_S = 2.0
"""Real seconds between two surveys; at the demo's speed that is about two days."""


class Authenticators:
    """What the people of the demo have on their telephones; enrolled as `chrysalis people enrol` does."""

    def __init__(self, enrolled_by: str) -> None:
        people = all_people()
        self._secrets = {name: codes.new_secret() for name in people.people}
        self._used: set[tuple[str, str]] = set()
        for name, secret in self._secrets.items():
            enrol(name, secret, by=enrolled_by)

    def code(self, person: str) -> str:
        """A code of theirs that was not used yet, waited for where there is none."""
        while (made := self.code_at_hand(person)) is None:
            time.sleep(POLL_S)
        return made

    def code_at_hand(self, person: str) -> str | None:
        """A code of this half minute or those beside it that was not used yet."""
        now, step = utc_now(), timedelta(seconds=codes.STEP_S)
        for at in (now, now + step, now - step):
            if (person, made := codes.code_at(self._secrets[person], at)) not in self._used:
                return made
        return None

    def used(self, person: str, code: str) -> None:
        """That code was entered."""
        self._used.add((person, code))


class People:
    """The people of the plan: they enter what surveys said, attest what no machine can check, and sign; the last signature
    comes through the UI's form."""

    def __init__(self, ledger: Ledger, rollout: Rollout, profile: Profile, authenticators: Authenticators, say: Say) -> None:
        self._ledger, self._id, self._say = ledger, rollout.id, say
        self._authenticators = authenticators
        self._plan: Plan = plan_of(rollout.id)
        self._profile = profile
        self._answered: set[tuple[int, int]] = set()
        self._attested: set[tuple[int, str]] = set()
        self._measured_at = 0.0

    def act(self) -> None:
        """Do what somebody waits for."""
        if time.monotonic() - self._measured_at > SURVEY_EVERY_S:
            self._measured_at = time.monotonic()
            try:
                self._enter_surveys()
            except ChrysalisError:
                if self._ledger.get(self._id).active:
                    raise
                return  # it has ended since it was last looked at, and nothing is measured for it any more
        for wait in self._ledger.waits(self._id):
            if wait.is_open and wait.kind == "sign_off" and wait.pauses and (wait.id, wait.pauses) not in self._answered:
                with suppress(prefect_api.PrefectUnavailable):  # the form is pressed again at the next look
                    self._sign(wait)
            if wait.is_open and wait.kind == "checklist":
                self._attest(wait)

    def _enter_surveys(self) -> None:
        for name, value in self._profile.surveys.items():
            metric = self._plan.metrics.get(name)
            if metric is not None and isinstance(self._plan.sources[metric.source], ManualSource):
                measure.enter(self._id, name, value, by=MEASURES)

    def _attest(self, wait: Wait) -> None:
        """Attest the items that a checklist waits for, each by one who may. Those that a machine checks are left to it."""
        name = str(wait.detail["list"])
        named = list_of_plan(self._plan, name, settings())
        items = {item.id: item for item in named.checklist.items_of(())}
        asked = [items[one] for one in wait.detail.get("open") or () if (wait.id, one) not in self._attested]
        people, did = people_of(self._plan), Counter[str]()
        for item in asked:
            if item.attest is None:
                continue
            person = people.holders(item.attest.role)[0]
            attest(
                self._ledger, self._plan, named, item, person=person, evidence=self._profile.evidence, rollout_id=self._id
            )
            self._attested.add((wait.id, item.id))
            did[person] += 1
        for person, count in did.items():
            self._say(f"           {person} attests {count} item(s) of the checklist {name}, with evidence")

    def _sign(self, wait: Wait) -> None:
        workspace = Workspace.open(self._id, 0)
        planned, spec = approve.pending(workspace, wait.step_id)
        tally = approve.count(workspace, planned, spec)
        if tally.rejected_by or tally.unanswered or not self._form_is_open():
            return
        signers = self._signers(self._plan.sign_offs[spec.rule].roles, tally)
        for name in signers[:-1]:
            code = Code(self._authenticators.code(name))
            approve.sign(workspace, planned.id, name, decision="approve", comment="demo", door="cli", offered=code)
            self._authenticators.used(name, code.digits)
            self._say(f"           {name} signs {planned.title} on the command line, with a one-time code")
        signer = signers[-1]
        code_shown = self._authenticators.code(signer)
        answer = {"decision": "approve", "approver": signer, "comment": "demo, by the form", "code": code_shown}
        if not prefect_api.enter(str(workspace.rollout.flow_run_id), answer):
            return  # Prefect suspends a run a moment before its form is there; the next look presses again
        self._authenticators.used(signer, code_shown)
        self._answered.add((wait.id, wait.pauses))
        self._say(f"           {signer} signs {planned.title} in the form of the Prefect UI, with a one-time code")

    def _form_is_open(self) -> bool:
        run_id = self._ledger.get(self._id).flow_run_id
        return run_id is not None and prefect_api.flow_run_state(run_id) == ("PAUSED", "Suspended")

    def _signers(self, roles: tuple[str, ...], tally: Tally) -> list[str]:
        """One for each role that must sign, or for a quorum the next one; who has a code at hand before who must wait for
        one, and nobody twice while there are others."""
        people = people_of(self._plan)
        holders = {role: people.holders(role) for role in roles}
        missing = [holders[role] for role in roles if role in tally.missing]
        signers: list[str] = []

        def fit(name: str) -> tuple[bool, bool]:
            return name in (*signers, *tally.approved_by), self._authenticators.code_at_hand(name) is None

        for eligible in missing or [sum(holders.values(), ())]:
            signer = min(eligible, key=fit)
            signers.append(signer)
        return signers
