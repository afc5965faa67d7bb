"""Findings, baselines and actions."""

from chrysalis.ledger import Ledger, canonical_hash
from chrysalis.ledger.evidence import FINDINGS_KEPT
from tests.ledger.samples import LATER, NOW, started


def test_findings_are_kept_for_the_last_looks_at_each_step(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    ledger.record_findings(rollout_id, "other", findings=["stays"], now=NOW)
    for n in range(FINDINGS_KEPT + 3):
        ledger.record_findings(rollout_id, "gate", findings=[n], now=NOW)
    kept = ledger.findings(rollout_id)
    assert [one.findings for one in kept if one.step_id == "gate"] == [[n] for n in range(3, FINDINGS_KEPT + 3)]
    assert [one.findings for one in kept if one.step_id == "other"] == [["stays"]]


def test_the_audit_keeps_the_hash_of_what_was_found(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    findings = [{"verdict": "PASS", "numbers": {"p95_ms": float("nan")}}]
    ledger.record_findings(rollout_id, "gate", findings=findings, now=NOW)
    entry = ledger.audit()[-1]
    assert entry.details() == {"findings_hash": canonical_hash(findings), "step_id": "gate"}
    assert canonical_hash(ledger.findings(rollout_id)[0].findings) == canonical_hash(findings)


def test_a_baseline_is_replaced_by_a_later_one_of_its_name_and_metric(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    for samples, at in (([[1.0, 2.0]], NOW), ([[3.0, 4.0]], LATER)):
        ledger.record_baseline(rollout_id, "before", metric="p95", samples=samples, now=at)
    ledger.record_baseline(rollout_id, "before", metric="errors", samples=[], now=NOW)
    assert [(b.metric, b.samples, b.at) for b in ledger.baselines(rollout_id)] == [
        ("errors", [], NOW),
        ("p95", [[3.0, 4.0]], LATER),
    ]


def test_an_action_is_recorded_with_both_sides_and_its_cause(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    cause = {"name": "errors", "reason": "3.1 % > at most 2 %"}
    ledger.record_action(rollout_id, token, actor="watch", action="set_weight", before=50, after=0, cause=cause, now=NOW)
    (kept,) = ledger.actions(rollout_id)
    assert (kept.actor, kept.before, kept.after, kept.cause, kept.token) == ("watch", 50, 0, cause, token)
    assert ledger.audit()[-1].details()["cause"] == cause


def test_an_action_recorded_late_keeps_its_time_and_is_written_once(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.take_token(rollout_id, "successor", now=LATER)
    first, again = (
        ledger.record_action(
            rollout_id, None, actor="watch", action="set_weight", before=50, after=0, cause=None, now=NOW, key="spool-1"
        )
        for _ in range(2)
    )
    assert first == again
    assert (first.at, first.token) == (NOW, None)
    assert len(ledger.actions(rollout_id)) == 1
    assert token == 1
