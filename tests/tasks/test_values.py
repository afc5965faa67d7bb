"""Values that the watch changes for a trigger, and puts back when the trigger has recovered and on the way back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chrysalis.errors import TargetError
from tasks.rolling_back import put_values_back, values_changed
from tests.tasks.service import Service, Watched, watched

PLAN = """
chrysalis: 1
name: quick
service: quick
targets: {config: {http_api: {url: "${SERVICE_URL}"}}}
sources: {service: {http: {url: "${SERVICE_URL}"}}}
metrics:
  rate: {source: service, unit: "/h", interval: 5s, query: "/measured#/rate"}
triggers:
  busy:
    when: {threshold: {metric: rate, above: 20/h}}
    respond: {throttle: {target: config, setting: share, to: 0.5}}
    recover: {when: {threshold: {metric: rate, below: 10/h}}, for: 10s}
  very_busy:
    when: {threshold: {metric: rate, above: 50/h}}
    respond: {set_value: {target: config, changes: {share: 0.25, budget: 5}}}
    recover: {when: {threshold: {metric: rate, below: 40/h}}, for: 5s}
  for_good:
    when: {threshold: {metric: rate, above: 90/h}}
    respond: {switch_off: {target: config, feature: search}}
phases:
  - {name: first, steps: [{set_flag: {target: config, values: {release: 2, search: true}}}]}
  - {name: second, steps: [{set_flag: {target: config, values: {release: 3}}}]}
"""
STOOD = {"share": 1.0, "budget": 9, "search": True}


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with watched(monkeypatch, PLAN, Service({"rate": 0.0}, dict(STOOD))) as seen:
        yield seen


def test_a_throttle_is_lifted_when_its_trigger_has_recovered_for_its_own_time(run: Watched) -> None:
    run.tick(rate=30)
    assert run.service.values["share"] == 0.5
    run.tick(rate=5)
    run.tick()
    assert run.service.values["share"] == 0.5
    run.tick()
    assert run.service.values == STOOD
    set_by_watch = [(one.before, one.after) for one in run.bench.ledger.actions(run.bench.rollout.id)]
    assert set_by_watch == [({"share": 1.0}, {"share": 0.5}), ({"share": 0.5}, {"share": 1.0})]


def test_it_is_remembered_over_a_change_of_phase(run: Watched) -> None:
    run.tick(rate=30)
    run.enter("second")
    for _ in range(4):
        run.tick(rate=5)
    assert run.service.values == STOOD


def test_what_was_answered_is_not_answered_again_in_the_next_phase(run: Watched) -> None:
    run.tick(rate=30)
    run.service.values["share"] = 0.8
    run.enter("second")
    run.tick()
    assert run.service.values["share"] == 0.8


def test_a_value_that_somebody_set_meanwhile_is_left(run: Watched) -> None:
    run.tick(rate=30)
    run.service.values["share"] = 0.8
    for _ in range(4):
        run.tick(rate=5)
    assert run.service.values["share"] == 0.8


def test_two_that_changed_the_same_value_leave_nothing_behind(run: Watched) -> None:
    run.tick(rate=30)
    run.tick(rate=60)
    assert (run.service.values["share"], run.service.values["budget"]) == (0.25, 5)
    for _ in range(5):
        run.tick(rate=5)
    assert run.service.values == STOOD


def test_without_recover_it_stays_as_the_watch_set_it(run: Watched) -> None:
    run.tick(rate=100)
    for _ in range(5):
        run.tick(rate=5)
    assert run.service.values["search"] is False


def test_what_cannot_be_put_back_is_tried_again(run: Watched) -> None:
    run.tick(rate=30)
    run.service.broken = True
    for _ in range(4):
        run.tick(rate=5)
    assert run.service.values["share"] == 0.5
    run.service.broken = False
    run.tick()
    assert run.service.values == STOOD


def go_back(run: Watched) -> str:
    return put_values_back.fn(run.bench.rollout.id, run.bench.token, "errors", "nadia")


def test_the_way_back_puts_back_what_the_watch_changed_also_without_recover(run: Watched) -> None:
    for rate in (30, 60, 100):
        run.tick(rate=rate)
    assert run.service.values == {"share": 0.25, "budget": 5, "search": False}
    assert values_changed(run.bench.rollout.id, run.bench.token)
    assert set(go_back(run).split(", ")) == {"config share=1.0", "config budget=9", "config search=True"}
    assert run.service.values == STOOD
    assert not values_changed(run.bench.rollout.id, run.bench.token)
    last = run.bench.ledger.actions(run.bench.rollout.id)[-1]
    assert (last.actor, last.cause) == ("nadia", "way back: errors")


def test_the_way_back_leaves_what_somebody_set_meanwhile(run: Watched) -> None:
    run.tick(rate=60)
    run.service.values["share"] = 0.8
    assert go_back(run) == "config budget=9"
    assert run.service.values == {**STOOD, "share": 0.8}


def test_a_step_undone_between_two_changes_goes_all_the_way_back(run: Watched) -> None:
    run.tick(rate=30)
    run.service.values["share"] = 0.9
    run.tick(rate=60)
    assert run.service.values["share"] == 0.25
    run.service.values["share"] = 0.5
    go_back(run)
    assert run.service.values == STOOD


def test_there_is_nothing_to_put_back_where_nothing_was_changed(run: Watched) -> None:
    run.tick(rate=5)
    assert not values_changed(run.bench.rollout.id, run.bench.token)


def test_a_way_back_that_cannot_write_is_not_done(run: Watched) -> None:
    run.tick(rate=30)
    run.service.broken = True
    with pytest.raises(TargetError):
        go_back(run)
    assert values_changed(run.bench.rollout.id, run.bench.token)
    run.service.broken = False
    go_back(run)
    assert run.service.values == STOOD
