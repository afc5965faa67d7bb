"""The truth about every rollout: its journal, waits, requests, sign-offs, leases, and an audit that nobody can change."""

from chrysalis.ledger.canonical import canonical_hash, canonical_json
from chrysalis.ledger.chain import AuditEntry, AuditHead, AuditProblem
from chrysalis.ledger.records import (
    Action,
    Attempt,
    Baseline,
    Beat,
    Delegation,
    Factor,
    Guarded,
    JournalEntry,
    Lease,
    NewRollout,
    Outcome,
    RecordedFindings,
    Request,
    Rollout,
    SignOff,
    State,
    StepOutcome,
    Tick,
    Wait,
    WaitKind,
)
from chrysalis.ledger.rollouts import CLAIMS
from chrysalis.ledger.store import Ledger

__all__ = [
    "CLAIMS",
    "Action",
    "Attempt",
    "AuditEntry",
    "AuditHead",
    "AuditProblem",
    "Baseline",
    "Beat",
    "Delegation",
    "Factor",
    "Guarded",
    "JournalEntry",
    "Lease",
    "Ledger",
    "NewRollout",
    "Outcome",
    "RecordedFindings",
    "Request",
    "Rollout",
    "SignOff",
    "State",
    "StepOutcome",
    "Tick",
    "Wait",
    "WaitKind",
    "canonical_hash",
    "canonical_json",
]
