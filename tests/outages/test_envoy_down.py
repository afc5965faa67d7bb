"""Envoy's admin interface frozen while the traffic has to come off the canary: recorded, tried again, paged, done."""

from pathlib import Path

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import TargetUnavailable
from chrysalis.sandbox.sandbox import Sandbox
from gates.response import Firing
from tasks import insist
from tasks.ladders import Ladders
from tasks.responses import respond
from tasks.rolling_back import begin_rollback, hold_rollback, take_weight_down
from tests.outages.scene import CONSTANT, Watch, begin, frozen, told_to, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try each half second in place of five, so that three of them are soon over."""
    monkeypatch.setattr(insist, "TRY_EVERY_S", 0.5)


def test_an_abort_is_recorded_at_once_paged_and_done_when_envoy_is_back(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The watch tries by itself, without Prefect; the file that Envoy reads by itself says 0 % before it answers again."""
    scene = begin(sandbox, home, text=CONSTANT)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        with frozen(sandbox.state.pids["envoy"]):
            asked_at = utc_now()
            assert told_to(monkeypatch, "abort", scene.rollout_id, "--as", "nadia", "--reason", "bad") == 1
            (request,) = scene.ledger.open_requests(scene.rollout_id)
            until(scene.told, "a page")
        until(lambda: scene.weight == 0, "the traffic to come off")
        until(lambda: scene.told("info"), "the end of it to be told")
    with capsys.disabled():
        print(f"\nabort recorded after {(request.created_at - asked_at).total_seconds() * 1000:.0f} ms, Envoy frozen")  # noqa: T201
    assert (request.kind, request.by, request.reason) == ("abort", "nadia", "bad")
    assert "it is recorded and will be tried again" in capsys.readouterr().err
    assert scene.told() == ["[outages-1] the traffic does not come off the canary after 3 tries"]
    assert scene.told("info") == ["[outages-1] the traffic is off the canary"]


def test_a_breach_while_envoy_does_not_answer_is_asked_for_and_tried_until_it_is_safe(sandbox: Sandbox, home: Path) -> None:
    """The admin answers nothing from the moment of the breach; what is asked is in the ledger all the same."""
    scene = begin(sandbox, home)
    workspace = scene.workspace()
    firing = Firing("errors", workspace.plan.triggers["errors"].respond, utc_now().timestamp())
    with frozen(sandbox.state.pids["envoy"]):
        respond(workspace, firing, "error_rate 60 % > above 10 %", Ladders.of(workspace, {}, 0.0))
        assert scene.asked == ["roll_back"]
    with Watch.of(scene.ledger).running():
        until(lambda: scene.weight == 0, "the watch to take the traffic off")
        until(lambda: scene.told() == ["[outages-1] errors fires: roll back"], "the trigger's notice, once")


def test_the_rollout_s_own_way_back_waits_for_envoy_and_is_not_stuck(sandbox: Sandbox, home: Path) -> None:
    """A router out of reach is a wait of kind `retry`, not a choice for a person."""
    scene = begin(sandbox, home)
    begin_rollback(scene.rollout_id, scene.token, "bad", "nadia")
    with frozen(sandbox.state.pids["envoy"]), pytest.raises(TargetUnavailable) as away:
        take_weight_down.fn(scene.rollout_id, scene.token, 0, "bad", "nadia")
    hold_rollback(scene.rollout_id, scene.token, away.value)
    (wait,) = [one for one in scene.ledger.waits(scene.rollout_id) if one.kind == "retry"]
    assert (scene.row.state, wait.detail["after_s"]) == ("rolling_back", 5.0)
    assert take_weight_down.fn(scene.rollout_id, scene.token, 0, "bad", "nadia") == "weight 0 %, read back"
    assert scene.weight == 0
