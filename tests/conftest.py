"""Fixtures that several folders of tests share; started only for those that ask for them."""

import pytest

from tests.stack import stack

__all__ = ["stack"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests that need the stack run on one worker, so that only one stack is started."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("stack"))
