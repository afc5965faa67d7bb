"""Mode ladders that the watch drives on a real configuration API, over restarts, phases and a target that is out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chrysalis.errors import SettingsError
from tasks.ladders import ask_for_mode, modes_now
from tasks.rolling_back import put_values_back
from tasks.set_mode import set_mode
from tests.tasks.service import Service, Watched, watched

PLAN = """
chrysalis: 1
name: quick
service: quick
targets: {config: {http_api: {url: "${SERVICE_URL}"}}}
sources: {service: {http: {url: "${SERVICE_URL}"}}}
metrics:
  first_token: {source: service, unit: ms, interval: 5s, query: "/measured#/first_token"}
  errors: {source: service, unit: "%", interval: 5s, query: "/measured#/errors"}
ladders:
  mode:
    target: config
    rungs:
      - mode: full
      - mode: lite
        enter: {when: {threshold: {metric: first_token, above: 450ms}}, for: 5s}
        recover: {when: {threshold: {metric: first_token, at_most: 450ms}}, for: 10s}
        values: {mode: lite, fusion: false}
      - mode: fallback
        enter: {when: {threshold: {metric: first_token, above: 700ms}}, for: 5s}
        recover: {when: {threshold: {metric: errors, below: 1%}}, for: 10s}
        values: {mode: fallback}
      - mode: baseline
        enter: {when: {threshold: {metric: errors, above: 5%}}, for: 10s}
        values: {orchestrator: baseline}
triggers:
  slow: {when: {threshold: {metric: first_token, above: 5s}}, respond: {step_down: {ladder: mode}}}
phases:
  - {name: first, steps: [{set_flag: {target: config, values: {release: 2}}}]}
  - {name: second, steps: [{set_flag: {target: config, values: {release: 3}}}, {set_mode: {ladder: mode, to: lite}}]}
"""
GOOD = {"first_token": 100.0, "errors": 0.0}
STOOD = {"mode": "full", "fusion": True, "orchestrator": "spiralogic", "release": 2}


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with watched(monkeypatch, PLAN, Service(dict(GOOD), dict(STOOD))) as seen:
        yield seen


def mode(run: Watched) -> str:
    return modes_now(run.bench.rollout.id)["mode"]


def test_it_goes_down_when_the_breach_lasted_and_up_when_it_was_stable_over_restarts_of_the_watch(run: Watched) -> None:
    run.tick(first_token=500)
    assert (mode(run), run.service.values["mode"]) == ("full", "full")
    run.tick()
    assert (mode(run), run.service.values["mode"], run.service.values["fusion"]) == ("lite", "lite", False)
    run.tick(first_token=100)
    run.tick()
    assert mode(run) == "lite"
    run.tick()
    assert (mode(run), run.service.values) == ("full", STOOD)


def test_a_better_modes_values_stay_further_down_and_each_move_is_recorded_with_its_cause(run: Watched) -> None:
    run.tick(first_token=800)
    run.tick()
    assert (mode(run), run.service.values["mode"], run.service.values["fusion"]) == ("fallback", "fallback", False)
    actions = run.bench.ledger.actions(run.bench.rollout.id)
    moved = next(one for one in actions if one.action == "ladder mode")
    assert (moved.actor, moved.before, moved.after) == ("watch", "full", "fallback")
    assert "800 ms" in str(moved.cause)
    assert "700 ms" in str(moved.cause)


def test_a_new_phase_does_not_forget_where_it_stands(run: Watched) -> None:
    run.tick(first_token=500)
    run.tick()
    run.enter("second")
    run.tick(first_token=100)
    assert mode(run) == "lite"
    run.tick()
    run.tick()
    assert run.service.values == STOOD


def test_no_data_moves_nothing(run: Watched) -> None:
    run.tick(first_token=500)
    run.tick()
    run.service.measured.clear()
    for _ in range(5):
        run.tick()
    assert mode(run) == "lite"


def test_only_a_person_leads_out_of_the_last_rung(run: Watched) -> None:
    for _ in range(3):
        run.tick(errors=9.0)
    assert (mode(run), run.service.values["orchestrator"]) == ("baseline", "baseline")
    for _ in range(10):
        run.tick(**GOOD)
    assert mode(run) == "baseline"
    said = ask_for_mode(run.bench.rollout.id, "fallback", ladder="", by="ada", reason="mended")
    assert said == "mode goes to fallback at the watch's next look"
    run.tick()
    assert (mode(run), run.service.values["orchestrator"]) == ("fallback", "spiralogic")
    assert run.bench.ledger.open_requests(run.bench.rollout.id) == ()
    assert [one.actor for one in run.bench.ledger.actions(run.bench.rollout.id)][-1] == "ada"


def test_a_step_moves_it_through_the_watch_and_waits_until_the_values_are_read_back(run: Watched) -> None:
    for _ in range(3):
        run.tick(errors=9.0)
    planned = run.bench.plan.step("second.02.set_mode")
    with ThreadPoolExecutor(1) as hands:
        moving = hands.submit(set_mode.body, run.bench, planned, planned.spec, {"mode": "baseline"})
        while not run.bench.ledger.open_requests(run.bench.rollout.id):
            assert not moving.done()
        run.tick(errors=0.0)
        assert moving.result(10).summary == "mode: baseline → lite, values read back"
    assert (mode(run), run.service.values["mode"], run.service.values["orchestrator"]) == ("lite", "lite", "spiralogic")


def test_the_way_back_leads_back_to_the_best_mode(run: Watched) -> None:
    run.tick(first_token=800)
    run.tick()
    assert mode(run) == "fallback"
    put_values_back.fn(run.bench.rollout.id, run.bench.token, "errors", "ada")
    assert run.service.values == STOOD


def test_the_way_back_leaves_a_last_rung_to_a_person(run: Watched) -> None:
    for _ in range(3):
        run.tick(errors=9.0)
    said = put_values_back.fn(run.bench.rollout.id, run.bench.token, "errors", "ada")
    assert said == "left in baseline: only a person leads out of it"
    assert run.service.values["orchestrator"] == "baseline"


def test_a_move_that_the_target_does_not_take_is_tried_again_and_not_counted(run: Watched) -> None:
    run.service.broken = True
    for _ in range(3):
        run.tick(first_token=500)
    assert (mode(run), run.service.values) == ("full", STOOD)
    run.service.broken = False
    run.tick()
    assert (mode(run), run.service.values["mode"]) == ("lite", "lite")


def test_a_trigger_steps_down_once_while_it_fires(run: Watched) -> None:
    run.service.measured |= {"first_token": 100.0}
    run.tick(first_token=6000)
    assert mode(run) == "lite"
    assert [write["mode"] for write in run.service.writes] == ["lite"]
    run.tick(first_token=500)
    assert mode(run) == "lite"


@pytest.mark.parametrize(
    ("ladder", "to", "said"),
    [("", "lit", "no mode 'lit'; it has: full, lite, fallback, baseline"), ("speed", "lite", "no ladder 'speed'")],
)
def test_an_unknown_mode_or_ladder_is_refused(run: Watched, ladder: str, to: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ask_for_mode(run.bench.rollout.id, to, ladder=ladder, by="ada", reason="")


def test_of_two_wishes_the_later_one_counts(run: Watched) -> None:
    for wish in ("fallback", "lite"):
        ask_for_mode(run.bench.rollout.id, wish, ladder="mode", by="ada", reason="")
    run.tick()
    assert (mode(run), [write["mode"] for write in run.service.writes]) == ("lite", ["lite"])
