"""One text for one value."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.errors import LedgerError
from chrysalis.ledger import canonical_hash, canonical_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: float
    when: datetime


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"b": 1, "a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true],"b":1}', id="keys are sorted"),
        pytest.param(math.nan, '"NaN"', id="NaN is a word"),
        pytest.param([math.inf, -math.inf], '["Infinity","-Infinity"]', id="infinities are words"),
        pytest.param("mäia", '"m\\u00e4ia"', id="ASCII only"),
        pytest.param("a\0b", '"a\\ufffdb"', id="NUL is replaced"),
        pytest.param({"\ud800": "\udfff"}, '{"\\ufffd":"\\ufffd"}', id="lone surrogates are replaced"),
        pytest.param("😀", '"\\ud83d\\ude00"', id="pairs of surrogates stay"),
        pytest.param(timedelta(minutes=1), "60.0", id="durations in seconds"),
        pytest.param({Colour.RED: Colour.RED}, '{"red":"red"}', id="enums by value"),
        pytest.param(frozenset({"b", "a"}), '["a","b"]', id="sets in order"),
        pytest.param(
            Point(1.0, datetime(2026, 1, 1, tzinfo=UTC)), '{"when":"2026-01-01T00:00:00+00:00","x":1.0}', id="dataclasses"
        ),
    ],
)
def test_a_value_has_one_text(value: object, text: str) -> None:
    assert canonical_json(value) == text


@given(JSON)
def test_the_text_is_a_fixed_point(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert text.isascii()


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert canonical_hash(dict(reversed(value.items()))) == canonical_hash(value)


def test_what_json_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(LedgerError, match=r"a bytes .* is none"):
        canonical_json({"a": b"x"})
