"""Checklists: every file beside a plan can be read and fits its plan; what is wrong in one is said with its place."""

from functools import cache
from pathlib import Path

import pytest

from chrysalis.errors import PlanError
from chrysalis.people import load_people
from chrysalis.plan import Plan, load_plan
from chrysalis.plan.checklist import Checklist, load_checklist, parse_checklist
from chrysalis.plan.steps import Checklist as ChecklistStep
from chrysalis.plan.steps import SetWeight, SignOff
from gates.units import format_duration

DEPLOYMENTS = Path(__file__).parents[1] / "deployments"
PLANS = sorted(DEPLOYMENTS.glob("*/plan.yaml"))
FILES = sorted(file for file in DEPLOYMENTS.glob("*/*.yaml") if "\nsections:" in file.read_text(encoding="utf-8"))
SIX = {"engineering_lead", "product_owner", "security", "devops_lead", "qa_lead", "cto"}

by_plan = pytest.mark.parametrize("path", PLANS, ids=lambda path: path.parent.name)


@cache
def _plan(path: Path) -> Plan:
    return load_plan(path).plan


def _lists(path: Path, plan: Plan) -> dict[str, Checklist]:
    return {name: load_checklist(path.parent / file) for name, file in plan.checklists.items()}


def _asked(plan: Plan) -> list[ChecklistStep]:
    return [step.spec for step in plan.all_steps if isinstance(step.spec, ChecklistStep)]


@pytest.fixture(scope="module")
def readiness() -> Plan:
    return _plan(DEPLOYMENTS / "readiness" / "plan.yaml")


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_checklist_is_sound_and_belongs_to_a_plan(file: Path) -> None:
    assert load_checklist(file).items
    plans = [(path, _plan(path)) for path in PLANS]
    named = {(path.parent / name).resolve() for path, plan in plans for name in plan.checklists.values()}
    assert file.resolve() in named


@by_plan
def test_every_role_that_attests_is_held_by_somebody(path: Path) -> None:
    plan = _plan(path)
    people = load_people(DEPLOYMENTS / "people.yaml")
    held = {role for person in people.people.values() for role in person.roles if people.role_may(role, "attest")}
    for name, checklist in _lists(path, plan).items():
        assert checklist.roles <= held, name


@by_plan
def test_steps_ask_only_for_sections_that_there_are(path: Path) -> None:
    plan = _plan(path)
    lists = _lists(path, plan)
    for step in _asked(plan):
        assert set(step.sections) <= set(lists[step.list].section_names), step.name


def test_every_section_of_the_readiness_checklist_is_asked_for(readiness: Plan) -> None:
    sections = set(load_checklist(DEPLOYMENTS / "readiness" / "checklist.yaml").section_names)
    assert {section for step in _asked(readiness) for section in step.sections} == sections


def test_readiness_lets_no_phase_begin_before_its_checklist_six_signatures_and_an_authorisation(readiness: Plan) -> None:
    assert set(readiness.sign_offs["all_six"].roles) == SIX
    assert readiness.sign_offs["all_six"].quorum is None
    for phase in readiness.phases:
        steps = list(phase.steps)
        rules = [step.rule for step in steps if isinstance(step, SignOff)]
        assert rules == ["all_six", "authorisation"], phase.name
        authorised = next(n for n, step in enumerate(steps) if isinstance(step, SignOff) and step.rule == "authorisation")
        assert isinstance(steps[0 if phase.name != "foundation" else 1], ChecklistStep), phase.name
        assert all(n > authorised for n, step in enumerate(steps) if isinstance(step, SetWeight)), phase.name
        verified = [step.sections for step in steps[authorised:] if isinstance(step, ChecklistStep)]
        assert verified[-3:] == [("First hour",), ("First 24 hours",), ("First week",)], phase.name


def test_readiness_goes_through_the_weights_and_triggers_of_its_document(readiness: Plan) -> None:
    weights = [step.spec.to for step in readiness.itinerary if isinstance(step.spec, SetWeight)]
    assert weights == [30, 70, 100]
    back = {
        name: format_duration(trigger.for_)
        for name, trigger in readiness.triggers.items()
        if trigger.respond.kind == "roll_back"
    }
    assert back == {
        "coherence_low": "5m",
        "error_rate_high": "2m",
        "responses_very_slow": "5m",
        "memory_unbounded": "0s",
        "connections_exhausted": "0s",
        "vulnerability_reported": "0s",
    }


@pytest.mark.parametrize(
    ("item", "said"),
    [
        pytest.param("{id: a, text: t}", "x.yaml:5:9: .*found neither", id="neither"),
        pytest.param(
            "{id: a, text: t, attest: {role: cto}, check: {kind: env, name: A}}", "x.yaml:5:.*found both", id="both"
        ),
        pytest.param("{id: a, text: t, check: {kind: guess}}", "x.yaml:5:26: .*'guess'", id="unknown kind"),
        pytest.param(
            "{id: a, text: t, check: {kind: env, nam: A}}", "x.yaml:5:45: .*unknown field 'nam'", id="unknown field"
        ),
        pytest.param("{id: a, text: t, check: {kind: sql, query: q}}", "x.yaml:5:.*exactly one of equals", id="no bound"),
        pytest.param(
            "{id: a, text: t, check: {kind: sql, query: q, above: 1, below: 2}}", "above and below", id="two bounds"
        ),
        pytest.param("{id: a, text: t, check: {kind: load_test, file: f}}", "says nothing", id="load test without a bound"),
        pytest.param("{id: a, text: t, check: {kind: command, run: []}}", "x.yaml:5:", id="empty command"),
        pytest.param("{id: A, text: t, attest: {role: cto}}", "x.yaml:5:10: .*found 'A'", id="bad id"),
        pytest.param("{id: b, text: t, attest: {role: cto}}", "x.yaml:5:10: .*'b' 2 times", id="same id twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(item: str, said: str) -> None:
    text = (
        f"title: t\nsections:\n  - name: s\n    items:\n      - {item}\n      - {{id: b, text: t, attest: {{role: cto}}}}\n"
    )
    with pytest.raises(PlanError, match=said):
        parse_checklist(text, "x.yaml")


def test_only_what_is_wrong_is_said() -> None:
    """A wrong item makes its list neither empty nor wrong."""
    text = "title: t\nsections:\n  - name: s\n    items:\n      - {id: a, text: t}\n"
    with pytest.raises(PlanError) as caught:
        parse_checklist(text, "x.yaml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "- a", "title: [", "title: t\nsections: []\n"], ids=["empty", "list", "broken", "none"]
)
def test_a_text_that_is_no_checklist_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"^x\.yaml:\d+:\d+: "):
        parse_checklist(text, "x.yaml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        load_checklist(tmp_path / "none.yaml")
