"""The commands of a day, on one rollout that waits for its sign-off: look, refuse, operate, measure, reject."""

from collections.abc import Iterator

import httpx
import pytest

from tests.desk import Desk, at_desk, tidy
from tests.stack import SPEED, RunningStack, until


def config(desk: Desk) -> dict[str, object]:
    """The service's configuration as it says itself."""
    answer: dict[str, object] = httpx.get(desk.stack.sandbox.state.urls["service"] + "/api/config", trust_env=False).json()
    return answer


@pytest.fixture(scope="module")
def desk(stack: RunningStack) -> Iterator[Desk]:
    with at_desk(stack, ["quick"]) as desk:
        yield desk
        tidy(desk)


@pytest.fixture(scope="module")
def waiting(desk: Desk) -> str:
    """A rollout that waits for its sign-off. The tests below use it in order; the last one rejects it."""
    rollout = desk.start("quick", "day-1")
    desk.await_sign_off(rollout.id)
    return rollout.id


def test_the_same_release_again_is_the_same_rollout(desk: Desk, waiting: str) -> None:
    again = desk.say("start", "quick", "--version", "day-1", "--as", "ci", "--speed", str(SPEED), "--json")
    assert (again.code, again.json["id"], again.json["created"]) == (0, waiting, False)


def test_a_second_rollout_of_the_service_is_refused(desk: Desk, waiting: str) -> None:
    before = desk.stack.ledger.history()
    error = desk.say("start", "quick", "--version", "day-2", "--as", "ci").error
    assert waiting in error
    assert "chrysalis abort" in error
    assert desk.stack.ledger.history() == before


def test_status_names_it_and_the_watch(desk: Desk, waiting: str) -> None:
    said = desk.say("status", "--json").json
    assert [(one["id"], one["weight_percent"], one["state"]) for one in said["rollouts"]] == [(waiting, 30, "waiting")]
    assert said["watch_seen_s_ago"] < 10
    assert waiting in desk.say("status").out


def test_show_says_what_it_waits_for_and_who_may_sign(desk: Desk, waiting: str) -> None:
    (wait,) = desk.say("show", waiting, "--json").json["waits"]
    assert (wait["kind"], wait["missing"]) == ("sign_off", ["devops_lead", "product_owner"])
    assert wait["may_sign"] == ["ada", "dmitri", "pia"]
    said = desk.say("show", waiting).out
    assert "devops_lead, product_owner" in said
    assert "who may: ada, dmitri, pia" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("operate", "no_such"), "no operation 'no_such'; it has: half, legacy_mode", id="operation"),
        pytest.param(("measure", "no_such", "4"), "no metric 'no_such'", id="unknown metric"),
        pytest.param(("measure", "error_rate", "4"), "only metrics of a manual source", id="metric of a source"),
        pytest.param(("measure", "survey", "nan"), "expected a number", id="no number"),
        pytest.param(("trigger", "no_such"), "is not watched now; by hand: vulnerability", id="unknown trigger"),
        pytest.param(("trigger", "errors"), "is not set off by hand", id="trigger of a metric"),
        pytest.param(("resume",), "is not paused", id="resume of one that is not paused"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_changes_nothing(
    desk: Desk, waiting: str, arguments: tuple[str, ...], says: str
) -> None:
    command, *more = arguments
    before = (desk.rollout(waiting), desk.stack.ledger.audit_head())
    assert says in desk.say(command, waiting, *more).error
    assert (desk.rollout(waiting), desk.stack.ledger.audit_head()) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("--as", "mallory"), "'mallory' may not sign", id="somebody who is not listed"),
        pytest.param(("--as", "ravi"), "it needs devops_lead, product_owner", id="a role that may not"),
        pytest.param(("--as", "pia", "--role", "devops_lead"), "'pia' may not sign", id="a role not held"),
    ],
)  # fmt: skip
def test_who_may_not_is_told_in_one_line_and_it_is_in_the_record(
    desk: Desk, waiting: str, arguments: tuple[str, ...], says: str
) -> None:
    """The refusal is the one entry that is new, and nothing else changed."""
    ledger = desk.stack.ledger
    before, head = desk.rollout(waiting), ledger.audit_head()
    assert says in desk.say("approve", waiting, *arguments).error
    assert (desk.rollout(waiting), ledger.sign_offs(waiting)) == (before, ())
    refused = [entry for entry in ledger.audit(head.seq) if entry.action.startswith("refused")]
    assert [entry.actor for entry in refused] == [arguments[1]]


def test_a_measurement_that_people_make_is_kept(desk: Desk, waiting: str) -> None:
    said = desk.say("measure", waiting, "survey", "4.6", "--as", "ravi")
    assert said.out == f"{waiting}: survey is 4.6, entered by ravi\n"
    (kept,) = [one for one in desk.stack.ledger.baselines(waiting) if one.metric == "survey"]
    assert kept.samples == {"value": 4.6, "by": "ravi"}


def test_the_documents_operations_have_their_effect_now(desk: Desk, waiting: str) -> None:
    """One feature off, legacy mode, part of the traffic; each in the record."""
    assert desk.say("operate", waiting, "one_feature_off", "--as", "nadia", "--json").json["operation"] == "one_feature_off"
    assert config(desk)["features"]["emergence"] is False  # type: ignore[index]
    assert desk.say("operate", waiting, "legacy_mode", "--as", "nadia").code == 0
    assert config(desk)["mode"] == "legacy"
    assert desk.say("operate", waiting, "half", "--as", "nadia").code == 0
    assert desk.weight == 20
    assert {one.action for one in desk.stack.ledger.actions(waiting)} >= {"operation legacy_mode", "make_safe"}


def test_a_pause_holds_and_a_resume_goes_on(desk: Desk, waiting: str) -> None:
    assert desk.say("pause", waiting, "--as", "nadia", "--reason", "lunch", "--json").json["did"].startswith("holds")
    assert "lunch" in desk.say("show", waiting).out
    assert desk.say("resume", waiting, "--as", "nadia", "--json").json["did"] == "goes on; 1 pause(s) settled"


def test_a_rejection_takes_it_back_and_the_one_who_waits_gets_11(desk: Desk, waiting: str) -> None:
    """The same start, repeated with --wait, waits for the end of the same rollout."""
    starting = desk.begin("start", "quick", "--version", "day-1", "--as", "ci", "--wait", "--timeout", "90", "--json")
    desk.await_sign_off(waiting)
    assert desk.say("reject", waiting, "--as", "pia", "--comment", "not now").code == 0
    out, err = starting.communicate(timeout=120)
    assert starting.returncode == 11, err
    assert '"outcome": "rejected"' in out
    assert desk.weight == 0
    newest = desk.say("history", "--service", "quick", "--limit", "1", "--json").json[0]
    assert (newest["id"], newest["status"].endswith("rejected by pia: not now")) == (waiting, True)
    for command in ("approve", "rollback", "abort", "pause", "resume"):
        assert waiting in desk.say(command, waiting, "--as", "pia").error
    until(lambda: desk.stack.state(desk.rollout(waiting).flow_run_id or "") == ("FAILED", "Rejected"), "a red run")
