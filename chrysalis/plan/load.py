"""From a YAML file to a Plan, or to every problem it has at once, each with file, line and column.

Three readings, each only when the one before found nothing: YAML, the model's types, and the references between its parts.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chrysalis.errors import PlanError
from chrysalis.plan.model import Plan
from chrysalis.plan.problems import Location, problems_in

MOST_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a plan. Line and column count from 1."""

    file: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that is sound, with the text it was read from and the SHA-256 of that text."""

    plan: Plan
    text: str
    sha256: str


def load_plan(path: Path) -> LoadedPlan:
    """Read and check a file. Raises PlanError with all problems, a line each."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise PlanError(f"{path}: cannot be read as a plan: {reason}; give the path of a YAML file") from error
    return parse_plan(text, str(path))


def parse_plan(text: str, file: str) -> LoadedPlan:
    """Check a text; `file` is what messages call it. Raises PlanError with all problems, a line each."""
    found = check_plan(text, file)
    if isinstance(found, Plan):
        return LoadedPlan(found, text, hashlib.sha256(text.encode()).hexdigest())
    raise PlanError("\n".join(str(problem) for problem in found))


def check_plan(text: str, file: str) -> Plan | list[Problem]:
    """The plan, or the problems that keep it from being one."""
    if len(text) > MOST_CHARACTERS:
        return [Problem(file, 1, 1, "", f"{len(text)} characters > at most {MOST_CHARACTERS}; this is not a plan")]
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        return [Problem(file, line, column, "", f"not YAML: {said.splitlines()[0]}")]
    except (YAMLError, ValueError, RecursionError) as error:
        return [Problem(file, 1, 1, "", f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}")]
    if not isinstance(document, Mapping):
        return [
            Problem(file, 1, 1, "", f"found {_shown(document)}, expected a mapping with chrysalis, name, service, phases")
        ]
    try:
        plan = Plan.model_validate(document)
    except ValidationError as error:
        return _sorted(_problem(file, document, details) for details in error.errors(include_url=False))
    return (
        _sorted(
            Problem(file, *_position(document, location), _path(location), message)
            for location, message in problems_in(plan)
        )
        or plan
    )


def _sorted(problems: Any) -> list[Problem]:
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.message))


def _problem(file: str, document: Any, details: ErrorDetails) -> Problem:
    location = tuple(part for part in details["loc"] if part != "[key]")
    kind, found = details["type"], _shown(details["input"])
    match kind:
        case "missing":
            message = f"{location[-1]!r} is missing; expected here beside {_listed(_fields_at(location[:-1]))}"
            location = location[:-1]
        case "extra_forbidden":
            fields = _fields_at(location[:-1])
            near = difflib.get_close_matches(str(location[-1]), fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {_listed(fields)}"
            message = f"unknown field {location[-1]!r}; {hint}"
        case _:
            message = f"found {found}, expected: {_expected(details)}"
    return Problem(file, *_position(document, location), _path(location), message)


def _expected(details: ErrorDetails) -> str:
    said = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return said[:1].lower() + said[1:]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping of {_listed([str(key) for key in value])}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "nothing"


def _path(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _position(document: Any, location: Location) -> tuple[int, int]:
    """Line and column of the deepest part of the location that the document has."""
    node, line, column = document, 1, 1
    for part in location:
        try:
            if isinstance(node, Mapping):
                line, column = (number + 1 for number in node.lc.key(part))  # type: ignore[attr-defined]
            else:
                line, column = (number + 1 for number in node.lc.item(part))
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line, column


@cache
def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan, for editors."""
    schema = Plan.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Chrysalis plan", **schema}


def _fields_at(location: Location) -> list[str]:
    """The field names that the schema has at a location, to say what was expected."""
    definitions = plan_schema()["$defs"]
    nodes = [plan_schema()]
    for part in location:
        nodes = [below for node in nodes for below in _below(_alternatives(node, definitions), part)]
    return sorted(
        {name for node in nodes for choice in _alternatives(node, definitions) for name in choice.get("properties", {})}
    )


def _alternatives(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _alternatives(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    choices = node.get("oneOf", []) + node.get("anyOf", []) + node.get("allOf", [])
    return [node, *(found for choice in choices for found in _alternatives(choice, definitions))]


def _below(nodes: list[dict[str, Any]], part: int | str) -> list[dict[str, Any]]:
    if isinstance(part, int):
        return [node["items"] for node in nodes if isinstance(node.get("items"), dict)]
    named = [node["properties"][part] for node in nodes if part in node.get("properties", {})]
    return named or [node["additionalProperties"] for node in nodes if isinstance(node.get("additionalProperties"), dict)]
