"""Taking traffic off: down only, each router, recorded; nothing in a dry run."""

import pytest

from chrysalis.errors import TargetError, TargetUnavailable
from tasks.safety import make_safe
from tests.tasks.conftest import Bench, FakeRouter, rollout


def test_the_weight_goes_down_and_the_action_is_recorded_with_its_cause(bench: Bench) -> None:
    assert make_safe(bench, 0, actor="watch", cause="errors") == {"traffic": 0}
    (action,) = bench.ledger.actions(bench.rollout.id)
    assert (action.actor, action.before, action.after, action.cause) == ("watch", {"traffic": 30}, {"traffic": 0}, "errors")
    (stamp,) = bench.fakes["traffic"].writes
    assert (stamp.rollout_id, stamp.step_id) == (bench.rollout.id, "safe.traffic")


def test_a_weight_is_never_raised(bench: Bench) -> None:
    assert make_safe(bench, 50, actor="watch", cause="") == {"traffic": 30}
    assert bench.fakes["traffic"].writes == []
    assert bench.ledger.actions(bench.rollout.id) == ()


def test_one_router_out_of_reach_does_not_keep_the_others_up(home: object) -> None:
    away = FakeRouter(30, TargetUnavailable("connection refused"))
    bench = rollout(routers={"one": away, "two": FakeRouter(40)})
    with pytest.raises(TargetError, match="one: connection refused"):
        make_safe(bench, 0, actor="watch", cause="")
    assert bench.fakes["two"].percent == 0


def test_a_dry_run_changes_nothing_even_on_its_way_back(home: object) -> None:
    bench = rollout(dry_run=True)
    assert make_safe(bench, 0, actor="nadia", cause="") == {"traffic": 30}
    assert bench.fakes["traffic"].writes == []


def test_at_no_weight_a_header_that_still_reaches_the_canary_is_taken_away(home: object) -> None:
    bench = rollout(routers={"traffic": FakeRouter(0, bypassed=True)})
    assert make_safe(bench, 0, actor="watch", cause="errors") == {"traffic": 0}
    assert not bench.fakes["traffic"].bypassed
    (action,) = bench.ledger.actions(bench.rollout.id)
    assert action.before == {"traffic": 0, "traffic.bypassed": True}
    assert action.after == {"traffic": 0, "traffic.bypassed": False}


def test_a_header_stays_when_some_weight_stays(home: object) -> None:
    bench = rollout(routers={"traffic": FakeRouter(50, bypassed=True)})
    make_safe(bench, 30, actor="watch", cause="slow")
    assert bench.fakes["traffic"].bypassed
