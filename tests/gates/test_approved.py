"""Every kind of condition says of every kind of series what was approved, to the word."""

import pytest

from tests.gates.approved import CONDITIONS, DECISIONS, FITS, approved, decisions, fits

EACH = pytest.mark.parametrize("name", CONDITIONS)


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    return approved(DECISIONS)


@pytest.fixture(scope="module")
def fitting() -> dict[str, list[str]]:
    return approved(FITS)


@EACH
def test_decisions(name, said):
    assert list(decisions(name)) == said[name]


@EACH
def test_needs_and_problems(name, fitting):
    assert list(fits(name)) == fitting[name]
