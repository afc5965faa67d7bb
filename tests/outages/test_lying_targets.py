"""A target that answers 200 and does not apply, and one that applies late, under a step of a rollout."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chrysalis.errors import StepFailed
from chrysalis.sandbox.sandbox import Sandbox
from tasks import set_flag
from tasks.decide import decide
from tasks.step import Done, Waiting, perform
from tests.outages.scene import PLAN, Scene, begin
from tests.targets.lying_target import LyingTarget, lying_target

FLAG_STEP = "some.03.set_flag"
WITH_FLAG = PLAN.replace("targets:\n", 'targets:\n  config: {http_api: {url: "${DOUBTFUL_URL}", path: ""}}\n').replace(
    "      - set_weight: 60%\n", "      - set_flag: {target: config, values: {mode: hybrid}}\n      - set_weight: 60%\n"
)


@pytest.fixture
def target(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingTarget]:
    with lying_target({"mode": "legacy"}, "honest") as running:
        monkeypatch.setenv("DOUBTFUL_URL", running.url)
        yield running


def set_the_flag(scene: Scene) -> Done | Waiting:
    kind = set_flag.set_flag
    given: dict[str, Any] = {"rollout_id": scene.rollout_id, "step_id": FLAG_STEP, "token": scene.token}
    return perform(kind.name, kind.body, kind.before, **given, always=kind.always)


def test_one_that_applies_nothing_fails_the_step_and_the_rollout_goes_back(
    sandbox: Sandbox, home: Path, target: LyingTarget
) -> None:
    target.manner = "deaf"
    scene = begin(sandbox, home, text=WITH_FLAG)
    with pytest.raises(StepFailed, match="wrote 'hybrid', reads back 'legacy'"):
        set_the_flag(scene)
    assert type(decide(scene.rollout_id)).__name__ == "RollBack"


def test_one_that_applies_late_is_waited_for(sandbox: Sandbox, home: Path, target: LyingTarget) -> None:
    target.manner = "late"
    scene = begin(sandbox, home, text=WITH_FLAG)
    assert isinstance(set_the_flag(scene), Done)
    assert target.values == {"mode": "hybrid"}


def test_an_envoy_that_answers_and_does_not_apply_fails_the_step(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its route file lies where it does not look; what it says it does is what counts."""
    scene = begin(sandbox, home)
    elsewhere = home / "elsewhere" / "rds.json"
    elsewhere.parent.mkdir()
    shutil.copy(sandbox.layout.route_file, elsewhere)
    monkeypatch.setenv("ENVOY_ROUTE_FILE", str(elsewhere))
    with pytest.raises(StepFailed, match=r"wrote 60 % .* reads back 30 % .* check that Envoy watches"):
        scene.raise_weight()
    assert (scene.weight, type(decide(scene.rollout_id)).__name__) == (30, "RollBack")
