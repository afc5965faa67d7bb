"""Where a problem is said to be: the line and column of what has to be mended, whatever the form it is written in."""

import pytest

from chrysalis.plan import Plan, check_plan
from tests.plan.samples import SOUND, changed


def place(text: str, said: str) -> tuple[str, str]:
    """The line of text that the only problem points at, from its column on, and the path that it names."""
    found = check_plan(text, "plan.yaml")
    assert not isinstance(found, Plan)
    (problem,) = [one for one in found if said in one.message]
    return text.splitlines()[problem.line - 1][problem.column - 1 :], problem.where


@pytest.mark.parametrize(
    ("old", "new", "said", "rest", "path"),
    [
        (
            "{metric: p99, below: 500ms}\n                - comparison",
            "{metric: p98, below: 500ms}\n                - comparison",
            "unknown metric 'p98'",
            "threshold: {metric: p98, below: 500ms}",
            "phases[0].steps[5].gate.all[1].any[0].threshold",
        ),
        (
            "- any:\n                - threshold: {metric: p99,",
            "- at_least:\n               count: 1\n               of:\n                - threshold: {metric: p98,",
            "unknown metric 'p98'",
            "threshold: {metric: p98, below: 500ms}",
            "phases[0].steps[5].gate.all[1].at_least.of[0].threshold",
        ),
        ("set_weight: 30%", "set_weight: {to: 30%, target: x}", "'x'", "target: x}", "phases[0].steps[3].set_weight.target"),
        ("ramp: {through", "ramp: {target: x, through", "'x'", "target: x, through: [50%, 75%], each: 1d}", None),
        ("set_weight: 100%", "set_weight: 10%", "found weight 10 %", "set_weight: 10%", "phases[1].steps[1].set_weight"),
        ("roles: [lead, owner], within", "roles: [lead, cto], within", "'cto'", "cto], within: 2d, remind: 1d}", None),
    ],
    ids=["bare list", "with of", "long form", "default", "short form", "flow list"],
)
def test_problem_points_at_what_is_wrong(old: str, new: str, said: str, rest: str, path: str | None) -> None:
    """Nested conditions point at themselves, and what the document lacks does not lead astray."""
    pointed, where = place(changed(old, new), said)
    assert pointed == rest
    assert path in (None, where)


def test_merged_value_is_told_once_where_it_is_written() -> None:
    """Two soaks share a checkpoint by `<<`; it is wrong in one place."""
    pointed, where = place(
        changed("[{threshold: {metric: p99, below: 500ms}}]", "[{threshold: {metric: p98, below: 5ms}}]"), "p98"
    )
    assert pointed == "threshold: {metric: p98, below: 5ms}}]}"
    assert where == "phases[0].steps[4].soak.checkpoint[0].threshold"


def test_value_merged_in_and_wrong_only_there() -> None:
    """What is right where it is written and wrong where it is merged still has a place."""
    text = changed("{<<: *soak, name: at_100}", "{<<: *soak, name: at_100, for: 1h}")
    pointed, where = place(text, "no longer than the soak")
    assert pointed.startswith("every: 4h")
    assert where == "phases[1].steps[2].soak.every"


def test_own_value_beside_merged_ones() -> None:
    """A key of the mapping itself is found there."""
    pointed, _ = place(changed("{<<: *soak, name: at_100}", "{<<: *soak, name: at_100, fro: 1h}"), "unknown field")
    assert pointed == "fro: 1h}"


def test_alias_is_told_where_its_anchor_is() -> None:
    """A list that two gates share."""
    text = changed(
        "      - gate:\n          name: fit\n          all:\n", "      - gate:\n          name: fit\n          all: &all\n"
    )
    text = changed("      - tag_version", "      - gate: {name: again, all: *all}\n      - tag_version", text=text)
    pointed, _ = place(
        text.replace("metric: error_rate, below: 1%}\n            - any", "metric: no, below: 1%}\n            - any"),
        "'no'",
    )
    assert pointed == "threshold: {metric: no, below: 1%}"


def test_missing_field_points_at_what_lacks_it() -> None:
    """The mapping, by its own key."""
    pointed, where = place(changed("    when: {threshold: {metric: p99, above: 2s}}\n", ""), "exactly one of when")
    assert (pointed, where) == ("slower:", "triggers.slower")


def test_sample_has_every_place() -> None:
    """Guards the tests above against a sample that changed."""
    assert isinstance(check_plan(SOUND, "plan.yaml"), Plan)
