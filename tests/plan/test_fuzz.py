"""Whatever the text: a plan, or problems that each are a line with a place. Nothing is ever raised."""

import re
from io import StringIO
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chrysalis.plan import Plan, check_plan, timeline
from chrysalis.plan.document import plain
from tests.plan.samples import SOUND

LINE = re.compile(r"plan\.yaml:\d+:\d+: ")
WORDS = re.findall(r"[\w%./-]+|[^\w\s]|\n *", SOUND)
DOCUMENT = plain(YAML(typ="rt").load(SOUND))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["0s", "-1", "1e400", "99999999999w", "nan%", "5pp", "9x", "stable", "24h ago", "p99", "config", "full"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(sorted(set(WORDS))), below, max_size=3),
    max_leaves=6,
)


def judge(text: str) -> None:
    """A plan that can be shown, or lines that each have a place."""
    found = check_plan(text, "plan.yaml")
    if isinstance(found, Plan):
        assert timeline(found)
    else:
        assert found
        assert all(LINE.match(str(problem)) and len(str(problem).splitlines()) == 1 for problem in found), found


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(found for key, below in pairs for found in places(below, (*at, key)))]


PLACES = places(DOCUMENT)[1:]


@settings(deadline=None)
@given(text=st.text())
def test_any_text(text: str) -> None:
    """Not even YAML."""
    judge(text)


@settings(deadline=None, max_examples=50)
@given(words=st.lists(st.sampled_from(WORDS), max_size=60))
def test_shuffled_plan(words: list[str]) -> None:
    """The words of a plan in any order."""
    judge(" ".join(words))


@settings(deadline=None, max_examples=50)
@given(start=st.integers(0, len(SOUND)), length=st.integers(1, 40), new=st.text(max_size=6))
def test_damaged_text(start: int, length: int, new: str) -> None:
    """A piece cut out, something else put in: a bad merge, a broken editor."""
    judge(SOUND[:start] + new + SOUND[start + length :])


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_changed_values(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Sound YAML that says something odd in up to three places."""
    document = plain(DOCUMENT)
    for place, value in changes:
        node = document
        try:
            for part in place[:-1]:
                node = node[part]
            node[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    text = StringIO()
    YAML(typ="safe", pure=True).dump(document, text)
    judge(text.getvalue())


@settings(deadline=None, max_examples=40)
@given(place=st.sampled_from(PLACES), other=st.sampled_from(PLACES))
def test_parts_in_the_wrong_place(place: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """One part of the plan where another belongs."""
    document, part = plain(DOCUMENT), DOCUMENT
    for key in other:
        part = part[key]
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = plain(part)
    text = StringIO()
    YAML(typ="safe", pure=True).dump(document, text)
    judge(text.getvalue())
