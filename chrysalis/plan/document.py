"""The text of a plan as a document, with the line and column of everything in it.

A document is refused before it is looked at when it cannot be a plan, however it was made: too long, too deep, referring
to itself, or small but endless once its aliases are written out. What is left is a tree of plain values.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

Location = tuple[int | str, ...]

MOST_CHARACTERS = 1_000_000
MOST_VALUES = 200_000
"""With every alias written out; the longest plan known has 3,000."""
DEEPEST = 64
LARGEST_INTEGER = 2**63
_UNION_TAGS = frozenset({"str", "int", "float", "bool", "none"})
"""What pydantic adds to the location of a value that may be of several types; no field of a plan is called so."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands. Line and column count from 1; `exact` when the document has all of the location."""

    line: int = 1
    column: int = 1
    path: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a text is not the document of a plan."""

    place: Place
    message: str


def read_document(text: str) -> Any | list[Refused]:
    """The document, its mappings and lists knowing their lines; or what is wrong with the text as such."""
    if len(text) > MOST_CHARACTERS:
        return [Refused(Place(), f"{len(text)} characters > at most {MOST_CHARACTERS}; this is not a plan")]
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        return [Refused(place, f"not YAML: {_first_line(error.context, error.problem)}")]
    except Exception as error:
        # On odd text the parser fails with whatever its own code runs into: RecursionError, AssertionError, KeyError, ...
        return [Refused(Place(), f"not YAML: {_first_line(error) or type(error).__name__}")]
    if not isinstance(document, Mapping):
        return [Refused(Place(), f"found {shown(document)}, expected a mapping with chrysalis, name, service, phases")]
    return list(_unfit(document)) or document


def place_of(document: Any, location: Location) -> Place:
    """Line and column of the deepest part of the location that the document has; a part that it lacks is left out.

    A merged value stands where it was written, which is where it has to be mended.
    """
    node, (line, column), path, exact = document, _start(document), "", True
    for part in location:
        if isinstance(node, Mapping) and part in node:
            line, column = _key_mark(node, part) or (line, column)
        elif isinstance(node, Sequence) and not isinstance(node, str) and isinstance(part, int) and part < len(node):
            line, column = _item_mark(node, part) or (line, column)
        else:
            # A default, the `of` of a bare list, the only field of a short form, or a type that pydantic tried.
            exact = False
            if isinstance(node, Mapping) and not _is_union_tag(part):
                path = _joined(path, part)
            continue
        path = _joined(path, part)
        node = node[part]
    return Place(line, column, path, exact)


def plain(value: Any) -> Any:
    """The same document without lines: dicts, lists and the scalars of YAML."""
    if isinstance(value, Mapping):
        return {_scalar(key): plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [plain(below) for below in value]
    return _scalar(value)


def shown(value: Any) -> str:
    """A value of the document in a few words, as YAML writes it."""
    match value:
        case Mapping():
            keys = ", ".join(str(key) for key in value)
            return f"a mapping of {_short(keys)}" if keys else "an empty mapping"
        case list() | tuple():
            return f"a list of {len(value)}"
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case _:
            return _short(repr(_scalar(value)))


def _unfit(document: Any) -> Iterator[Refused]:
    """What no plan has: values that are no plain data, too much of it, or too deep. Shared values are looked at once."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()

    def look(value: Any, location: Location) -> Iterator[Refused]:
        if id(value) in sizes:
            return
        if not isinstance(value, Mapping | list):
            if wrong := _no_scalar(value):
                yield Refused(place_of(document, location), wrong)
            return
        if id(value) in open_ or len(location) > DEEPEST:
            said = "found an alias of something it stands in" if id(value) in open_ else f"nested deeper than {DEEPEST}"
            yield Refused(place_of(document, location), f"{said}; this is not a plan")
            return
        open_.add(id(value))
        pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value))
        for key, below in pairs:
            if isinstance(key, str | int | float) or key is None:
                yield from look(below, (*location, key if isinstance(key, int) else str(key)))
            else:
                yield Refused(place_of(document, location), f"found the key {_short(repr(key))}, expected a plain name")
        open_.discard(id(value))
        sizes[id(value)] = 1 + sum(sizes.get(id(below), 1) for _, below in pairs)

    yield from look(document, ())
    if (written_out := sizes.get(id(document), 0)) > MOST_VALUES:
        yield Refused(
            Place(), f"{written_out} values once aliases are written out > at most {MOST_VALUES}; this is not a plan"
        )


def _no_scalar(value: Any) -> str | None:
    match value:
        case float() if not math.isfinite(value):
            return f"found {_scalar(value)!r}, expected a finite number"
        case int() if abs(value) >= LARGEST_INTEGER:
            return f"found a number of {value.bit_length()} bits, expected at most 63"
        case str() | int() | float() | None | date():
            return None
        case _:
            tag = getattr(getattr(value, "tag", None), "value", None) or type(value).__name__
            return f"found a value of type {tag}, expected text, a number, true, false, a list or a mapping"


def _scalar(value: Any) -> Any:
    """The value as the built-in type it is, without what the parser remembers of its form."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _start(document: Any) -> tuple[int, int]:
    marks = getattr(document, "lc", None)
    return (1, 1) if marks is None or marks.line is None else (marks.line + 1, marks.col + 1)


def _key_mark(node: Any, key: Any) -> tuple[int, int] | None:
    own = getattr(node, "lc", None)
    if own is not None and own.data and key in own.data:
        line, column = own.data[key][:2]
        return line + 1, column + 1
    merged = getattr(node, "merge", ())
    sources = (merged[index] for index in range(len(merged)))
    return next((_key_mark(source, key) for source in sources if key in source), None)


def _item_mark(node: Any, index: int) -> tuple[int, int] | None:
    marks = getattr(node, "lc", None)
    if marks is None or not marks.data or index not in marks.data:
        return None
    line, column = marks.data[index][:2]
    return line + 1, column + 1


def _is_union_tag(part: int | str) -> bool:
    return isinstance(part, str) and (part in _UNION_TAGS or "[" in part)


def _joined(path: str, part: int | str) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else str(part)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _first_line(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part).partition("\n")[0]
