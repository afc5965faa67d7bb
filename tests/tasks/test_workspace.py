"""When the traffic was last split anew, from what the ledger says was done."""

from datetime import timedelta

from tests.tasks.conftest import NOW, Bench, begin

MINUTE = timedelta(minutes=1)


def test_a_weight_that_was_set_and_one_that_was_taken_down_split_the_traffic_anew(bench: Bench) -> None:
    assert bench.split_at() is None
    begin(bench, "some.01.set_flag", "set_flag", outcome="done")
    begin(bench, "some.02.set_weight", "set_weight")
    assert bench.split_at() is None
    bench.ledger.end_step(
        bench.rollout.id, bench.token, step_id="some.02.set_weight", outcome="done", detail={}, now=NOW + MINUTE
    )
    assert bench.split_at() == NOW + MINUTE
    bench.ledger.record_action(
        bench.rollout.id, None, actor="watch", action="make_safe", before=30, after=10, cause="c", now=NOW + 2 * MINUTE
    )
    assert bench.split_at() == NOW + 2 * MINUTE
