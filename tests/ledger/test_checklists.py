"""Attestations and runs of checklists, and what of them is in the audit."""

from datetime import timedelta

import pytest

from chrysalis.errors import LedgerError, UnknownRollout
from chrysalis.ledger import Attestation, Ledger
from chrysalis.ledger.checklists import RUNS_KEPT
from tests.ledger.samples import LATER, NOW, started

SOON = NOW + timedelta(days=7)


def attest(ledger: Ledger, person: str = "ada", **changes: object) -> Attestation:
    given: dict[str, object] = {"item_hash": "h", "person": person, "role": "cto", "evidence": "link", "expires_at": SOON}
    return ledger.attest("a/list.yaml", "docs", **{**given, "now": NOW, **changes})  # type: ignore[arg-type]


def test_attestations_are_added_and_never_changed(ledger: Ledger) -> None:
    first, second = attest(ledger), attest(ledger, "bob", now=LATER)
    taken_back = attest(ledger, "bob", withdrawn=True, now=LATER)
    assert ledger.attestations("a/list.yaml") == (first, second, taken_back)
    assert ledger.attestations("another.yaml") == ()
    entries = ledger.audit(subject="checklist:a/list.yaml")
    assert [(one.actor, one.action) for one in entries] == [
        ("ada", "attested"),
        ("bob", "attested"),
        ("bob", "attestation_withdrawn"),
    ]
    assert entries[0].details()["before"] is None
    assert entries[1].details()["before"]["by"] == "ada"
    assert entries[1].details()["after"]["by"] == "bob"


def test_one_for_a_rollout_counts_for_that_rollout_only(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    other, _ = started(ledger, service="other")
    everywhere, here = attest(ledger), attest(ledger, rollout_id=rollout_id)
    assert ledger.attestations("a/list.yaml", rollout_id) == (everywhere, here)
    assert ledger.attestations("a/list.yaml", other) == (everywhere,)
    assert ledger.attestations("a/list.yaml") == (everywhere,)
    with pytest.raises(UnknownRollout):
        attest(ledger, rollout_id="nobody-1")


def test_one_that_is_over_before_it_is_made_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="would expire"):
        attest(ledger, expires_at=NOW)


def test_every_decision_is_in_the_audit_with_the_one_before_and_the_last_runs_are_kept(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    for n in range(RUNS_KEPT + 3):
        ledger.record_checklist_run(
            "a/list.yaml",
            list_hash="l",
            by="flow-1",
            decision="no-go" if n % 2 else "go",
            reason=f"reason {n}",
            results={"n": n},
            now=NOW,
            rollout_id=rollout_id,
            step_id="s",
        )
    assert len(ledger.go_no_gos(rollout_id)) == RUNS_KEPT
    assert ledger.checklist_runs("a/list.yaml")[0].results == {"n": RUNS_KEPT + 2}
    told = [one.details() for one in ledger.audit(subject=rollout_id) if one.action == "go_no_go"]
    assert len(told) == RUNS_KEPT + 3
    assert [(one["before"], one["after"]) for one in told[:3]] == [(None, "go"), ("go", "no-go"), ("no-go", "go")]
    assert told[0]["reason"] == "reason 0"
    assert ledger.verify_audit() == []
