"""docs/plan.md is true: its examples are valid, and it names every part, kind and field that there is."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from ruamel.yaml import YAML

from chrysalis.plan import Plan, check_plan, parts
from chrysalis.plan.model import Operation, Phase, Rollback
from chrysalis.plan.steps import STEP_KINDS, AnyStep
from gates.conditions import CONDITIONS, AnyCondition
from gates.response import RESPONSES
from gates.trigger import Trigger

TEXT = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
EXAMPLES = re.findall(r"^```yaml (\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
REST = {"chrysalis": 1, "name": "doc", "service": "doc", "phases": [{"name": "one", "steps": [{"soak": "1h"}]}]}
MODELS: dict[str, type[BaseModel]] = {
    "Plan": Plan,
    "Phase": Phase,
    "Rollback": Rollback,
    "Operation": Operation,
    "Trigger": Trigger,
    **{one.__name__: one for one in (parts.Metric, parts.SignOffRule, parts.Schedule, parts.Report, parts.Window)},
    **{f"step {kind}": spec for kind, spec in STEP_KINDS.items()},
    **{f"condition {kind}": spec for kind, spec in CONDITIONS.items()},
    **{f"response {kind}": spec for kind, spec in RESPONSES.items()},
}


def written(kind: str) -> Any:
    """All examples of a kind as one: a list, or a mapping."""
    found = [YAML(typ="safe").load(text) for other, text in EXAMPLES if other == kind]
    return [one for each in found for one in each] if isinstance(found[0], list) else found


def test_the_smallest_plan_is_sound() -> None:
    """It can be copied as it is."""
    ((_, text),) = [example for example in EXAMPLES if example[0] == "plan"]
    assert isinstance(check_plan(text, "docs/plan.md"), Plan)


def test_parts_are_valid_and_every_part_is_shown() -> None:
    """Each fragment fits into a plan."""
    shown: set[str] = set()
    for fragment in written("parts"):
        Plan.model_validate({**REST, **fragment})
        shown |= set(fragment)
    told = {"chrysalis", "name", "title", "service", "description", "owner", "document", "metrics", "triggers"}
    assert set(Plan.model_fields) - told - shown == set()


@pytest.mark.parametrize(
    ("kind", "union", "kinds"),
    [("steps", AnyStep, STEP_KINDS), ("conditions", AnyCondition, CONDITIONS)],
    ids=["steps", "conditions"],
)
def test_every_kind_has_a_valid_example(kind: str, union: Any, kinds: dict[str, Any]) -> None:
    """An example for each, and none that is not valid."""
    examples = written(kind)
    TypeAdapter(tuple[union, ...]).validate_python(examples)
    assert {next(iter(one)) for one in examples} == set(kinds)


def test_every_response_has_a_valid_example() -> None:
    """In a trigger, as it is used."""
    (triggers,) = written("triggers")
    valid = TypeAdapter(dict[str, Trigger]).validate_python(triggers)
    assert {trigger.respond.kind for trigger in valid.values()} == set(RESPONSES)


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_named(name: str) -> None:
    """A field that is added to the model has to be told."""
    fields = [field.alias or key for key, field in MODELS[name].model_fields.items()]
    assert [field for field in fields if f"`{field}`" not in TEXT] == []
