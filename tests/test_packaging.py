"""What an installation is made of: our packages belong to us alone, and the lock fits the project."""

import re
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chrysalis.settings import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
LOCK = (CHECKOUT / "requirements.lock").read_text()
ROWS = [line for line in LOCK.splitlines() if line.strip() and not line.lstrip().startswith(("#", "--hash"))]
LOCKED = {
    canonicalize_name(requirement.name): requirement
    for requirement in (Requirement(row.removesuffix("\\").strip()) for row in ROWS)
}
WANTED = [Requirement(text) for text in PROJECT["dependencies"]] + [
    Requirement(text) for extra in PROJECT["optional-dependencies"].values() for text in extra
]


@pytest.mark.parametrize("package", ["flows", "tasks", "gates", "chrysalis"])
def test_nobody_else_owns_our_packages(package: str) -> None:
    """`flows` and `tasks` are also distributions on PyPI; installed side by side they would be merged silently."""
    # An editable installation is a path and is listed for no package, so ours may be missing; another's may not be there.
    assert set(packages_distributions().get(package, ())) <= {PROJECT["name"]}
    (where,) = import_module(package).__path__
    assert Path(where) == CHECKOUT / package


def test_it_cannot_be_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def test_the_lock_names_no_host() -> None:
    """It has to work with whatever index a machine uses."""
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links|\s@\s|git\+", LOCK)


def test_every_row_of_the_lock_names_one_version() -> None:
    loose = [row for row in ROWS if not re.match(r"[A-Za-z0-9._\[\],-]+==\S+", row)]
    assert loose == []


@pytest.mark.parametrize("wanted", WANTED, ids=lambda requirement: requirement.name)
def test_the_lock_has_what_the_project_asks_for(wanted: Requirement) -> None:
    locked = LOCKED[canonicalize_name(wanted.name)]
    (version,) = [specifier.version for specifier in locked.specifier]
    assert version in wanted.specifier
