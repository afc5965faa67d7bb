"""What a plan does by the clock: for which rollout, only when it makes sense, and once after the end."""

from datetime import timedelta

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed
from tasks import measure, operations, schedules
from tasks.operations import without_prefect
from tasks.workspace import open_ledger
from tests.tasks.stepping import Stepped

PLAN = """
chrysalis: 1
name: clocked
service: clocked
sources: {people: {manual: {}}}
metrics: {epsilon: {source: people, unit: x, query: epsilon}}
people: {ci: {roles: [ops]}}
operations: {strategy: {title: once, steps: [{notify: {name: ran, message: it ran}}]}}
reports: {week: {title: A week after, contents: [duration]}}
schedules:
  mondays: {run: strategy, cron: "0 9 * * 1", only_when: {threshold: {metric: epsilon, at_least: 1.0x}}}
  daily: {run: strategy, every: 1d}
  week_1: {run: week, after_completion: 7d}
phases: [{name: only, steps: [{notify: first}]}]
"""
pytestmark = pytest.mark.usefixtures("home")


def run(stepped: Stepped, name: str) -> list[str]:
    return list(schedules.run(stepped.id, name, without_prefect))


def did(stepped: Stepped) -> list[str]:
    return [one.action for one in open_ledger().actions(stepped.id) if one.action.startswith("schedule ")]


def end(stepped: Stepped, outcome: str, days_ago: float) -> None:
    at = utc_now() - timedelta(days=days_ago)
    open_ledger().set_state(stepped.id, stepped.token, state="ended", outcome=outcome, now=at)  # type: ignore[arg-type]


def test_it_runs_only_when_its_condition_holds_and_else_says_the_figure() -> None:
    stepped = Stepped(PLAN)
    measure.enter(stepped.id, "epsilon", 0.5, by="ci")
    with pytest.raises(schedules.NotNow, match=r"mondays runs nothing: epsilon 0\.5 x"):
        run(stepped, "mondays")
    assert did(stepped) == []
    measure.enter(stepped.id, "epsilon", 2.0, by="ci")
    assert run(stepped, "mondays")[0].startswith("ran: it ran")
    assert did(stepped) == ["schedule mondays"]


def test_it_goes_on_after_the_rollout_completed_and_a_person_may_not() -> None:
    stepped = Stepped(PLAN)
    end(stepped, "completed", 1)
    assert schedules.concerned("clocked") is not None
    assert run(stepped, "daily")[0].startswith("ran: it ran")
    with pytest.raises(NotAllowed, match="ended completed"):
        list(operations.run(stepped.id, "strategy", "ci"))


@pytest.mark.parametrize("outcome", ["rolled_back", "aborted"])
def test_what_was_taken_back_has_nothing_to_run_for(outcome: str) -> None:
    assert "no rollout of clocked was started" in schedules.why_not("clocked")
    stepped = Stepped(PLAN)
    end(stepped, outcome, 1)
    assert schedules.concerned("clocked") is None
    assert f"ended {outcome}" in schedules.why_not("clocked")


def test_what_follows_the_end_is_done_once_and_not_before_its_time() -> None:
    stepped = Stepped(PLAN)
    assert "has not completed yet" in run(stepped, schedules.AFTER_COMPLETION)[0]
    end(stepped, "completed", 6)
    assert run(stepped, schedules.AFTER_COMPLETION) == ["week_1: due in 1d"]


def test_after_its_time_it_is_reported_once() -> None:
    stepped = Stepped(PLAN)
    end(stepped, "completed", 8)
    assert run(stepped, schedules.AFTER_COMPLETION)[0].startswith("A week after")
    assert did(stepped) == ["schedule week_1"]
    assert run(stepped, schedules.AFTER_COMPLETION) == ["week_1: done before"]
    assert did(stepped) == ["schedule week_1"]
