"""A choice among kinds, written in YAML as one key that names the kind: `- threshold: {metric: p95, at_most: 700ms}`.

The location of a validation error is then the path in the document itself, so that it can be shown with line and column.
An unknown kind is an error that lists the kinds there are, never a default. It is written back in the same form.
"""

from collections.abc import Callable
from typing import Annotated, Any, Union

from pydantic import BaseModel, Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema, core_schema


class _UnderKey:
    """Takes `{key: body}` apart on the way in and shows the same form in the JSON Schema."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def unwrap(value: Any) -> Any:
            if isinstance(value, dict) and self.key in value:
                body = value[self.key]
                return {} if body is None else body
            return value

        def wrap(value: Any, serialize: Callable[[Any], Any]) -> dict[str, Any]:
            return {self.key: serialize(value)}

        return core_schema.no_info_before_validator_function(
            unwrap, handler(source), serialization=core_schema.wrap_serializer_function_ser_schema(wrap)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {self.key: handler(schema)},
            "required": [self.key],
            "additionalProperties": False,
        }


def _kind_in(kinds: dict[type, str]) -> Callable[[Any], str | None]:
    def kind(value: Any) -> str | None:
        if isinstance(value, dict) and len(value) == 1:
            return str(next(iter(value)))
        if isinstance(value, str):
            return value
        return kinds.get(type(value))

    return kind


def keyed_union(noun: str, kinds: dict[str, type[BaseModel]]) -> Any:
    """The pydantic type "one of these kinds", each under its key. `noun` names them in errors ("condition", "step").

    A bare word (`- tag_version`) is a kind without a body.
    """
    listed = ", ".join(sorted(kinds))
    members = [Annotated[spec, _UnderKey(key), Tag(key)] for key, spec in kinds.items()]
    bare = {spec: key for key, spec in kinds.items()}

    def unfold(value: Any) -> Any:
        return {value: {}} if isinstance(value, str) and value in kinds else value

    discriminator = Discriminator(
        _kind_in(bare),
        custom_error_type="unknown_kind",
        custom_error_message=f"a {noun} is written as one key that names its kind; the kinds are {listed}",
    )
    return Annotated[Union[tuple(members)], discriminator, _Unfold(unfold)]  # noqa: UP007 - the tuple is computed


class _Unfold:
    def __init__(self, unfold: Callable[[Any], Any]) -> None:
        self.unfold = unfold

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.unfold, handler(source))
