"""Any sequence of calls, by workers current and stale, against a model that is a few dictionaries."""

from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chrysalis.errors import LedgerError, ServiceBusy, StaleToken
from chrysalis.ledger import Ledger
from tests.ledger.samples import NOW, new_rollout

EXAMPLE = count()
SERVICES = st.sampled_from(["maia", "oracle"])
STEPS = st.sampled_from(["a", "b"])


@dataclass
class Known:
    """What the model knows of one rollout."""

    service: str
    key: str
    token: int = 0
    ended: bool = False
    lines: list[tuple[str, int, str]] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    open_step: dict[str, bool] = field(default_factory=dict)
    watched_s: dict[str, float] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)


class Life(RuleBasedStateMachine):
    """Rollouts of two services. Each example has services of its own in one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self.example = next(EXAMPLE)
        self.known: dict[str, Known] = {}

    def pick(self, data: st.DataObject) -> tuple[str, Known]:
        rollout_id = data.draw(st.sampled_from(sorted(self.known)), label="rollout")
        return rollout_id, self.known[rollout_id]

    @rule(service=SERVICES, key=st.sampled_from(["v1", "v2"]))
    def start(self, service: str, key: str) -> None:
        mine = [one for one in self.known.items() if one[1].service == service]
        same = [rollout_id for rollout_id, one in mine if one.key == key]
        new = new_rollout(service=f"{service}-{self.example}", idempotency_key=key)
        if not same and any(not one.ended for _, one in mine):
            refused(lambda: self.ledger.start_rollout(new, NOW), ServiceBusy)
            return
        rollout, created = self.ledger.start_rollout(new, NOW)
        assert created == (not same)
        if created:
            self.known[rollout.id] = Known(service, key)
        else:
            assert [rollout.id] == same

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def take_over(self, data: st.DataObject) -> None:
        rollout_id, known = self.pick(data)
        known.token += 1
        assert self.ledger.take_token(rollout_id, f"flow-{known.token}", now=NOW) == known.token

    @precondition(lambda self: self.known)
    @rule(data=st.data(), step=STEPS, behind=st.integers(0, 1))
    def begin(self, data: st.DataObject, step: str, behind: int) -> None:
        rollout_id, known = self.pick(data)
        token = known.token - behind

        def call() -> int:
            return self.ledger.begin_step(rollout_id, token, step_id=step, kind="k", detail={}, now=NOW)

        if behind:
            refused(call, StaleToken)
            return
        known.attempts[step] = known.attempts.get(step, 0) + 1
        known.open_step[step] = True
        assert call() == known.attempts[step]
        known.lines.append((step, known.attempts[step], "begun"))

    @precondition(lambda self: self.known)
    @rule(data=st.data(), step=STEPS)
    def end(self, data: st.DataObject, step: str) -> None:
        rollout_id, known = self.pick(data)

        def call() -> None:
            self.ledger.end_step(rollout_id, known.token, step_id=step, outcome="done", detail={}, now=NOW)

        if step not in known.attempts:
            refused(call, LedgerError)
            return
        call()
        if known.open_step[step]:
            known.lines.append((step, known.attempts[step], "done"))
        known.open_step[step] = False

    @precondition(lambda self: self.known)
    @rule(data=st.data(), seconds=st.floats(0, 100))
    def soak(self, data: st.DataObject, seconds: float) -> None:
        rollout_id, known = self.pick(data)
        wait = self.ledger.open_wait(rollout_id, known.token, step_id="soak", kind="soak", needed_s=60, detail={}, now=NOW)
        known.watched_s["soak"] = known.watched_s.get("soak", 0.0) + seconds
        assert self.ledger.tick_wait(wait.id, seconds, observed=None, now=NOW).watched_s == known.watched_s["soak"]

    @precondition(lambda self: self.known)
    @rule(data=st.data(), kind=st.sampled_from(["abort", "roll_back"]))
    def ask(self, data: st.DataObject, kind: str) -> None:
        rollout_id, known = self.pick(data)
        self.ledger.request(rollout_id, kind, by="kim", reason="", now=NOW)
        known.requests.add(kind)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        rollout_id, known = self.pick(data)
        self.ledger.set_state(rollout_id, known.token, state="ended", outcome="completed", now=NOW)
        known.ended = True

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        for rollout_id, known in self.known.items():
            rollout = self.ledger.get(rollout_id)
            assert (rollout.token, rollout.active) == (known.token, not known.ended)
            assert [(e.step_id, e.attempt, e.event) for e in self.ledger.journal(rollout_id)] == known.lines
            assert {request.kind for request in self.ledger.open_requests(rollout_id)} == known.requests
        active = {rollout.id for rollout in self.ledger.active()}
        assert {rollout_id for rollout_id, known in self.known.items() if not known.ended} <= active

    def teardown(self) -> None:
        for rollout_id, known in self.known.items():
            self.ledger.set_state(rollout_id, known.token, state="ended", outcome="completed", now=NOW)
        assert self.ledger.verify_audit() == []


def refused(call: object, kind: type[Exception]) -> None:
    try:
        call()  # type: ignore[operator]
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}")


def test_any_life_of_rollouts_is_the_models(ledger: Ledger) -> None:
    run_state_machine_as_test(
        lambda: Life(ledger),
        settings=settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
        ),
    )
