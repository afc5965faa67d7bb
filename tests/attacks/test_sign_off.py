"""Attacks on a sign-off. After each: nothing approved that was not before, and an audit entry that says who tried what."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed
from chrysalis.people import codes
from gates.signoff import TRIES
from tasks import approve, people
from tasks.proof import Code
from tests.attacks.conftest import RULE, STEP, Gate, OpenGate, Refused, new_key, workspace

SSH = RULE.replace("]}", "], proof: ssh}")
CODE = RULE.replace("]}", "], proof: code}")


def harmless(gate: Gate, *approved: str, tried: int = 1) -> None:
    """Only these have approved, and each try is in the audit, whose chain holds."""
    assert gate.approved == approved
    assert len(gate.recorded()) == tried
    assert gate.bench.ledger.verify_audit() == []


def test_a_forged_name(gate: Gate, refused: Refused) -> None:
    refused("a name without proof", lambda: gate.sign("pia", offered=Code("")), "'pia' has not proven who they are")
    refused("a guessed code", lambda: gate.sign("pia", offered=Code("000000")), "not a code of pia")
    refused(
        "one's own code under another name", lambda: gate.sign("pia", offered=Code(gate.code("dmitri"))), "not a code of"
    )
    refused("a name that nobody has", lambda: gate.sign("mallory", offered=Code("123456")), "'mallory' is not enrolled")
    refused("the watch's name", lambda: gate.sign("watch", offered=Code("123456")), "not enrolled")
    harmless(gate, tried=5)


def test_a_code_that_was_used(gate: Gate, refused: Refused) -> None:
    code = gate.code("dmitri")
    gate.sign("dmitri", offered=Code(code))
    refused("a code for the second time", lambda: gate.sign("dmitri", "reject", offered=Code(code)), "was used before")
    harmless(gate, "dmitri")


def test_the_code_of_another_gate(open_gate: OpenGate, refused: Refused) -> None:
    """Read off the form of one gate, it opens no other: it is used up with the first entry, whatever came of it."""
    gate = open_gate()
    code = gate.code("pia")
    refused(
        "a code at a gate that does not wait", lambda: gate.sign("pia", step="most.03.sign_off", offered=Code(code)), "wait"
    )
    gate.sign("pia", offered=Code(code))
    other = workspace(gate)
    attack = lambda: approve.sign(other, STEP, "pia", decision="reject", comment="", door="ui", offered=Code(code))  # noqa: E731
    refused("a code of another gate", attack, "was used before")
    harmless(gate, "pia", tried=2)


@pytest.mark.parametrize("steps_off", [-2880, -3, -2, 3, 4, 2880])
def test_a_code_of_another_time(gate: Gate, refused: Refused, steps_off: int) -> None:
    code = gate.code("pia", steps_off)
    refused(f"a code {steps_off * codes.STEP_S:+d} s off", lambda: gate.sign("pia", offered=Code(code)), "not a code of pia")
    harmless(gate)


def test_an_entry_that_says_it_is_old(gate: Gate, refused: Refused) -> None:
    """The time of an entry is the server's; one further back than a worker takes to start does not count."""
    then = utc_now() - timedelta(minutes=10)
    old = Code(codes.code_at(gate.secrets["pia"], then), entered_at=then)
    refused("a code with the time of its entry set back", lambda: gate.sign("pia", offered=old), "not a code of pia")
    harmless(gate)


def test_brute_force(gate: Gate, refused: Refused) -> None:
    """After five wrong ones not even the right one counts, until the lock is over or somebody who may unlocks."""
    wrong = [code for code in ("111111", "222222", "333333", "444444", "555555", "666666") if code != gate.code("pia", 0)]
    for code in wrong[:TRIES]:
        with pytest.raises(NotAllowed, match="not a code of pia"):
            gate.sign("pia", offered=Code(code))
    right = codes.code_at(gate.secrets["pia"], utc_now())
    refused(
        "the right code after five wrong ones", lambda: gate.sign("pia", offered=Code(right)), "too many wrong codes for pia"
    )
    harmless(gate, tried=TRIES + 1)
    assert gate.told == [f"[quick-1] {TRIES} wrong one-time codes for pia"]
    people.unlock("pia", by="kim")
    gate.sign("pia", offered=Code(codes.code_at(gate.secrets["pia"], utc_now())))
    assert gate.approved == ("pia",)


def test_brute_force_by_many_at_once(gate: Gate) -> None:
    """The limit cannot be outrun: of twenty wrong codes at once, five are looked at."""
    said: list[str] = []

    def guess(number: int) -> None:
        try:
            gate.sign("pia", offered=Code(f"{number:06d}"))
        except NotAllowed as error:
            said.append(str(error))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum("too many" in one for one in said), sum("not a code" in one for one in said)] == [15, 5]
    harmless(gate, tried=20)


def test_an_approver_without_the_role(open_gate: OpenGate, refused: Refused) -> None:
    gate = open_gate(enrolled=("ravi", "kim", "dmitri"))
    refused("an approver without the role", lambda: gate.sign("ravi"), "'ravi' may not sign 'go': it needs devops_lead")
    refused("a role that one does not hold", lambda: gate.sign("dmitri", role="product_owner"), "'dmitri' may not sign")
    refused("an administrator without the role", lambda: gate.sign("kim"), "'kim' may not sign")
    harmless(gate, tried=3)


def test_who_started_it(home: Path, open_gate: OpenGate, refused: Refused) -> None:
    file = home / "people.yaml"
    file.write_text(file.read_text().replace("ci: {roles: [ci]}", "ci: {roles: [ci, devops_lead]}"))
    gate = open_gate(enrolled=("ci", "dmitri"))
    refused("the starter approves", lambda: gate.sign("ci"), "ci started the rollout; somebody else must sign")
    people.delegate("ci", "ravi", until=utc_now() + timedelta(days=1), reason="", by="kim")
    people.enrol("ravi", gate.secrets.setdefault("ravi", codes.new_secret()), by="kim")
    refused("the starter has somebody sign for them", lambda: gate.sign("ravi"), "nobody may sign for ci either")
    harmless(gate, tried=2)


def test_after_the_time_is_over(open_gate: OpenGate, refused: Refused) -> None:
    gate = open_gate(RULE.replace("]}", "], within: 2d}"), ago=timedelta(days=2, seconds=1))
    refused("an approval after the time is over", lambda: gate.sign("pia"), "the time to sign 'go', 2d, is over; it holds")
    refused("opening it anew without the right", lambda: approve.open_anew(gate.bench, "pia"), "'pia' may not start")
    harmless(gate)
    assert gate.tally().missing == ("devops_lead", "product_owner")
    assert gate.sign("pia", "reject").decision == "reject", "a rejection is still taken"


def test_after_a_rejection(gate: Gate, refused: Refused) -> None:
    gate.sign("pia", "reject", comment="errors rose")
    refused("an approval after a rejection", lambda: gate.sign("dmitri"), "pia has rejected it: errors rose")
    harmless(gate)
    with pytest.raises(approve.Rejected, match="rejected by pia"):
        approve.run(gate.bench, *approve.pending(gate.bench), {})


def test_after_the_plan_was_changed(gate: Gate, refused: Refused) -> None:
    """A plan's text changed in the ledger behind our back voids what was signed, and takes no signature."""
    gate.sign("dmitri")
    with gate.bench.ledger._database.exclusive() as connection:
        connection.execute(sql("UPDATE plan_texts SET plan_text = replace(plan_text, 'set_weight: 60%', 'set_weight: 99%')"))
    refused("an approval after the plan was changed", lambda: gate.sign("pia"), "somebody changed it")
    assert gate.tally().approved_by == ()
    (void,) = gate.recorded("sign_off_void")
    assert "the plan was changed" in void.details()["reason"]
    harmless(gate, "dmitri")
    assert gate.told == ["[quick-1] dmitri: your sign-off of go is void"]


def test_after_a_finding_got_worse(gate: Gate, refused: Refused) -> None:
    """What was signed for does not hold any more: it is void for good, also when the finding recovers."""
    gate.sign("dmitri")
    shown = [{"step": "some.04.gate", "name": "errors", "verdict": "PASS", "reason": "0.2 %", "mode": "block"}]
    gate.findings("FAIL", "6 % > 1 %")
    refused(
        "a form that was shown before a finding failed", lambda: gate.sign("pia", shown=shown), "no longer so: a finding got"
    )
    assert gate.tally().approved_by == ()
    gate.findings("PASS")
    assert gate.tally().missing == ("devops_lead", "product_owner")
    harmless(gate, "dmitri")


def test_what_cannot_be_judged_passes_nothing_and_voids_nothing(gate: Gate) -> None:
    gate.sign("dmitri")
    gate.sign("pia")
    gate.findings("INCONCLUSIVE", "no data")
    assert gate.tally().missing == ("an answer: some.04.gate, errors cannot be judged",)
    gate.findings("PASS")
    assert gate.tally() == approve.Tally(("dmitri", "pia"), (), None, "")


def test_two_at_once_for_the_last_place(open_gate: OpenGate) -> None:
    """Of any number of approvals at the same moment as many count as are needed, and each of the others is told."""
    gate = open_gate(RULE.replace("]}", "], quorum: 1}"))
    offered = {name: Code(gate.code(name)) for name in ("ada", "dmitri", "pia")}
    start, said = threading.Barrier(3), []

    def press(name: str) -> None:
        start.wait()
        try:
            gate.sign(name, offered=offered[name])
        except NotAllowed as error:
            said.append(str(error))

    threads = [threading.Thread(target=press, args=(name,)) for name in offered]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.approved) == 1
    assert len(said) == 2
    assert all(f"nothing more is needed: {gate.approved[0]} signed" in one for one in said)
    harmless(gate, *gate.approved, tried=2)


def test_one_person_as_two(gate: Gate, refused: Refused) -> None:
    """Neither by two roles, nor by having somebody stand in."""
    gate.sign("ada")
    assert gate.sign("ada", role="product_owner").role == "product_owner", "a change of mind, not a second signature"
    people.delegate("ada", "ravi", until=utc_now() + timedelta(hours=1), reason="", by="kim")
    people.enrol("ravi", gate.secrets.setdefault("ravi", codes.new_secret()), by="kim")
    refused("one person signs twice by standing in", lambda: gate.sign("ravi"), "ada signed already; a person counts once")
    harmless(gate, "ada")


def test_a_delegation_that_is_over_or_was_taken_back(gate: Gate, refused: Refused) -> None:
    people.enrol("ravi", gate.secrets.setdefault("ravi", codes.new_secret()), by="kim")
    made = people.delegate("pia", "ravi", until=utc_now() + timedelta(hours=1), reason="away", by="kim")
    people.revoke(made.id, by="kim")
    refused("a delegation that was taken back", lambda: gate.sign("ravi"), "'ravi' may not sign 'go'")
    tomorrow = utc_now() + timedelta(days=1)
    attack = lambda: people.delegate("pia", "ravi", until=tomorrow, reason="", by="ravi")  # noqa: E731
    refused("a delegation by somebody who may not", attack, "'ravi' may not change people")
    harmless(gate)
    people.delegate("pia", "ravi", until=utc_now() + timedelta(hours=1), reason="away", by="kim")
    signed = gate.sign("ravi")
    assert (signed.role, signed.on_behalf_of) == ("product_owner", "pia")


class TestSshSignatures:
    """A signature is of one text, by one key, for one purpose, now."""

    def test_the_real_one_counts(self, open_gate: OpenGate) -> None:
        gate = open_gate(SSH)
        assert gate.sign("dmitri", offered=gate.ssh(gate.statement("dmitri"))).proof["kind"] == "ssh"

    @pytest.mark.parametrize(
        ("what", "changes"),
        [
            ("another rollout's", {"rollout": "quick-9"}),
            ("another gate's", {"step": "most.01.sign_off"}),
            ("another release's", {"release": "0.9"}),
            ("another plan's", {"plan": "0" * 64}),
            ("for other findings", {"findings": "0" * 64}),
            ("with another comment", {"comment": "d"}),
            ("a rejection as an approval", {"decision": "reject"}),
            ("somebody else's", {"by": "pia"}),
        ],
    )
    def test_of_something_else(self, open_gate: OpenGate, refused: Refused, what: str, changes: dict[str, str]) -> None:
        gate = open_gate(SSH)
        signed = gate.ssh(gate.statement("dmitri", **changes))
        refused(f"a signature {what}", lambda: gate.sign("dmitri", offered=signed), "the signed text is of something else")
        harmless(gate)

    def test_that_is_old_or_sent_again(self, open_gate: OpenGate, refused: Refused) -> None:
        gate = open_gate(SSH)
        old = gate.ssh(gate.statement("dmitri", at=utc_now() - timedelta(minutes=6)))
        refused("an old signature", lambda: gate.sign("dmitri", offered=old), "now it is .*; sign anew")
        first = gate.ssh(gate.statement("dmitri"))
        gate.sign("dmitri", offered=first)
        gate.sign("dmitri", "reject", offered=gate.ssh(gate.statement("dmitri", "reject")))
        refused("a signature sent again after a change of mind", lambda: gate.sign("dmitri", offered=first), "counts once")
        harmless(gate, tried=2)

    def test_by_another_key_or_for_another_purpose(self, open_gate: OpenGate, refused: Refused, tmp_path: Path) -> None:
        gate = open_gate(SSH)
        statement = gate.statement("dmitri")
        foreign = gate.ssh(statement, key=new_key(tmp_path, "mallory"))
        refused("a signature by another key", lambda: gate.sign("dmitri", offered=foreign), "not by a key of dmitri")
        git = gate.ssh(statement, namespace="git")
        refused("a signature made for git", lambda: gate.sign("dmitri", offered=git), "not by a key of dmitri")
        refused("a code where a signature is needed", lambda: gate.sign("dmitri"), "this needs an SSH signature")
        harmless(gate, tried=3)

    def test_a_signature_where_a_code_is_needed(self, open_gate: OpenGate, refused: Refused) -> None:
        gate = open_gate(CODE)
        signed = gate.ssh(gate.statement("dmitri"))
        refused(
            "a signature where a code is needed", lambda: gate.sign("dmitri", offered=signed), "this needs a one-time code"
        )
        harmless(gate)
