"""Values that tests start from: a moment, a rollout to start, and a started one with its token."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chrysalis.ledger import Ledger, NewRollout, SignOff

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def new_rollout(**changes: Any) -> NewRollout:
    given: dict[str, Any] = {
        "plan_name": "crystal",
        "service": "maia",
        "version": "2.0",
        "plan_text": "service: maia\n",
        "plan_hash": "abc",
        "idempotency_key": "maia-2.0",
        "started_by": "kim",
        "reason": "spring release",
    }
    return NewRollout(**{**given, **changes})


def started(ledger: Ledger, **changes: Any) -> tuple[str, int]:
    """A rollout that a worker holds: its id and the worker's token."""
    rollout, _ = ledger.start_rollout(new_rollout(**changes), NOW)
    return rollout.id, ledger.take_token(rollout.id, "flow-1", now=NOW)


def sign_off(rollout_id: str, **changes: Any) -> SignOff:
    given: dict[str, Any] = {
        "rollout_id": rollout_id,
        "step_id": "hybrid.gate",
        "approver": "ada",
        "role": "cto",
        "decision": "approve",
        "comment": "",
        "findings_hash": "f1",
        "plan_hash": "abc",
        "door": "ui",
        "at": NOW,
    }
    return SignOff(**{**given, **changes})
