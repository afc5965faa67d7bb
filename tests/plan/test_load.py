"""What is wrong with a file as such, or with the types in it: one line each, with its place, and never a traceback."""

from pathlib import Path

import pytest

from chrysalis.errors import PlanError
from chrysalis.plan import load_plan, parse_plan
from chrysalis.plan.document import MOST_CHARACTERS
from tests.plan.samples import SOUND, add_migrations, changed

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)
TEXTS = [
    ("wrong unit", changed("metric: p99, below: 500ms}\n", "metric: p99, below: 5MB}\n"), ["'MB' (size)", "'ms' (time)"]),
    ("weight over 100", changed("set_weight: 100%", "set_weight: 130%"), [":86:9: phases[1].steps[1].set_weight: found"]),
    ("missing field", changed("service: shop\n", ""), ["1:1: 'service' is missing"]),
    ("missing in a list", changed("title: Weekly report, ", ""), ["reports.weekly: 'title' is missing", "contents"]),
    ("misspelt field", changed("for: 2m", "fro: 2m"), [":48:5: triggers.errors.fro: unknown field", "did you mean 'for'?"]),
    ("far from any field", changed("for: 2m", "xyzzy: 2m"), ["unknown field 'xyzzy'; expected one of for, keep", "respond"]),
    ("unknown step", changed("- migrate:", "- migrat:"), ["a mapping of migrat", "gate, ", "did you mean 'migrate'?"]),
    ("unknown condition", changed("enter: {when: {threshold:", "enter: {when: {treshold:"), ["did you mean 'threshold'?"]),
    ("unknown response", changed("respond: roll_back", "respond: rollback"), ["switch_off", "did you mean 'roll_back'?"]),
    ("step not indented", changed("- set_weight: 30%", "- set_weight: 30%\n        name: x"), ["set_weight, name"]),
    ("YAML syntax", changed("[errors, slow]", "[errors, slow"), ["not YAML", ":61:"]),
    ("duplicate key", changed("name: shop\n", "name: shop\nname: shop\n"), [":3:1: not YAML", "duplicate key"]),
    ("two documents", SOUND + "---\na: 1\n", ["not YAML", "another document"]),
    ("list", "- a\n", ["1:1: found a list of 1, expected a mapping"]),
    ("text", "hello", ["1:1: found 'hello', expected a mapping"]),
    ("empty", "", ["1:1: found nothing, expected a mapping"]),
    ("control character", "a: \x00", ["not YAML"]),
    ("deep", "a: " + "[" * 100 + "]" * 100, ["nested deeper than 64"]),
    ("very deep", "a: " + "[" * 20_000, ["not YAML: "]),
    ("itself", "&a {b: *a}", [": b: found an alias of something it stands in"]),
    ("bomb", BOMB, ["values once aliases are written out > at most 200000"]),
    ("huge", "#" * (MOST_CHARACTERS + 1), ["1000001 characters > at most 1000000"]),
    ("tag", changed("name: shop\n", "name: !new shop\n"), [":2:1: name: found a value of type !new"]),
    ("infinite", changed("limit: 1000count", "limit: .inf"), ["quotas.budget.limit: found inf, expected a finite number"]),
    ("endless integer", changed("limit: 1000count", "limit: 0x" + "f" * 9000), ["a number of 36000 bits"]),
    ("one of several types", changed("values: {search: true}", "values: {search: [1]}"), ["search: found a list of 1"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
def test_text_that_is_no_plan(text: str, parts: list[str]) -> None:
    """Each gives one line with file, line, column, what was found and what was expected."""
    with pytest.raises(PlanError) as error:
        parse_plan(text, "plan.yaml")
    (line,) = str(error.value).splitlines()
    assert line.startswith("plan.yaml:")
    assert all(part in line for part in parts), line


def test_binary_file(tmp_path: Path) -> None:
    """Bytes that are no text are told as such."""
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"\x80\x81\xff")
    with pytest.raises(PlanError, match=r"plan\.yaml:1:1: cannot be read as a plan: not UTF-8 text"):
        load_plan(path)


@pytest.mark.parametrize("path", ["no/such/plan.yaml", ".", "a\0b"], ids=["missing", "folder", "impossible name"])
def test_file_that_cannot_be_read(path: str) -> None:
    """The reason, and what to do."""
    with pytest.raises(PlanError, match=r":1:1: cannot be read as a plan: .*; give the path of a YAML file"):
        load_plan(Path(path))


def test_endless_file_is_not_read_to_its_end() -> None:
    """A device is refused by its length, not by the memory it takes."""
    with pytest.raises(PlanError, match="1000001 characters"):
        load_plan(Path("/dev/zero"))


def test_loading_keeps_the_text_and_its_hash(tmp_path: Path) -> None:
    """The record of a rollout names the exact text that ran."""
    path = tmp_path / "plan.yaml"
    path.write_text(SOUND)
    add_migrations(tmp_path)
    loaded = load_plan(path)
    assert loaded.text == SOUND
    assert loaded.plan.name == "shop"
    assert len(loaded.sha256) == 64


@pytest.mark.parametrize(
    ("query", "sided"),
    [
        ("SELECT errors FROM health WHERE side = :side", True),
        ("SELECT errors FROM health WHERE version = :version", True),
        ('errors{side="{side}"}', True),
        ('errors{version="{version}"}', True),
        ("SELECT count(*) FROM health WHERE at > :start", False),
    ],
)
def test_a_metric_has_sides_when_its_query_asks_for_one(query: str, sided: bool) -> None:
    """By a placeholder or by a bound parameter."""
    text = changed('query: {canary: "SELECT 1"}', f"query: '{query}'")
    assert parse_plan(text, "plan.yaml").plan.metrics["users"].sided is sided


def test_a_quota_is_watched_in_every_phase() -> None:
    """At its two shares of the limit: one tells, the other responds."""
    text = changed(
        "limit: 1000count", "limit: 1000count, warn: 75%, stop: 90%, respond: {reduce_weight: {to: 0%}}, runbook: stop"
    )
    plan = parse_plan(text, "plan.yaml").plan
    for phase in plan.phase_names:
        watched = plan.triggers_at(phase)
        assert watched["budget_warn"].describe() == "threshold users at least 750count: notify (warning)"
        assert watched["budget_stop"].describe() == "threshold users at least 900count: reduce weight (warning)"
        assert watched["budget_stop"].runbook == "stop"
