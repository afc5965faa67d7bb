"""What a step or a gate does that cannot come about: back in reverse when it failed, held when nothing is known."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.desk import Desk
from tests.stack import SPEED, until
from tests.targets.lying_target import LyingTarget, lying_target

WAITING = ("--as", "ci", "--speed", str(SPEED), "--wait", "--timeout", "90")


@pytest.fixture
def targets(desk: Desk) -> Iterator[tuple[LyingTarget, LyingTarget]]:
    """The two APIs that the plan `steps` changes: the first honest, the second as the test says."""
    with ExitStack() as running:
        honest = running.enter_context(lying_target({"one": "off", "two": "off", "four": "off"}, "honest"))
        doubtful = running.enter_context(lying_target({"mode": "legacy"}, "honest"))
        desk.variable("HONEST_URL", honest.url)
        desk.variable("DOUBTFUL_URL", doubtful.url)
        yield honest, doubtful


def test_a_target_that_lies_about_a_write_is_found_out_and_all_is_undone_in_reverse(
    desk: Desk, targets: tuple[LyingTarget, LyingTarget]
) -> None:
    """Exit code 10, and a line with what was written and what reads back."""
    honest, doubtful = targets
    doubtful.manner = "deaf"
    waiting = desk.begin("start", "steps", "--version", "lies", "--json", *WAITING)
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 10, err
    assert honest.writes == [{"one": "on"}, {"two": "on"}, {"two": "off"}, {"one": "off"}]
    (ended,) = [one for one in desk.stack.ledger.history(20) if one.version == "lies"]
    assert f'"id": "{ended.id}"' in out
    assert "step 3 (three)" in ended.status_text
    assert "wrote 'hybrid', reads back 'legacy'" in ended.status_text
    assert "Traceback" not in err
    assert "first.05.set_flag" not in desk.events(ended.id, "begun")


def test_a_gate_whose_sources_fail_holds_says_why_and_an_abort_ends_it(
    desk: Desk, targets: tuple[LyingTarget, LyingTarget]
) -> None:
    """An unreachable Prometheus and a wrong SQL query are not known, never passed and never rolled back; abort is 12."""
    honest, _ = targets
    waiting = desk.begin("start", "steps", "--version", "blind", *WAITING)
    until(lambda: any(one.version == "blind" for one in desk.stack.ledger.active()), "the rollout")
    (rollout,) = [one for one in desk.stack.ledger.active() if one.version == "blind"]
    until(lambda: desk.open_wait(rollout.id) == "gate", "the gate to hold")
    (found,) = [one.findings for one in desk.stack.ledger.findings(rollout.id)][-1:]
    assert [one["verdict"] for one in found] == ["INCONCLUSIVE", "INCONCLUSIVE"]
    assert "127.0.0.1:9" in found[0]["reason"]
    assert "no_such_table" in found[1]["reason"]
    assert desk.say("abort", rollout.id, "--as", "nadia", "--reason", "no data").code == 0
    out, err = waiting.communicate(timeout=90)
    assert (waiting.returncode, "Traceback" in err) == (12, False), err
    assert out.splitlines()[-1] == f"{rollout.id}: aborted: no data"
    assert honest.writes == [{"one": "on"}, {"two": "on"}]
