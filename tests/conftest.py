"""Fixtures that several folders of tests share; started only for those that ask for them."""

import pytest

import tests.gates.examples  # noqa: F401
from tests.stack import stack

__all__ = ["stack"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that needs the stack: `make test` runs them after the others, in one process and with one stack."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
