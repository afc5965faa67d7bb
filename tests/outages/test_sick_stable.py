"""The stable side is worse off at the moment of the way back: it stops, pages with both numbers, and may be forced."""

from pathlib import Path

import pytest

from chrysalis.errors import SickerSide
from chrysalis.sandbox.sandbox import Sandbox
from tasks.rolling_back import take_weight_down
from tests.outages.scene import Watch, begin, told_to, until


def test_it_stays_on_the_healthier_side_and_goes_back_once_stable_is_well(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        sandbox.fault("stable", error_rate=0.9)
        until(lambda: stable_fails(scene), "stable's errors to be measured")
        sandbox.fault("canary", error_rate=0.3)
        until(lambda: scene.asked == ["pause"], "it to be held")
        (held,) = scene.ledger.open_requests(scene.rollout_id)
        assert "stable error_rate" in held.reason
        assert "canary error_rate" in held.reason
        assert scene.weight == 30
        assert told_to(monkeypatch, "rollback", scene.rollout_id, "--as", "nadia") == 1
        assert (
            "no traffic was moved: mend the stable side, or `chrysalis rollback outages-1 --force`"
            in capsys.readouterr().err
        )
        with pytest.raises(SickerSide):
            take_weight_down.fn(scene.rollout_id, scene.token, 0, "bad", "chrysalis")
        assert (scene.weight, scene.asked) == (30, ["pause"])
        sandbox.clear_faults("stable")
        until(lambda: scene.weight == 0, "the way back once stable is well")
    until(lambda: "[outages-1] errors fires: roll back" in scene.told(), "the way back to be told")
    assert [title for title in scene.told() if "no way back" in title] == [
        "[outages-1] no way back: the stable side is worse off"
    ]
    assert scene.asked == ["pause", "roll_back"]


def test_a_person_forces_it(sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = begin(sandbox, home)
    sandbox.fault("stable", error_rate=0.9)
    until(lambda: stable_fails(scene), "stable's errors to be measured")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert told_to(monkeypatch, "rollback", scene.rollout_id, "--as", "nadia", "--force") == 0
    assert scene.weight == 0
    (asked,) = scene.ledger.open_requests(scene.rollout_id)
    assert (asked.kind, asked.by, asked.arguments["force"]) == ("roll_back", "nadia", True)


def test_what_is_not_known_of_stable_holds_nothing_back(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Prometheus frozen nobody knows which side is sicker; the person's word counts."""
    scene = begin(sandbox, home)
    sandbox.fault("stable", error_rate=0.9)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    sandbox.freeze_part("prometheus")
    try:
        assert told_to(monkeypatch, "rollback", scene.rollout_id, "--as", "nadia") == 0
    finally:
        sandbox.thaw_part("prometheus")
    assert scene.weight == 0


def stable_fails(scene: object) -> bool:
    from chrysalis.clock import utc_now
    from tasks.healthier import require_healthier

    try:
        require_healthier(scene.workspace(), utc_now())  # type: ignore[attr-defined]
    except SickerSide:
        return True
    return False
