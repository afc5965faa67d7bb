"""What a plan does by the clock, and phases that are skipped: each turn and each skip is in the journal with its reason."""

from datetime import UTC, datetime, timedelta

import pytest

from chrysalis.clock import utc_now
from gates.progress import Run
from tasks import measure
from tasks.decide import decide
from tasks.kinds import KINDS
from tasks.step import Done, Waiting
from tasks.wait_until import next_moment
from tasks.waits import Glance, settle
from tasks.windows import must_wait
from tasks.workspace import Workspace, open_ledger
from tests.tasks.stepping import Stepped

PLAN = """
chrysalis: 1
name: clocked
service: clocked
sources: {people: {manual: {}}}
metrics: {epsilon: {source: people, unit: x, query: epsilon}}
people: {ci: {roles: [ops]}}
operations: {strategy: {title: once, steps: [{notify: {name: ran, message: it ran}}]}}
phases:
  - name: optional
    skip_when: {threshold: {name: not worth it, metric: epsilon, below: 3.0x}}
    steps:
      - repeat: {name: mondays, operation: strategy, cron: "0 9 * * 1", times: 2}
  - name: rest
    steps: [{notify: the end}]
"""
pytestmark = pytest.mark.usefixtures("home")


def go(stepped: Stepped) -> tuple[str, Done | Waiting]:
    """Run what is next."""
    action = decide(stepped.id)
    assert isinstance(action, Run)
    planned = stepped.plan.step(action.step_id)
    return action.step_id, KINDS[planned.kind].task.fn(stepped.id, planned.id, stepped.token, planned.title)


def enter(stepped: Stepped, epsilon: float) -> None:
    measure.enter(stepped.id, "epsilon", epsilon, by="ci")


def look(stepped: Stepped, at: datetime) -> bool:
    """The watch looks at the newest wait at that time; whether it is over."""
    wait = open_ledger().waits(stepped.id)[-1]
    return settle(open_ledger(), Glance(Workspace.open(stepped.id, 0), wait, "", at), 0.0).over


def test_a_phase_that_is_not_worth_it_is_skipped_with_the_figure_as_reason() -> None:
    stepped = Stepped(PLAN)
    enter(stepped, 2.4)
    assert "2.4" in go(stepped)[1].summary  # type: ignore[union-attr]
    skipped = [entry for entry in open_ledger().journal(stepped.id) if entry.event == "skipped"]
    assert len(skipped) == 4
    assert all("2.4" in entry.detail["summary"] and "3" in entry.detail["summary"] for entry in skipped)
    assert go(stepped)[0] == "rest.01.notify"


def test_begun_to_skip_it_skips_the_rest_whatever_is_measured_by_now() -> None:
    stepped = Stepped(PLAN)
    at = utc_now()
    ledger, step = open_ledger(), "optional.01.wait_until"
    ledger.begin_step(stepped.id, stepped.token, step_id=step, kind="wait_until", detail={}, now=at)
    ledger.end_step(
        stepped.id, stepped.token, step_id=step, outcome="skipped", detail={"summary": "epsilon 2.4 < 3"}, now=at
    )
    enter(stepped, 5.8)
    assert go(stepped)[1] == Done("epsilon 2.4 < 3")
    assert sum(entry.event == "skipped" for entry in ledger.journal(stepped.id)) == 4


def test_worth_it_goes_on_and_unknown_waits() -> None:
    stepped = Stepped(PLAN)
    assert isinstance(go(stepped)[1], Waiting)
    enter(stepped, 5.8)
    open_ledger().close_wait(open_ledger().waits(stepped.id)[-1].id, "try again", now=utc_now())
    assert isinstance(go(stepped)[1], Done)
    assert go(stepped)[0] == "optional.01.wait_until"


def test_each_turn_waits_for_its_own_moment_and_runs_once() -> None:
    stepped = Stepped(PLAN)
    enter(stepped, 5.8)
    ran = [go(stepped)[0]]
    for _ in range(2):
        first = go(stepped)[1]
        again = go(stepped)[1]  # a process that died begins at the same wait
        assert isinstance(first, Waiting)
        assert isinstance(again, Waiting)
        assert first.wait_id == again.wait_id
        monday = next_moment("0 9 * * 1", utc_now())
        assert monday.strftime("%A %H:%M") == "Monday 09:00"
        assert not look(stepped, monday - timedelta(seconds=1))
        assert look(stepped, monday)
        ran += [go(stepped)[0], go(stepped)[0]]
    assert ran[1:] == ["optional.01.wait_until", "optional.02.notify", "optional.03.wait_until", "optional.04.notify"]
    assert go(stepped)[0] == "rest.01.notify"


def test_the_moment_is_the_next_one() -> None:
    monday = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert next_moment("0 9 * * 1", monday - timedelta(minutes=1)) == monday
    assert next_moment("0 9 * * 1", monday) == monday + timedelta(days=7)


FROZEN = """
chrysalis: 1
name: frozen
service: frozen
targets: {releases: {versions: {url: "http://127.0.0.1:9"}}}
freezes: [{first: 2020-01-01, last: 2099-12-31, why: sold}]
phases:
  - name: rehearsal
    environment: staging
    steps: [{deploy: {target: releases}}]
  - name: only
    steps: [{notify: still told}, {deploy: {target: releases}}]
rollbacks: {full: {steps: [{deploy: {target: releases, version: old}}]}}
"""


def test_what_brings_something_new_holds_in_a_freeze_and_nothing_else_does() -> None:
    """Neither staging nor a way back is kept from anything."""
    stepped = Stepped(FROZEN)
    workspace = Workspace.open(stepped.id, stepped.token)
    held = {step.id: must_wait(workspace, step, {}) for step in stepped.plan.all_steps}
    assert [step_id for step_id, wait in held.items() if wait is not None] == ["only.02.deploy"]
    said, seconds = held["only.02.deploy"] or ("", 0.0)
    assert said == "frozen until 2099-12-31: sold"
    assert seconds > 3600
