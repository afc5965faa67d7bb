"""What shall work: reminders, the limit, opening anew, looking again, standing in, an auditor's export, the commands."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from chrysalis.cli import main
from chrysalis.clock import utc_now
from chrysalis.people import codes
from chrysalis.people.statement import parse_statement
from tasks import approve, measure
from tasks.lifecycle import _take_answer
from tasks.prefect_api import Answer, Nudge
from tasks.sentry import Sentry
from tasks.step import Done, Waiting
from tasks.waits import Glance, looked_for, settle
from tasks.workspace import open_ledger
from tests.attacks.conftest import RULE, STEP, TEXT, Gate, OpenGate, workspace

TIMED = RULE.replace("]}", "], within: 2d, remind: 8h}")
SURVEY = "- threshold: {metric: survey, above: 4, statistic: last}"
BY_SURVEY = TEXT.replace(
    "all: [{threshold: {name: errors, metric: error_rate, below: 1%, statistic: last}}]", f"all: [{SURVEY[2:]}]"
)
assert BY_SURVEY != TEXT
Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command of ours; what it printed, or its error."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["chrysalis", *arguments])
        with contextlib.suppress(SystemExit):
            main()
        said = capsys.readouterr()
        return said.out + said.err

    return run


def glance(gate: Gate) -> Glance:
    """What the watch sees of the gate now."""
    (wait,) = gate.bench.ledger.waits(gate.bench.rollout.id)
    return Glance(workspace(gate), wait, "", utc_now())


@pytest.mark.parametrize(
    ("signed", "woken"),
    [
        pytest.param([("dmitri", "approve")], False, id="one of two has approved"),
        pytest.param([("dmitri", "approve"), ("pia", "approve")], True, id="both have approved"),
        pytest.param([("pia", "reject")], True, id="one has refused"),
    ],
)
def test_the_watch_wakes_a_run_that_slept_when_it_was_decided(
    gate: Gate, signed: list[tuple[str, str]], woken: bool
) -> None:
    """Whoever signed came just before the run fell asleep, and could wake nobody. The watch tries until it goes on."""

    def sign() -> None:
        for person, decision in signed:
            gate.sign(person, decision)

    assert nudges(gate, sign, (1, 5)) == ([Nudge("the wait is over")] * 2 if woken else [])


def nudges(gate: Gate, meanwhile: Callable[[], object], seconds: Sequence[float]) -> list[Nudge]:
    """What a watch wakes the gate's sleeping run with, if `meanwhile` happens after its first tick and it ticks at these."""
    woken: list[Nudge] = []
    ledger, rollout_id, now = gate.bench.ledger, gate.bench.rollout.id, utc_now()
    ledger.attach_flow_run(rollout_id, "run-1", now=now)
    ledger.set_state(rollout_id, gate.bench.token, state="waiting", now=now)
    sentry = Sentry(ledger, lambda _, nudge: bool(woken.append(nudge)), "watch-1", 1.0)
    sentry.tick(now, 0.0)
    meanwhile()
    for second in seconds:
        sentry.tick(now + timedelta(seconds=second), second)
    sentry.waker.close(wait=True)
    sentry.close()
    return woken


def test_reminders_are_sent_once_each_and_say_who_is_missing(open_gate: OpenGate) -> None:
    gate = open_gate(TIMED, ago=timedelta(hours=17))
    for _ in range(3):
        settle(gate.bench.ledger, glance(gate), 0.0)
    assert gate.told == ["[quick-1] sign-off go waits"]


def test_the_limit_pages_once_and_opening_anew_asks_everybody_again(open_gate: OpenGate, say: Say) -> None:
    gate = open_gate(TIMED, ago=timedelta(days=1))
    gate.sign("pia")
    (wait,) = gate.bench.ledger.waits(gate.bench.rollout.id)
    assert "is not over" in say("sign-offs", "open", "quick-1", "--as", "kim")
    late = Glance(workspace(gate), wait, "", utc_now() + timedelta(days=1, seconds=1))
    assert looked_for(late, 0.0) == ()
    settle(gate.bench.ledger, late, 0.0)
    settle(gate.bench.ledger, Glance(workspace(gate), gate.bench.ledger.waits("quick-1")[0], "", late.now), 0.0)
    assert [one for one in gate.told if "takes no approval" in one] == [
        "[quick-1] sign-off go is not complete after 2d; it holds and takes no approval"
    ]


def test_opened_anew_everybody_signs_again(open_gate: OpenGate, say: Say) -> None:
    gate = open_gate(TIMED, ago=timedelta(days=3))
    assert "go is open again" in say("sign-offs", "open", "quick-1", "--as", "kim")
    assert gate.sign("pia").role == "product_owner"
    assert gate.tally().missing == ("devops_lead",)


def test_what_was_signed_for_is_measured_again_before_it_counts(open_gate: OpenGate) -> None:
    """Everybody has signed, and in the last moment the survey falls: the rollout waits, and both sign anew."""
    gate = open_gate(text=BY_SURVEY)
    measure.enter("quick-1", "survey", 4.6, by="kim")
    gate.sign("pia")
    gate.sign("dmitri")
    measure.enter("quick-1", "survey", 2.0, by="kim")
    held = approve.run(gate.bench, *approve.pending(gate.bench), {})
    assert isinstance(held, Waiting)
    assert "devops_lead, product_owner" in held.reason
    assert "[quick-1] pia: your sign-off of go is void" in gate.told
    measure.enter("quick-1", "survey", 4.8, by="kim")
    approve.look_again(gate.bench, gate.bench.plan.step(STEP))
    gate.sign("pia")
    gate.sign("dmitri")
    assert isinstance(approve.run(gate.bench, *approve.pending(gate.bench), {}), Done)


def test_the_watch_looks_again_while_signatures_are_waited_for(open_gate: OpenGate) -> None:
    gate = open_gate(TIMED, text=BY_SURVEY, ago=timedelta(minutes=1))
    measure.enter("quick-1", "survey", 4.6, by="kim")
    gate.sign("pia")
    measure.enter("quick-1", "survey", 2.0, by="kim")
    assert nudges(gate, lambda: None, ()) == []
    assert [one.void is not None for one in gate.bench.ledger.sign_offs("quick-1")] == [True]


def test_where_only_an_answer_is_missing_the_watch_asks_for_it_and_nobody_signs_again(open_gate: OpenGate) -> None:
    """Everybody has signed, and in that moment the measurement cannot be had; soon afterwards it can."""
    gate = open_gate(text=BY_SURVEY)
    measure.enter("quick-1", "survey", 4.6, by="kim")
    gate.sign("pia")
    gate.sign("dmitri")
    gate.findings("INCONCLUSIVE", "no data")
    held = approve.run(gate.bench, *approve.pending(gate.bench), {})
    assert isinstance(held, Waiting)
    assert "an answer: some.04.gate, errors cannot be judged" in held.reason
    assert nudges(gate, lambda: None, (1,)) == []
    assert nudges(gate, lambda: None, (3, 4)) == [Nudge("the wait is over")]
    assert isinstance(approve.run(gate.bench, *approve.pending(gate.bench), {}), Done)


def test_an_answer_is_taken_once_also_when_its_process_died_after_it(gate: Gate) -> None:
    """The flow begins again and reads the same answer: it was taken, and is not refused as used."""
    answer = Answer({"decision": "approve", "approver": "pia", "code": gate.code("pia")}, utc_now())
    (wait,) = gate.bench.ledger.waits("quick-1")
    for _ in range(2):
        _take_answer(gate.bench, wait, "wait-1-1", answer)
    assert gate.approved == ("pia",)
    assert gate.recorded() == []


def test_a_code_counts_by_when_it_was_entered(gate: Gate) -> None:
    """A worker that takes three minutes to start does not make it late."""
    then = utc_now() - timedelta(minutes=3)
    entered = Answer({"decision": "approve", "approver": "pia", "code": codes.code_at(gate.secrets["pia"], then)}, then)
    _take_answer(gate.bench, gate.bench.ledger.waits("quick-1")[0], "wait-1-1", entered)
    assert gate.approved == ("pia",)


def test_an_auditor_verifies_with_ssh_keygen_alone(gate: Gate, say: Say, tmp_path: Path) -> None:
    key = str(gate.key_file)
    assert "as devops_lead; still needs product_owner" in say(
        "approve", "quick-1", "--as", "dmitri", "--comment", 'it\'s "fine"\nreally', "--ssh-key", key
    )
    assert "approve by pia as product_owner" in say("approve", "quick-1", "--as", "pia", "--code", gate.code("pia"))
    folder = tmp_path / "audit"
    assert "1 signature(s)" in say("sign-offs", "export", "quick-1", str(folder))
    (signed,) = folder.glob("*.txt")
    assert parse_statement(signed.read_text()).comment == 'it\'s "fine"\nreally'

    def verified() -> bool:
        return (
            subprocess.run(["sh", str(folder / "verify.sh")], capture_output=True, check=False, cwd=tmp_path).returncode == 0
        )

    assert verified()
    signed.write_text(signed.read_text().replace("decision: approve", "decision: reject"))
    assert not verified()


def test_a_text_signed_on_another_machine(gate: Gate, say: Say, tmp_path: Path) -> None:
    text = tmp_path / "go.txt"
    text.write_text(say("sign-offs", "text", "quick-1", "--as", "dmitri", "--comment", "go"))
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "chrysalis-sign-off", "-f", str(gate.key_file), str(text)]
    subprocess.run(sign, check=True, capture_output=True)
    given = ("--text", str(text), "--signature", f"{text}.sig")
    assert "the signed text is of something else" in say("approve", "quick-1", "--as", "dmitri", *given)
    assert "as devops_lead" in say("approve", "quick-1", "--as", "dmitri", "--comment", "go", *given)


def test_people_on_the_command_line(gate: Gate, say: Say) -> None:
    assert say("people", "enrol", "ravi", "--as", "kim").startswith("otpauth://totp/Chrysalis:ravi?secret=")
    assert "'zed' is not in the people file" in say("people", "enrol", "zed", "--as", "kim")
    assert "ravi signs for pia until" in say(
        "people", "delegate", "pia", "ravi", "--for", "3d", "--reason", "away", "--as", "kim"
    )
    assert "--for: " in say("people", "delegate", "pia", "ravi", "--for", "soon", "--as", "kim")
    listed = say("people", "list")
    assert "dmitri       code, ssh  devops_lead" in listed
    assert "delegation 1: ravi signs for pia until" in listed
    assert "ravi" in say("show", "quick-1")
    assert "no longer signs" in say("people", "revoke", "1", "--as", "kim")
    assert "ravi is not enrolled any more" in say("people", "unenrol", "ravi", "--as", "kim")
    told = json.loads(say("people", "list", "--json"))
    assert [one["proof"] for one in told["people"] if one["name"] in ("dmitri", "ravi")] == [["code", "ssh"], []]
    actions = [entry.action for entry in open_ledger().audit()]
    assert {"person_enrolled", "person_unenrolled", "delegated", "delegation_ended"} <= set(actions)
