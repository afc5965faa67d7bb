"""One PromQL question for many services: the query of one, rewritten so that it answers for each of them apart.

`sum(rate(errors{service="{service}"}[5m]))` becomes `sum by (service) (rate(errors{service=~"a|b|c"}[5m]))`. Pure and exact:
what it gives with the labels of one service is what the query gives when that service alone is asked about. That holds
because every selector of the query names the label, so that its series are the disjoint union over the services, and
because everything accepted here treats series one by one or matches and groups them by labels that now include it:

- functions of single series, and aggregations, to whose `by` the label is added;
- arithmetic, comparisons and set operators between vectors, where both sides carry the label for the same reason: by
  themselves, or both because it was added (else two that did not match would match now);
- `or vector(0)`, which has no label to carry: a zero for each service that has any of the query's series.

Anything else (`without`, `on`, `topk`, `absent`, subqueries, a selector without the label) is not rewritten, and then each
service is asked about alone. The grammar is that of Prometheus 2.42; what it does not know is refused, never guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<range>\[[^\]:]*\])
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<sign>==|!=|=~|!~|>=|<=|[-+*/%^<>=(){},]))""",
    re.VERBOSE,
)
_AGGREGATIONS = frozenset({"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar"})
_OF_RANGES = frozenset(
    {
        *("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets"),
        *(f"{name}_over_time" for name in ("avg", "min", "max", "sum", "count", "last", "present", "stddev", "stdvar")),
    }
)
_OF_INSTANTS = frozenset({"abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "timestamp"})
_PARAMETER_FIRST = {"histogram_quantile": "instant", "quantile_over_time": "range"}
_PARAMETERS_LAST = {"clamp_min": 1, "clamp_max": 1, "clamp": 2, "round": 1}
_BINARY = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<=": 3, "<": 3, ">=": 3, ">": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}  # fmt: skip
_SET = frozenset({"or", "and", "unless"})
_COMPARING = frozenset({"==", "!=", "<=", "<", ">=", ">"})
_MATCHING = frozenset({"on", "ignoring", "group_left", "group_right"})
_FILL = "\x00{}\x00"
_RANGE = "[]"
"""In place of labels: a range of a vector, which only some functions take."""


class _Refused(Exception):
    """The query cannot be rewritten."""


@dataclass(frozen=True, slots=True)
class Regrouped:
    """`text` has a placeholder in `label=~"{placeholder}"` for each of `labels`, to be filled with an alternation."""

    text: str
    labels: Mapping[str, str]
    """Placeholder to the label that carries it."""
    added: frozenset[str]
    """Labels that the answer has only because they were added."""
    vanishes: bool
    """Whether a service without any series has no answer. If not, all such services have the same answer."""


@lru_cache(maxsize=1024)
def regroup(text: str, placeholders: tuple[str, ...]) -> Regrouped | None:
    """The query for many values of the placeholders at once, or None where that would not be exact."""
    try:
        return _Rewriting(text, placeholders).result()
    except _Refused:
        return None


class _Vector(NamedTuple):
    """A rewritten instant vector, or a range of one."""

    text: str
    own: frozenset[str]
    """Those of the labels that it carries when one service is asked about, too."""
    vanishes: bool = True


class _Scalar(NamedTuple):
    text: str


class _Constant(NamedTuple):
    """`vector(number)`."""

    number: str


_Part = _Vector | _Scalar | _Constant


class _Rewriting:
    """A recursive descent over the tokens that writes the new query as it goes."""

    def __init__(self, text: str, placeholders: tuple[str, ...]) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._marks = {f"{{{name}}}": name for name in placeholders}
        self._labels: dict[str, str] = {}
        self._leaves: dict[str, None] = {}
        self._filters = False

    def result(self) -> Regrouped:
        found = self._expression(1)
        if self._at != len(self._tokens) or not isinstance(found, _Vector) or _RANGE in found.own:
            raise _Refused
        if not found.vanishes and self._filters:
            raise _Refused  # a service missing from the answer could have been filtered, or have no series
        return Regrouped(
            self._filled(found.text), self._labels, frozenset(self._labels.values()) - found.own, found.vanishes
        )

    def _filled(self, text: str) -> str:
        by = ", ".join(self._labels.values())
        anybody = f"group by ({by}) ({' or '.join(self._leaves)})"
        return re.sub("\x00([^\x00]*)\x00", lambda match: f"({anybody} * 0 + {match[1]})", text)

    def _expression(self, least: int) -> _Part:
        left = self._unary()
        while (power := _BINARY.get(sign := self._peek(), 0)) >= least:
            self._at += 1
            modifier = ""
            if self._peek() == "bool":
                self._at += 1
                modifier = " bool"
            if self._peek() in _MATCHING:
                raise _Refused
            right = self._expression(power if sign == "^" else power + 1)
            left = self._joined(left, sign, modifier, right)
        return left

    def _unary(self) -> _Part:
        if self._peek() in ("-", "+"):
            sign = self._next()
            of = self._expression(_BINARY["^"])
            match of:
                case _Scalar():
                    return _Scalar(f"({sign}{of.text})")
                case _Vector():
                    return of._replace(text=f"({sign}{of.text})")
                case _:
                    raise _Refused
        return self._atom()

    def _joined(self, left: _Part, sign: str, modifier: str, right: _Part) -> _Part:
        if isinstance(left, _Vector) and isinstance(right, _Constant):
            if sign != "or" or left.own:
                raise _Refused
            return _Vector(f"({left.text} or {_FILL.format(right.number)})", left.own, vanishes=False)
        if isinstance(left, _Constant) or isinstance(right, _Constant):
            raise _Refused
        text = f"({left.text} {sign}{modifier} {right.text})"
        if isinstance(left, _Scalar) and isinstance(right, _Scalar):
            return _Scalar(text)
        self._filters |= (sign in _COMPARING and not modifier) or sign in ("and", "unless")
        if isinstance(left, _Scalar) or isinstance(right, _Scalar):
            if sign in _SET:
                raise _Refused
            return (left if isinstance(left, _Vector) else right)._replace(text=text)
        if left.own != right.own or _RANGE in left.own:
            raise _Refused
        match sign:
            case "or":
                vanishes = left.vanishes and right.vanishes
            case "unless":
                vanishes = left.vanishes
            case _:
                vanishes = left.vanishes or right.vanishes
        return _Vector(text, left.own, vanishes)

    def _atom(self) -> _Part:
        kind, text = self._token()
        if text == "(":
            self._at += 1
            inner = self._expression(1)
            self._want(")")
            return inner if not isinstance(inner, _Vector) else inner._replace(text=f"({inner.text})")
        if kind == "number":
            self._at += 1
            return _Scalar(text)
        if text == "{":
            return self._selector("")
        if kind != "name":
            raise _Refused
        self._at += 1
        if text in _AGGREGATIONS or text == "quantile":
            return self._aggregation(text)
        if self._peek() == "(":
            return self._call(text)
        if text.lower() in {*_BINARY, *_MATCHING, "by", "without", "offset", "bool", "inf", "nan"}:
            raise _Refused
        return self._selector(text)

    def _selector(self, name: str) -> _Vector:
        found: dict[str, str] = {}
        written: list[str] = []
        if self._peek() == "{":
            self._at += 1
            while self._peek() != "}":
                label, sign, value = self._next("name"), self._next("sign"), self._next("string")
                if sign not in ("=", "!=", "=~", "!~"):
                    raise _Refused
                placeholder = self._marks.get(value[1:-1])
                if placeholder is not None and sign == "=" and placeholder not in found:
                    found[placeholder] = label
                    sign = "=~"
                elif any(mark in value for mark in self._marks):
                    raise _Refused
                written.append(f"{label}{sign}{value}")
                if self._peek() != ",":
                    break
                self._at += 1
            self._want("}")
        labels = self._labels or found
        if len(found) != len(self._marks) or found != labels or len(set(found.values())) != len(found):
            raise _Refused
        self._labels = labels
        selector = f"{name}{{{','.join(written)}}}"
        if self._token()[0] == "range":
            return _Vector(f"{selector}{self._next()}{self._offset()}", frozenset({_RANGE}))
        vector = _Vector(f"{selector}{self._offset()}", frozenset(found.values()))
        self._leaves[vector.text] = None
        return vector

    def _offset(self) -> str:
        if self._peek() != "offset":
            return ""
        self._at += 1
        return f" offset {self._next('duration')}"

    def _aggregation(self, name: str) -> _Vector:
        by = self._by()
        self._want("(")
        parameter = ""
        if name == "quantile":
            parameter = f"{self._number()}, "
            self._want(",")
        inner = self._instant()
        self._want(")")
        if by is None:
            by = self._by() or []
        labels = [*by, *(label for label in self._labels.values() if label not in by)]
        text = f"{name} by ({', '.join(labels)}) ({parameter}{inner.text})"
        return _Vector(text, inner.own & frozenset(by), inner.vanishes)

    def _by(self) -> list[str] | None:
        if self._peek() == "without":
            raise _Refused
        if self._peek() != "by":
            return None
        self._at += 1
        self._want("(")
        labels: list[str] = []
        while self._peek() != ")":
            labels.append(self._next("name"))
            if self._peek() != ",":
                break
            self._at += 1
        self._want(")")
        return labels

    def _call(self, name: str) -> _Part:
        self._want("(")
        if name == "vector":
            number = self._number()
            self._want(")")
            return _Constant(number)
        if name in _PARAMETER_FIRST:
            parameter = self._number()
            self._want(",")
            inner = self._range() if _PARAMETER_FIRST[name] == "range" else self._instant()
            self._want(")")
            return inner._replace(text=f"{name}({parameter}, {inner.text})")
        if name in _OF_RANGES:
            inner = self._range()
        elif name in _OF_INSTANTS or name in _PARAMETERS_LAST:
            inner = self._instant()
        else:
            raise _Refused
        more = ""
        while name in _PARAMETERS_LAST and self._peek() == ",":
            self._at += 1
            more += f", {self._number()}"
        self._want(")")
        return inner._replace(text=f"{name}({inner.text}{more})")

    def _number(self) -> str:
        found = self._expression(1)
        if not isinstance(found, _Scalar):
            raise _Refused
        return found.text

    def _instant(self) -> _Vector:
        found = self._expression(1)
        if not isinstance(found, _Vector) or _RANGE in found.own:
            raise _Refused
        return found

    def _range(self) -> _Vector:
        found = self._expression(1)
        if not isinstance(found, _Vector) or found.own != {_RANGE}:
            raise _Refused
        vector = found._replace(own=frozenset(self._labels.values()))
        self._leaves[f"last_over_time({vector.text})"] = None
        return vector

    def _token(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _peek(self) -> str:
        kind, text = self._token()
        return "" if kind == "string" else text

    def _next(self, kind: str | None = None) -> str:
        found, text = self._token()
        if found == "end" or (kind is not None and found != kind):
            raise _Refused
        self._at += 1
        return text

    def _want(self, text: str) -> None:
        if self._peek() != text:
            raise _Refused
        self._at += 1


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _Refused
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found
