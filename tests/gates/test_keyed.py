"""One key names the kind: read, refused with what there is, written back, and described for editors."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from gates.keyed import keyed_union


class Fast(BaseModel):
    model_config = {"extra": "forbid"}
    within: int = 5


class Named(BaseModel):
    name: str


@pytest.fixture
def kind():
    return TypeAdapter(keyed_union("animal", {"fast": Fast, "named": Named}))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"fast": {"within": 3}}, Fast(within=3)),
        ({"fast": {}}, Fast()),
        ({"fast": None}, Fast()),
        ("fast", Fast()),
        ({"named": {"name": "a"}}, Named(name="a")),
        (Fast(within=7), Fast(within=7)),
    ],
)
def test_reads(kind, written, read):
    assert kind.validate_python(written) == read
    assert kind.validate_python(kind.dump_python(read)) == read


@pytest.mark.parametrize("written", [{"slow": {}}, "slow", {"fast": {}, "named": {}}, {}, [], 3, None])
def test_an_unknown_kind_lists_those_there_are(kind, written):
    with pytest.raises(
        ValidationError, match="a animal is written as one key that names its kind; the kinds are fast, named"
    ):
        kind.validate_python(written)


def test_an_error_is_at_the_place_in_the_document(kind):
    with pytest.raises(ValidationError) as refused:
        kind.validate_python({"fast": {"within": "soon"}})
    assert refused.value.errors()[0]["loc"] == ("fast", "within")
    with pytest.raises(ValidationError) as bare:
        kind.validate_python("named")
    assert bare.value.errors()[0]["loc"] == ("named", "name")


def test_writes_back_under_its_key(kind):
    assert kind.dump_python(Fast(within=3)) == {"fast": {"within": 3}}


def test_the_schema_shows_each_kind_under_its_key(kind):
    choices = kind.json_schema()["oneOf"]
    assert [choice["required"] for choice in choices] == [["fast"], ["named"]]
    assert all(choice["type"] == "object" and choice["additionalProperties"] is False for choice in choices)
    assert "$ref" in choices[0]["properties"]["fast"]


def test_an_unknown_kind_is_an_error_of_its_own_type(kind):
    with pytest.raises(ValidationError) as caught:
        kind.validate_python({"slow": {}})
    assert [error["type"] for error in caught.value.errors()] == ["unknown_kind"]
