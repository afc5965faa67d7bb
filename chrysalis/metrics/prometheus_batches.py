"""Which questions to Prometheus can be asked together: those that differ only in service, version or side.

Pure: queries in, batches out. Each query belongs to exactly one batch, a lone one to a batch of its own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, islice
from math import ceil
from typing import NamedTuple

from chrysalis.errors import QueryError
from chrysalis.metrics.base import Query
from chrysalis.metrics.placeholders import PLACEHOLDER, fill
from chrysalis.metrics.promql_regroup import Regrouped, regroup

VARYING = ("service", "version", "side")
"""Placeholders that questions asked together may differ in."""
MAX_MEMBERS = 1000
"""Services in one question: an answer stays below a megabyte, and so does what one refusal spoils at first."""

Values = tuple[str, ...]


class Question(NamedTuple):
    """What is asked, in whole milliseconds so that no sample comes to lie after the end."""

    text: str
    end_ms: int
    step_ms: int
    points: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One question and whom it answers: the indexes of the queries by the values of the placeholders in which they differ.

    `regrouped` is None where it answers one question as it was written. `problem` says why nothing can be asked.
    """

    template: Question
    """With the placeholders `names` still in its text."""
    names: tuple[str, ...]
    members: Mapping[Values, Sequence[int]]
    regrouped: Regrouped | None = None
    problem: str = ""

    @property
    def question(self) -> Question:
        """What to ask now."""
        if self.regrouped is None:
            values = dict(zip(self.names, next(iter(self.members)), strict=True))
            return self.template._replace(text=fill(self.template.text, values, escape=_in_string))
        columns = zip(*self.members, strict=True)
        either = {
            name: "|".join(re.escape(value) for value in dict.fromkeys(column))
            for name, column in zip(self.names, columns, strict=True)
        }
        return self.template._replace(text=fill(self.regrouped.text, either, escape=_in_string))

    @property
    def labels(self) -> list[str]:
        """The labels of the answer that tell the members apart, in the order of their values."""
        return [] if self.regrouped is None else [self.regrouped.labels[name] for name in self.names]

    @property
    def indexes(self) -> list[int]:
        """All queries that it answers."""
        return [index for indexes in self.members.values() for index in indexes]

    def alone(self, member: Values) -> "Batch":
        """The question of one member, as it was written."""
        return Batch(self.template, self.names, {member: self.members[member]})

    def halves(self) -> "Iterator[Batch]":
        """The same in two questions; of one member each as it was written."""
        members = list(self.members)
        middle = len(members) // 2
        for half in (members[:middle], members[middle:]):
            if len(half) == 1:
                yield self.alone(half[0])
            else:
                yield Batch(self.template, self.names, {one: self.members[one] for one in half}, self.regrouped)


def plan(queries: Sequence[Query]) -> Iterator[Batch]:
    """The batches in which to ask."""
    alike: dict[tuple[Question, tuple[str, ...]], dict[Values, list[int]]] = {}
    for index, query in enumerate(queries):
        names, fixed = _placeholders(query.text)
        end_ms = int(query.end_s * 1000)
        step_ms = max(1, round(query.step_s * 1000))
        points = max(1, ceil((end_ms - query.start_s * 1000) / step_ms - 1e-6))
        given = query.variables
        try:
            text = _filled(query.text, tuple([(name, given[name]) for name in fixed])) if fixed else query.text
            values = tuple([given[name] for name in names])
        except KeyError as error:
            problem = _no_value(error.args[0], given)
            yield Batch(Question(query.text, end_ms, step_ms, points), (), {(): [index]}, problem=problem)
            continue
        alike.setdefault((Question(text, end_ms, step_ms, points), names), {}).setdefault(values, []).append(index)
    for (template, names), members in alike.items():
        yield from _batches(template, names, members)


def _batches(template: Question, names: tuple[str, ...], members: Mapping[Values, list[int]]) -> Iterator[Batch]:
    if len(members) > 1:
        template, names, members = _without_constants(template, names, members)
    plain = all(value and not PLACEHOLDER.search(value) for member in members for value in member)
    regrouped = regroup(template.text, names) if len(members) > 1 and plain else None
    if regrouped is not None:
        left = iter(members.items())
        while some := dict(islice(left, MAX_MEMBERS)):
            yield Batch(template, names, some, regrouped)
    elif len(members) > 1 and plain and len(names) > 1:
        by_last: dict[str, dict[Values, list[int]]] = {}
        for member, indexes in members.items():
            by_last.setdefault(member[-1], {})[member] = indexes
        for part in by_last.values():
            yield from _batches(template, names, part)
    else:
        for member, indexes in members.items():
            yield Batch(template, names, {member: indexes})


def _without_constants(
    template: Question, names: tuple[str, ...], members: Mapping[Values, list[int]]
) -> tuple[Question, tuple[str, ...], Mapping[Values, list[int]]]:
    """The same with those placeholders filled in that have one value for all members."""
    differ = [len(set(column)) > 1 for column in zip(*members, strict=True)]
    if all(differ):
        return template, names, members
    first = next(iter(members))
    same = tuple((name, value) for name, value, many in zip(names, first, differ, strict=True) if not many)
    if any(PLACEHOLDER.search(value) for _, value in same):
        return template, names, members
    return (
        template._replace(text=_filled(template.text, same)),
        tuple(compress(names, differ)),
        {tuple(compress(member, differ)): indexes for member, indexes in members.items()},
    )


@lru_cache(maxsize=4096)
def _placeholders(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of a text in which questions may differ, and the others."""
    used = tuple(dict.fromkeys(match[1] for match in PLACEHOLDER.finditer(text)))
    return tuple(name for name in VARYING if name in used), tuple(name for name in used if name not in VARYING)


@lru_cache(maxsize=4096)
def _filled(text: str, values: tuple[tuple[str, str], ...]) -> str:
    given = dict(values)
    return PLACEHOLDER.sub(lambda match: _in_string(given[match[1]]) if match[1] in given else match[0], text)


def _no_value(name: str, given: Mapping[str, str]) -> str:
    try:
        fill(f"{{{name}}}", given, escape=str)
    except QueryError as error:
        return str(error)
    raise AssertionError(f"{name} has a value")


def _in_string(value: str) -> str:
    """For use inside a quoted PromQL string: a version or service name cannot end it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'").replace("\n", "\\n")
