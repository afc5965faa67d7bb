"""One desk at the session's stack for all tests of the flows; each test leaves it as it found it."""

from collections.abc import Iterator

import pytest

from tests.desk import Desk, at_desk, tidy
from tests.stack import RunningStack


@pytest.fixture(scope="module")
def module_desk(stack: RunningStack) -> Iterator[Desk]:
    with at_desk(stack, ["quick", "steps", "checked"]) as desk:
        yield desk


@pytest.fixture
def desk(module_desk: Desk) -> Iterator[Desk]:
    """A desk with nothing under way, before and after."""
    yield module_desk
    tidy(module_desk)
