"""One real sandbox for all tests of a package, put back to normal after each; imported by the packages' conftest files."""

import itertools
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from chrysalis.sandbox.layout import SIDES
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.base import Stamp

_TOKENS = itertools.count(1)
WAIT_S = 60.0


@pytest.fixture(scope="package")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Started once for the package, and stopped behind it: its load would slow whatever comes next."""
    settings = SandboxSettings(rate_rps=60, restart_after_s=0.1, scrape_interval_s=0.5)
    with Sandbox.start(tmp_path_factory.mktemp("sandbox"), settings=settings) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The running sandbox at 0 %, without faults."""
    yield running_sandbox
    for side in SIDES:
        running_sandbox.clear_faults(side)
    running_sandbox.set_load(rate_rps=60, header_share=0.0)
    with running_sandbox.router() as router:
        until(lambda: router.read() is not None)
        router.write(0, new_stamp())


def new_stamp(step: str = "hybrid.01") -> Stamp:
    """A stamp with a token newer than all before."""
    return Stamp(next(_TOKENS), "crystal-1", step)


def query(sandbox: Sandbox, text: str) -> list[dict[str, str]]:
    """The labels of each series in Prometheus's answer, with its value as `value`."""
    answer = httpx.get(sandbox.state.urls["prometheus"] + "/api/v1/query", params={"query": text}).json()
    return [{**row["metric"], "value": row["value"][1]} for row in answer["data"]["result"]]


def until(reached: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    """Return when it is so; fail the test when it does not come about."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.02)
