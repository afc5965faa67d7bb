"""Every profile fits its plan, and adds to the service only what it says."""

from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from chrysalis.plan import load_plan
from chrysalis.plan.parts import ManualSource
from chrysalis.plan.steps import Soak
from chrysalis.sandbox.profiles import load_profile, profile_names
from chrysalis.sandbox.service.extension import extension_of
from chrysalis.sandbox.service.faults import FaultError, FaultFile
from chrysalis.settings import CHECKOUT


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_speaks_of_its_own_plan(name: str) -> None:
    """Its service, what people measure, and the soak in which something goes wrong are the plan's."""
    profile, plan = load_profile(name), load_plan(CHECKOUT / "deployments" / name / "plan.yaml").plan
    manual = {one for one, metric in plan.metrics.items() if isinstance(plan.sources[metric.source], ManualSource)}
    assert (profile.name, profile.sandbox_settings.profile, profile.sandbox_settings.service) == (name, name, plan.service)
    assert set(profile.surveys) <= manual
    assert profile.incident is not None
    soaks = {f"{step.phase}.{step.title}" for step in plan.itinerary if isinstance(step.spec, Soak)}
    assert profile.incident.during in soaks


def test_a_plan_without_a_profile_is_said_with_those_that_have_one() -> None:
    with pytest.raises(SettingsError, match="no sandbox for plan 'nothing'; there is one for: crystal"):
        load_profile("nothing")


def test_a_systems_own_faults_stand_beside_the_common_ones(tmp_path: Path) -> None:
    own = extension_of(load_profile("spiralogic").sandbox_settings).faults
    faults = FaultFile(tmp_path / "faults.json", own)
    faults.change({"error_rate": 0.1, "dependency_ms": 600})
    assert (faults.now.error_rate, faults.now.own) == (0.1, {"dependency_ms": 600})
    assert faults.as_dict() == {"error_rate": 0.1, "dependency_ms": 600}
    with pytest.raises(FaultError, match=r"falls_back is 1\.5, must be a number from 0 to 1"):
        faults.change({"falls_back": 1.5})
    with pytest.raises(FaultError, match="unknown fault 'dependency_ms'"):
        FaultFile(tmp_path / "others.json").change({"dependency_ms": 1})
