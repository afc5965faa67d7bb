"""Two processes for one rollout: the lease says whose it is, the token whose writes count; the loser leaves all to it."""

import multiprocessing
from datetime import timedelta

import pytest
from prefect.exceptions import Abort
from prefect.states import Completed

import flows.rollout
from chrysalis.clock import utc_now
from chrysalis.errors import StaleToken, Superseded
from tasks import lifecycle
from tasks.lifecycle import alive, lease_name, take_over, take_over_again
from tests.tasks.conftest import Bench


def work_elsewhere(bench: Bench, *, ttl_s: float) -> None:
    """Another process shows that it lives, from now on for `ttl_s`."""
    name = lease_name(bench.rollout.id)
    assert bench.ledger.acquire_lease(name, "elsewhere:1", ttl_s=ttl_s, now=utc_now()) is not None


def test_who_finds_another_one_at_work_takes_no_token(bench: Bench) -> None:
    work_elsewhere(bench, ttl_s=60)
    with pytest.raises(Superseded, match="elsewhere:1"):
        take_over_again(bench.rollout.id)
    assert bench.ledger.get(bench.rollout.id).token == bench.token


def test_a_lease_that_has_run_out_stops_nobody(bench: Bench) -> None:
    name, then = lease_name(bench.rollout.id), utc_now() - timedelta(minutes=1)
    bench.ledger.acquire_lease(name, "elsewhere:1", ttl_s=5, now=then)
    assert take_over_again(bench.rollout.id) == bench.token + 1


def test_the_second_one_waits_for_the_first_and_then_stops(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "LEASE_S", 0.2)
    monkeypatch.setattr(lifecycle, "POLL_S", 0.05)
    work_elsewhere(bench, ttl_s=60)
    with pytest.raises(Superseded, match="elsewhere:1"), alive(bench.rollout.id):
        pytest.fail("it worked beside the other one")


def _take(rollout_id: str, begin: "multiprocessing.synchronize.Barrier", told: "multiprocessing.Queue[int]") -> None:
    begin.wait()
    told.put(take_over(rollout_id))


def test_of_two_that_take_it_up_at_the_same_moment_one_token_counts(bench: Bench) -> None:
    """Real processes, started together: the tokens differ, and only the higher one may write."""
    spawn = multiprocessing.get_context("spawn")
    begin, told = spawn.Barrier(2), spawn.Queue()
    both = [spawn.Process(target=_take, args=(bench.rollout.id, begin, told)) for _ in range(2)]
    for one in both:
        one.start()
    tokens = sorted(told.get(timeout=60) for _ in both)
    for one in both:
        one.join()
    assert tokens == [bench.token + 1, bench.token + 2]
    row = bench.rollout.id
    with pytest.raises(StaleToken):
        bench.ledger.begin_step(row, tokens[0], step_id="some.01.set_flag", kind="set_flag", detail={}, now=utc_now())
    bench.ledger.begin_step(row, tokens[1], step_id="some.01.set_flag", kind="set_flag", detail={}, now=utc_now())


def test_the_loser_reports_no_state_of_the_run_that_both_share(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect takes `Abort` for the end of this process and leaves the run's state as the other one has it."""
    run_id = "11111111-1111-4111-8111-111111111111"
    bench.ledger.attach_flow_run(bench.rollout.id, run_id, now=utc_now())
    monkeypatch.setattr(flows.rollout.flow_run, "get_id", lambda: run_id)
    monkeypatch.setattr(lifecycle, "LEASE_S", 0.2)
    work_elsewhere(bench, ttl_s=60)
    with pytest.raises(Abort, match="elsewhere:1"):
        flows.rollout.rollout.fn(version="1.0.0", plan="quick")


def test_a_token_that_the_watch_took_meanwhile_is_no_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def go_on_with(rollout_id: str, token: int) -> object:
        seen.append(token)
        if len(seen) == 1:
            raise StaleToken("the watch acted")
        return Completed(name="Completed")

    monkeypatch.setattr(flows.rollout, "_go_on_with", go_on_with)
    assert flows.rollout.go_on(bench.rollout.id).name == "Completed"  # type: ignore[union-attr]
    assert seen == [bench.token + 1, bench.token + 2]
