"""From a YAML file to a Plan, or to every problem it has at once, each with file, line and column.

Three readings, each only when the one before found nothing: YAML, the model's types, and the references between its parts.
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chrysalis.errors import PlanError
from chrysalis.plan.document import MOST_CHARACTERS, Location, place_of, plain, read_document, shown
from chrysalis.plan.model import Plan
from chrysalis.plan.problems import problems_in
from chrysalis.plan.problems_people import unsignable
from chrysalis.plan.problems_way_back import migration_problems


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
        said = f"{self.where}: {self.message}" if self.where else self.message
        return f"{place}: {''.join(one if one.isprintable() else ' ' for one in said)}"


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan that is sound, with the text it was read from and the SHA-256 of that text."""

    plan: Plan
    text: str
    sha256: str


def read_text(path: Path) -> str:
    """The text of a file that may be a plan. Raises PlanError; never reads more than a plan can have."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}:1:1: cannot be read as a plan: not UTF-8 text; give the path of a YAML file") from error
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise PlanError(f"{path}:1:1: cannot be read as a plan: {reason}; give the path of a YAML file") from error


def load_plan(path: Path) -> LoadedPlan:
    """Read and check a file, with the migrations beside it. Raises PlanError with all problems, a line each."""
    return parse_plan(read_text(path), str(path), folder=path.parent)


def parse_plan(text: str, file: str, *, folder: Path | None = None) -> LoadedPlan:
    """Check a text; `file` is what messages call it. Raises PlanError with all problems, a line each."""
    found = check_plan(text, file, folder=folder)
    if isinstance(found, Plan):
        return LoadedPlan(found, text, hashlib.sha256(text.encode()).hexdigest())
    raise PlanError("\n".join(str(problem) for problem in found))


def check_people(loaded: LoadedPlan, people: Mapping[str, frozenset[str]], file: str) -> list[Problem]:
    """The sign-off rules of a sound plan that these people (name to roles) cannot fulfil."""
    return _placed(file, read_document(loaded.text), unsignable(loaded.plan, people))


def check_plan(text: str, file: str, *, folder: Path | None = None) -> Plan | list[Problem]:
    """The plan, or the problems that keep it from being one; with its folder, those of its migrations as well."""
    document = read_document(text)
    if isinstance(document, list):
        return [Problem(file, one.place.line, one.place.column, one.place.path, one.message) for one in document]
    try:
        plan = Plan.model_validate(plain(document))
    except ValidationError as error:
        return _placed(file, document, told(error.errors(include_url=False), plan_schema()))
    beside = [] if folder is None else migration_problems(plan, folder)
    return _placed(file, document, [*problems_in(plan), *beside]) or plan


def _placed(file: str, document: Any, found: Iterable[tuple[Location, str]]) -> list[Problem]:
    """In the order of the document. What is shared through an alias is told once, where it is written."""
    problems: dict[tuple[object, ...], Problem] = {}
    for location, message in found:
        place = place_of(document, location)
        key = (place.line, place.column, message, "" if place.exact else place.path)
        problems.setdefault(key, Problem(file, place.line, place.column, place.path, message))
    return sorted(problems.values(), key=lambda problem: (problem.line, problem.column, problem.message))


def told(errors: Iterable[ErrorDetails], schema: dict[str, Any]) -> list[tuple[Location, str]]:
    """Each error in words; the types that one value may be of are one error, though pydantic tries each by itself.

    `schema` is the JSON Schema of what was read, to say what would have been right.
    """
    expected: dict[tuple[Location, str], list[str]] = {}
    said: list[tuple[Location, str]] = []
    for details in errors:
        location = tuple(part for part in details["loc"] if part != "[key]")
        match details["type"]:
            case "missing":
                beside = _listed([name for name in _fields_at(location[:-1], schema) if name != location[-1]])
                said.append((location[:-1], f"{location[-1]!r} is missing; expected here beside {beside}"))
            case "extra_forbidden":
                said.append((location, f"unknown field {location[-1]!r}; {_hint(str(location[-1]), location, schema)}"))
            case "too_short" if details["ctx"]["actual_length"] != len(details["input"]):
                continue  # It counts only the good ones; the bad ones are told by themselves.
            case _:
                while location and isinstance(location[-1], str) and _is_type(location[-1]):
                    location = location[:-1]
                expected.setdefault((location, shown(details["input"])), []).append(_expected(details))
    said += [
        (location, f"found {found}, expected: {' or '.join(dict.fromkeys(all_))}")
        for (location, found), all_ in expected.items()
    ]
    return said


def _is_type(part: str) -> bool:
    return part in ("str", "int", "float", "bool") or "[" in part


def _expected(details: ErrorDetails) -> str:
    said = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    kinds = said.partition("the kinds are ")[2].split(", ")
    written = details["input"]
    if details["type"] == "unknown_kind" and (isinstance(written, str) or (isinstance(written, dict) and len(written) == 1)):
        near = difflib.get_close_matches(written if isinstance(written, str) else str(next(iter(written))), kinds, n=1)
        said += f"; did you mean {near[0]!r}?" if near else ""
    return said[:1].lower() + said[1:]


def _hint(name: str, location: Location, schema: dict[str, Any]) -> str:
    fields = _fields_at(location[:-1], schema)
    near = difflib.get_close_matches(name, fields, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {_listed(fields)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "nothing"


@cache
def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan, for editors."""
    schema = Plan.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Chrysalis plan", **schema}


def _fields_at(location: Location, schema: dict[str, Any]) -> list[str]:
    """The field names that the schema has at a location, to say what was expected."""
    definitions = schema["$defs"]
    nodes = [schema]
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
    free = [node["additionalProperties"] for node in nodes if isinstance(node.get("additionalProperties"), dict)]
    return named or free + [below for node in nodes for below in node.get("patternProperties", {}).values()]
