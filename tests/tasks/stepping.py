"""A rollout whose steps a test runs one by one, each as a phase would run it."""

from datetime import UTC, datetime

from chrysalis.ledger import NewRollout
from chrysalis.plan import PlannedStep, parse_plan
from tasks.kinds import KINDS
from tasks.step import Done
from tasks.workspace import Workspace, open_ledger


class Stepped:
    """A new rollout of the plan in the ledger of this home, under its first token."""

    def __init__(self, text: str, *, version: str = "1") -> None:
        loaded = parse_plan(text, "the test's plan")
        self.plan = loaded.plan
        ledger = open_ledger()
        new = NewRollout(
            plan_name=self.plan.name,
            service=self.plan.service,
            version=version,
            plan_text=text,
            plan_hash=loaded.sha256,
            idempotency_key="k",
            started_by="ci",
            reason="test",
        )
        self.id = ledger.start_rollout(new, datetime.now(UTC))[0].id
        self.token = ledger.take_token(self.id, "test", now=datetime.now(UTC))

    def run(self, name: str) -> str:
        """Run the step of that id or name, or the first of that kind; returns what it says it did."""
        planned = self._step(name)
        outcome = KINDS[planned.kind].task.fn(self.id, planned.id, self.token, planned.title)
        assert isinstance(outcome, Done), outcome
        return outcome.summary

    def undo(self, name: str) -> str:
        """Take it back to what stood before its first run."""
        planned = self._step(name)
        undo = KINDS[planned.kind].undo
        assert undo is not None
        entries = open_ledger().journal(self.id, step_id=planned.id)
        return undo(Workspace.open(self.id, self.token), planned, planned.spec, entries[0].detail["before"])

    def _step(self, name: str) -> PlannedStep:
        return next(step for step in self.plan.all_steps if name in (step.id, step.spec.name, step.kind))
