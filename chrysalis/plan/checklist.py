"""A checklist: items in sections, each checked by a machine or attested by a person in a role; YAML in, frozen model out.

An item has exactly one of `check` and `attest`, so that none is ever passed by default. A check says what has to be true,
never how it went last time: results, names and evidence belong to the ledger. Values may name variables of the
environment (`${SERVICE_URL}`), as in a plan; they are filled in when the check runs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from chrysalis.errors import SettingsError
from chrysalis.plan.document import Location
from chrysalis.plan.load import read_text
from chrysalis.plan.parts import Scalar
from chrysalis.plan.reading import parse_model
from chrysalis.plan.steps import Check as Request
from gates.condition import Spec
from gates.units import Duration, Quantity

_BOUNDS = ("equals", "above", "below", "at_least", "at_most")


# ── what a machine checks ──────────────────────────────────────────────────────────────────────────────────────────


class Command(Spec):
    """A program, an argument list and never a shell, ends with this exit code and prints what `prints` matches."""

    kind: Literal["command"]
    run: tuple[str, ...] = Field(min_length=1)
    cwd: str = "."
    exit_code: int = 0
    prints: str | None = Field(default=None, description="regular expression searched for in its output")
    timeout: Duration = timedelta(minutes=10)


class Measured(Spec):
    """One value that a query returns, held against exactly one bound. No row, no sample and NaN are not a pass."""

    query: str
    equals: Scalar = None
    above: Quantity | None = None
    below: Quantity | None = None
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    unit: str = Field(default="", description="what the query returns, such as ratio, s, MB")
    timeout: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        given = [name for name in _BOUNDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(_BOUNDS)} is needed, found {' and '.join(given) or 'none'}")
        return self


class Sql(Measured):
    kind: Literal["sql"]
    url: str = "${SERVICE_DATABASE_URL}"


class Promql(Measured):
    kind: Literal["promql"]
    url: str = "${PROMETHEUS_URL}"


class Http(Request):
    """One request, compared by status, headers and body, as in a smoke test."""

    kind: Literal["http"]
    timeout: Duration = timedelta(seconds=5)


class FileSearch(Spec):
    """A regular expression over the lines of files: by default it must be found nowhere; with `found`, somewhere."""

    kind: Literal["file_search"]
    pattern: str = Field(min_length=1)
    folder: str
    include: tuple[str, ...] = Field(default=("**/*",), description="globs below the folder")
    exclude: tuple[str, ...] = ()
    found: bool = False


class Tls(Spec):
    """The chain is trusted, the name fits, and it stays valid for at least this long."""

    kind: Literal["tls"]
    host: str = Field(description="name, or name:port")
    port: int = Field(default=443, ge=1, le=65_535)
    valid_for: Duration


class Env(Spec):
    """A variable is set and not empty, and is `equals` where given. The value of a secret one is never shown."""

    kind: Literal["env"]
    name: str = Field(pattern=r"^[A-Z_][A-Z0-9_]*$")
    equals: str | None = None
    secret: bool = False


class JUnitReport(Spec):
    """A JUnit report: at least so many tests whose name matches, none of them failed, skipped or too old to count."""

    kind: Literal["test_report"]
    file: str
    matching: str = Field(default="", description="regular expression over class and name; all when empty")
    tests: int = Field(default=1, ge=1, description="at least this many")
    within: Duration | None = Field(default=None, description="the matching tests took less than this together")
    max_age: Duration = timedelta(days=1)


class Coverage(Spec):
    """Lines covered in a Cobertura report, of the paths given."""

    kind: Literal["coverage"]
    file: str
    paths: tuple[str, ...] = ()
    above: Quantity
    max_age: Duration = timedelta(days=1)


class LoadResult(Spec):
    """The summary of a load test with at least these users and this long; every bound given is kept (below it)."""

    kind: Literal["load_test"]
    file: str
    users: int | None = Field(default=None, ge=1)
    lasting: Duration | None = None
    requests: int | None = Field(default=None, ge=1)
    p50: Quantity | None = None
    p95: Quantity | None = None
    p99: Quantity | None = None
    client_errors: Quantity | None = Field(default=None, description="answers 4xx of all")
    server_errors: Quantity | None = Field(default=None, description="answers 5xx of all")
    timeouts: Quantity | None = None
    failures: Quantity | None = None
    cpu: Quantity | None = None
    memory_growth: Quantity | None = Field(default=None, description="between the first and the last tenth")
    max_age: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        asked = self.model_dump(exclude={"kind", "file", "max_age"}, exclude_none=True)
        if not asked:
            raise ValueError("a load test without users, lasting, requests or a bound says nothing; give what must hold")
        return self


class Backup(Spec):
    """The newest backup of a database is young enough; with `restore` it is put into an empty one and its tables read."""

    kind: Literal["backup"]
    url: str = "${SERVICE_DATABASE_URL}"
    max_age: Duration
    restore: bool = False
    point_in_time: bool = False
    tables: tuple[str, ...] = Field(default=(), description="must come back with as many rows as the backup recorded")
    within: Duration | None = Field(default=None, description="the restore takes less than this")


AnyCheck = Annotated[
    Command | Sql | Promql | Http | FileSearch | Tls | Env | JUnitReport | Coverage | LoadResult | Backup,
    Field(discriminator="kind"),
]


# ── items, sections, the list ──────────────────────────────────────────────────────────────────────────────────────


class Attest(Spec):
    """A person in this role says so, with evidence (a link or a text), and it holds until it expires."""

    role: str = Field(min_length=1)
    evidence: bool = True
    expires: Duration = timedelta(days=30)


class Item(Spec):
    """One thing that must be so. `group` is the heading that items belong to within their section."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_.-]*$")
    text: str = Field(min_length=1)
    group: str = ""
    only_if_set: str | None = Field(default=None, description="where this variable is not set, the item does not apply")
    check: AnyCheck | None = None
    attest: Attest | None = None

    @model_validator(mode="after")
    def _one_way_to_know(self) -> Self:
        if (self.check is None) == (self.attest is None):
            found = "both" if self.check else "neither"
            raise ValueError(f"exactly one of check and attest is needed, found {found}")
        return self


class Section(Spec):
    name: str = Field(min_length=1)
    items: tuple[Item, ...] = Field(min_length=1)


class Checklist(Spec):
    """What `checklists` of a plan names; a `checklist` step asks for all of it or for sections by name."""

    title: str
    sections: tuple[Section, ...] = Field(min_length=1)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """All items in order."""
        return tuple(item for section in self.sections for item in section.items)

    def items_of(self, sections: Iterable[str] = ()) -> tuple[Item, ...]:
        """The items of these sections, in the list's order; all without sections. Raises SettingsError for one unknown."""
        wanted = tuple(sections)
        if unknown := [name for name in wanted if name not in self.section_names]:
            raise SettingsError(f"{self.title} has no section {unknown[0]!r}; it has: {', '.join(self.section_names)}")
        chosen = (section for section in self.sections if not wanted or section.name in wanted)
        return tuple(item for section in chosen for item in section.items)

    def item(self, item_id: str) -> Item:
        """Raises SettingsError for an id that the list does not have."""
        found = next((item for item in self.items if item.id == item_id), None)
        if found is None:
            near = get_close_matches(item_id, [item.id for item in self.items], n=3)
            raise SettingsError(f"{self.title} has no item {item_id!r}" + (f"; near it: {', '.join(near)}" if near else ""))
        return found

    @cached_property
    def section_names(self) -> tuple[str, ...]:
        return tuple(section.name for section in self.sections)

    @cached_property
    def roles(self) -> frozenset[str]:
        """Every role that attests something."""
        return frozenset(item.attest.role for item in self.items if item.attest is not None)


# ── from a file ────────────────────────────────────────────────────────────────────────────────────────────────────


def load_checklist(path: Path) -> Checklist:
    """Read and check a file. Raises PlanError with all problems, a line each, as `load_plan` does."""
    return parse_checklist(read_text(path), str(path))


def parse_checklist(text: str, file: str) -> Checklist:
    """Check a text; `file` is what messages call it. Raises PlanError with all problems, a line each."""
    return parse_model(Checklist, text, file, _repeated)


def _repeated(checklist: Checklist) -> Iterator[tuple[Location, str]]:
    names = Counter(checklist.section_names)
    ids = Counter(item.id for item in checklist.items)
    for number, section in enumerate(checklist.sections):
        if names[section.name] > 1:
            yield ("sections", number, "name"), f"found section {section.name!r} twice, expected names of their own"
        for position, item in enumerate(section.items):
            if ids[item.id] > 1:
                at = ("sections", number, "items", position, "id")
                yield at, f"found id {item.id!r} {ids[item.id]} times, expected every item to have one of its own"
