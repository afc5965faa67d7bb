"""The short version of `make chaos`: each step of a short plan crashes inside its effect; two take a rollout up at once."""

import json
import subprocess
import sys
from pathlib import Path

from chrysalis.plan import load_plan
from chrysalis.sandbox.profiles import Profile, load_profile
from chrysalis.settings import CHECKOUT
from tests.chaos.campaign import WORKERS, Forked, Staffed
from tests.chaos.points import EFFECTS, LOOKED_AGAIN, UNDO_EFFECTS, Mark, walks
from tests.chaos.record import Record, Write, differences
from tests.stack import PLANS

CRYSTAL = CHECKOUT / "deployments" / "crystal" / "plan.yaml"


def test_killed_anywhere_it_ends_as_it_would_have(tmp_path: Path) -> None:
    """In a process of its own: it ends every process below itself."""
    result = tmp_path / "chaos.json"
    command = [sys.executable, "-m", "tests.chaos", "--short", "--json", str(result)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=360, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    tally = json.loads(result.read_text())
    assert tally["points"] == tally["passed"] == 37
    assert tally["failures"] == []


def test_the_points_of_crystal_come_from_its_plan(tmp_path: Path) -> None:
    campaign = Forked(CRYSTAL, load_profile("crystal"), tmp_path / "chaos.json", lambda _text: None)
    steps = load_plan(CRYSTAL).plan.itinerary
    for victim in ("self", "ledger"):
        marks = [
            mark for one in campaign.planned.values() if (one.way, one.victim) == ("forward", victim) for mark in one.marks
        ]
        for step in steps:
            mine = {(mark.what, mark.when) for mark in marks if mark.place == step.id and mark.process == "flow"}
            effects = {(what, when) for what, whens in EFFECTS[step.kind] for when in whens}
            ends = {(what, when) for what in ("step_begun", "step_ended") for when in ("uncommitted", "committed")}
            again = {(what, when) for what, whens in LOOKED_AGAIN for when in whens} if step.kind == "sign_off" else set()
            assert mine == effects | again | ends
    undone = {mark.place for one in campaign.planned.values() if one.way == "back" for mark in one.marks}
    assert undone >= {f"undo.{step.id}" for step in steps[:62] if step.kind in UNDO_EFFECTS}


def test_a_worker_is_killed_at_every_step_of_the_short_plan(tmp_path: Path) -> None:
    """Alone in one walk each way; with the flow's process dealt out, since then the step crashes."""
    short = PLANS / "quick" / "plan.yaml"
    campaign = Staffed(short, Profile("quick", 1.0), tmp_path / "chaos.json", lambda _text: None, victims=WORKERS)
    for way, marks in campaign.ways.items():
        alone, *others = [
            [one.marks for one in campaign.planned.values() if (one.way, one.victim) == (way, victim)] for victim in WORKERS
        ]
        (all_marks,) = alone
        assert [sorted(map(str, all_marks))] == [
            sorted(str(mark) for group in groups for mark in group) for groups in others
        ]
        begun = {str(mark) for mark in marks if (mark.what, mark.when) == ("step_begun", "committed")}
        assert begun <= {str(mark) for mark in all_marks}
        assert {mark.process for mark in all_marks} == {"flow"}


def test_no_walk_has_two_marks_of_one_place() -> None:
    marks = [Mark("flow", place, "step_begun", when) for place in ("a", "b") for when in ("uncommitted", "committed")]
    marks.append(Mark("watch", "a", "wait_closed", "committed"))
    dealt = list(walks(marks))
    assert [mark for group in dealt for mark in group if mark not in marks] == []
    assert sum(map(len, dealt)) == len(marks)
    assert all(len({(mark.process, mark.place) for mark in group}) == len(group) for group in dealt)


def record(**changed: object) -> Record:
    plain: dict[str, object] = {
        "outcome": "completed",
        "weight": 100,
        "configuration": {"mode": "crystal"},
        "schema": [],
        "tables": [],
        "references": [],
        "envoy": [Write(1, "a", "30 %"), Write(2, "b", "60 %")],
        "config_writes": [],
        "notices": ["begun"],
        "not_opened": [],
        "done": ["a", "b"],
        "begun_first": ["a", "b"],
        "ends": {"a": "done", "b": "done"},
        "sign_offs": [("s", "pia", "approve")],
        "soaks": {},
    }
    return Record(**{**plain, **changed})  # type: ignore[arg-type]


def test_a_repeat_of_the_same_value_is_no_difference() -> None:
    repeated = [Write(1, "a", "30 %"), Write(2, "a", "30 %"), Write(2, "b", "60 %")]
    assert differences(record(envoy=repeated, notices=["begun", "begun"]), record()) == []


def test_what_a_crash_may_not_do_is_found() -> None:
    back_and_forth = [Write(1, "a", "30 %"), Write(2, "b", "60 %"), Write(2, "a", "30 %")]
    stale = [Write(2, "a", "30 %"), Write(1, "b", "60 %")]
    for changed in (
        {"envoy": back_and_forth},
        {"envoy": stale},
        {"done": ["a", "a", "b"]},
        {"sign_offs": []},
        {"notices": []},
        {"not_opened": ["rolling back: b"]},
        {"outcome": "rolled_back"},
        {"configuration": {"mode": "legacy"}},
    ):
        assert len(differences(record(**changed), record())) == 1, changed
