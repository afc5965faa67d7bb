"""The plans that come with the project: all sound, each where its name says, each with a deployment of its own."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chrysalis.people import load_people
from chrysalis.plan import check_people, load_plan
from tests.systems.__main__ import systems

CHECKOUT = Path(__file__).parent.parent
PLANS = sorted((CHECKOUT / "deployments").glob("*/plan.yaml"))


def rollouts() -> list[dict[str, Any]]:
    """The deployments of prefect.yaml that start a rollout."""
    written = YAML(typ="safe").load((CHECKOUT / "prefect.yaml").read_text())
    return [one for one in written["deployments"] if one["entrypoint"] == "flows.rollout:rollout"]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_plan_is_sound_and_in_its_folder(path: Path) -> None:
    """A plan is found by its name, so its folder is called so; what it names beside itself is there."""
    plan = load_plan(path).plan
    assert plan.name == path.parent.name
    beside = [
        *plan.checklists.values(),
        *(found for one in plan.targets.values() if (found := getattr(one, "migrations", None))),
    ]
    assert [name for name in beside if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_the_people_there_are_can_sign_everything_that_a_plan_asks_for(path: Path) -> None:
    """Also when one of them started it; and somebody may start it."""
    people = load_people(CHECKOUT / "deployments" / "people.yaml")
    assert check_people(load_plan(path), people.signers(), str(path)) == []
    assert people.able("start")


def test_every_plan_has_a_deployment_and_every_deployment_a_plan() -> None:
    """`prefect deploy --all` offers exactly what can be rolled out."""
    assert sorted(one["name"] for one in rollouts()) == [path.parent.name for path in PLANS]


@pytest.mark.parametrize("deployment", rollouts(), ids=lambda one: one["name"])
def test_deployment_starts_the_plan_it_is_named_after(deployment: dict[str, Any]) -> None:
    """Its parameter and its tag say the same."""
    assert deployment["parameters"]["plan"] == deployment["name"]
    assert f"plan:{deployment['name']}" in deployment["tags"]


def test_each_summary_is_scheduled_by_its_own_name() -> None:
    """Daily on working days, weekly on Fridays, executive on the first of the month; all at nine, UTC."""
    written = YAML(typ="safe").load((CHECKOUT / "prefect.yaml").read_text())
    reports = [one for one in written["deployments"] if one["entrypoint"] == "flows.report:report"]
    assert {one["name"]: (one["parameters"]["kind"], one["schedules"][0]["cron"]) for one in reports} == {
        "daily": ("daily", "0 9 * * 1-5"),
        "weekly": ("weekly", "0 9 * * 5"),
        "executive": ("executive", "0 9 1 * *"),
    }
    assert {one["schedules"][0]["timezone"] for one in reports} == {"UTC"}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)
def test_everything_that_a_plan_does_by_the_clock_is_a_schedule_of_its_deployment(path: Path) -> None:
    """At the plan's own times, and each by its name; what follows a completed rollout is looked for each day."""
    plan = load_plan(path).plan
    written = YAML(typ="safe").load((CHECKOUT / "prefect.yaml").read_text())
    mine = [
        one
        for one in written["deployments"]
        if one["entrypoint"] == "flows.schedule:scheduled" and one["parameters"]["plan"] == plan.name
    ]
    found = {
        one["parameters"]["schedule"]: one.get("cron") or one.get("interval") for each in mine for one in each["schedules"]
    }
    wanted: dict[str, object] = {}
    for name, schedule in plan.schedules.items():
        if schedule.after_completion is not None:
            wanted["after_completion"] = "0 7 * * *"
        else:
            wanted[name] = schedule.cron or schedule.every.total_seconds()  # type: ignore[union-attr]
    assert found == wanted
    assert {one["name"] for one in mine} <= {plan.name}


@pytest.mark.parametrize("path", [plan.with_name("COVERAGE.md") for plan in PLANS], ids=lambda path: path.parent.name)
def test_the_cases_that_a_coverage_table_names_are_there(path: Path) -> None:
    cases = {f"{system.plan}/{case.name}" for system in systems() for case in system.cases}
    named = re.findall(rf"(?<![/\w]){path.parent.name}/[a-z_0-9]+(?![/.\w])", path.read_text())
    assert set(named) <= cases
