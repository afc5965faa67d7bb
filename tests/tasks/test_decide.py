"""The ledger's journal and requests, as the pure decision sees them."""

from gates.progress import Finish, Hold, Outcome, RollBack, Run
from tasks.decide import decide
from tests.tasks.conftest import NOW, Bench, begin


def ask(bench: Bench, kind: str, **arguments: int) -> None:
    bench.ledger.request(bench.rollout.id, kind, by="nadia", reason="r", arguments=arguments, now=NOW)


def test_the_first_step_comes_first(bench: Bench) -> None:
    assert decide(bench.rollout.id) == Run("some.01.set_flag", "some", again=False)


def test_a_step_that_was_begun_is_run_again(bench: Bench) -> None:
    begin(bench, "some.01.set_flag", "set_flag")
    assert decide(bench.rollout.id) == Run("some.01.set_flag", "some", again=True)


def test_a_step_that_failed_goes_back_with_its_reason(bench: Bench) -> None:
    begin(bench, "some.01.set_flag", "set_flag", outcome="failed", reason="refused")
    assert decide(bench.rollout.id) == RollBack("refused", "chrysalis", None, Outcome.ROLLED_BACK)


def test_a_refused_sign_off_ends_as_rejected(bench: Bench) -> None:
    begin(bench, "some.05.sign_off", "sign_off", outcome="failed", reason="no", rejected=True)
    assert decide(bench.rollout.id) == RollBack("no", "chrysalis", None, Outcome.REJECTED)


def test_what_is_asked_comes_before_going_on(bench: Bench) -> None:
    ask(bench, "pause")
    assert isinstance(decide(bench.rollout.id), Hold)
    ask(bench, "roll_back", to_percent=30)
    assert decide(bench.rollout.id) == RollBack("r", "nadia", 30, Outcome.ROLLED_BACK)
    ask(bench, "abort")
    assert decide(bench.rollout.id) == RollBack("r", "nadia", 0, Outcome.ABORTED)


def test_a_trigger_that_was_set_off_decides_nothing_by_itself(bench: Bench) -> None:
    bench.ledger.request(bench.rollout.id, "set_off", by="x", reason="r", arguments={"trigger": "vulnerability"}, now=NOW)
    assert isinstance(decide(bench.rollout.id), Run)


def test_with_every_step_done_it_is_complete(bench: Bench) -> None:
    for step in bench.plan.itinerary:
        begin(bench, step.id, step.kind, outcome="done")
    assert isinstance(decide(bench.rollout.id), Finish)
