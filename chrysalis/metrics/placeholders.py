"""Fills `{side}`, `{version}`, `{service}`, `{window}` and the like into a query, and shows addresses without passwords.

`{speed}` is how much faster the plan's clock runs than the real one, 1 in production: what happens so often in plan time is
measured in real time, and a query of such a rate divides by it.

Only these exact words in braces count, since PromQL and JSON use braces themselves (`up{job="api"}`); none of them is valid
PromQL by itself. A placeholder without a value is a QueryError: a query that silently asked for something else, or for
all sides together, could pass a gate that nobody measured.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

from chrysalis.errors import QueryError, SettingsError

V = TypeVar("V")
NAMES = ("side", "version", "service", "window", "speed")
PLACEHOLDER = re.compile(r"\{(" + "|".join(NAMES) + r")\}")


def fill(text: str, variables: Mapping[str, str], *, escape: Callable[[str], str]) -> str:
    """`text` with every placeholder replaced by its escaped value. Raises QueryError for one that has none."""
    return PLACEHOLDER.sub(lambda match: escape(value_of(match[1], variables)), text)


def value_of(name: str, variables: Mapping[str, V]) -> V:
    """The value of a placeholder. Raises QueryError that says what there is."""
    if name not in variables:
        known = ", ".join(sorted(variables)) or "none"
        raise QueryError(f"query error: {{{name}}} has no value here; those with one: {known}")
    return variables[name]


def shown_url(url: str) -> str:
    """The address of a source as it may be shown. Raises SettingsError, without repeating it, for one that is no URL."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b""))
    except httpx.InvalidURL as error:
        raise SettingsError(f"the URL of a metric source cannot be read ({error}); expected http://host:port") from error
