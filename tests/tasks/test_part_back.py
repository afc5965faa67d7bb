"""A way back in part, by a rollback that is named: its own steps each time, its proof, and then it holds."""

import pytest

from chrysalis.clock import utc_now
from tasks.kinds import KINDS
from tasks.part_back import finish_in_part, lower_in_part, steps_in_part
from tasks.rolling_back import ask
from tasks.workspace import Workspace, open_ledger
from tests.tasks.conftest import FakeRouter
from tests.tasks.stepping import Stepped

PLAN = """
chrysalis: 1
name: parted
service: parted
sources: {people: {manual: {}}}
metrics: {epsilon: {source: people, unit: x, query: epsilon}}
people: {nadia: {roles: [ops]}}
rollbacks:
  full: {}
  half: {weight: 30, limit: 5m, steps: [{notify: {name: halved, message: half of it}}]}
phases: [{name: only, steps: [{notify: first}]}]
"""


@pytest.fixture
def router(home: object, monkeypatch: pytest.MonkeyPatch) -> FakeRouter:
    fake = FakeRouter(60)
    monkeypatch.setattr(Workspace, "routers", lambda _: {"traffic": fake})
    return fake


def go_back(stepped: Stepped, router: FakeRouter, *, named: str | None) -> tuple[list[str], str]:
    """As the flow does it. Returns the titles of the steps, and what it says at the end."""
    router.percent = 60
    ask(stepped.id, "roll_back", by="nadia", reason="slow", to_percent=30, rollback=named)
    lower_in_part.fn(stepped.id, stepped.token, 30, "slow", "nadia")
    assert router.percent == 30
    steps = steps_in_part(stepped.id, stepped.token)
    for step in steps:
        KINDS[step.kind].task.fn(stepped.id, step.id, stepped.token, step.title)
    assert steps_in_part(stepped.id, stepped.token) == ()
    return [step.title for step in steps], finish_in_part.fn(stepped.id, stepped.token, 30, "slow", "nadia", "")


def test_it_does_the_rollbacks_own_steps_and_holds(router: FakeRouter) -> None:
    stepped = Stepped(PLAN)
    titles, said = go_back(stepped, router, named="half")
    assert titles == ["halved"]
    assert said.startswith("weight 30 %, read back; rollback half in ")
    assert said.endswith("within its limit of 5m")
    assert [one.kind for one in open_ledger().open_requests(stepped.id)] == ["pause"]


def test_a_second_time_its_steps_are_done_again(router: FakeRouter) -> None:
    stepped = Stepped(PLAN)
    go_back(stepped, router, named="half")
    for request in open_ledger().open_requests(stepped.id):
        open_ledger().settle_request(request.id, "resumed", now=utc_now())
    assert go_back(stepped, router, named="half")[0] == ["halved"]


def test_without_a_name_only_the_weight_goes_down(router: FakeRouter) -> None:
    assert go_back(Stepped(PLAN), router, named=None) == ([], "weight 30 %, read back")
