"""A dry run walks through every step and changes nothing."""

from tests.desk import Desk
from tests.stack import SPEED


def test_a_dry_run_completes_and_changes_nothing(desk: Desk) -> None:
    """Every step is journaled with what it would do; router and configuration keep their last writers."""
    with desk.stack.sandbox.router() as router:
        before = router.read()
    rollout = desk.start("quick", "dry-1", "--dry-run")
    ended = desk.await_end(rollout.id)
    assert ended.outcome == "completed", ended.status_text
    with desk.stack.sandbox.router() as router:
        assert router.read() == before
    entries = desk.stack.ledger.journal(rollout.id)
    skipped = [entry.detail["summary"] for entry in entries if entry.event == "skipped"]
    assert "dry run: would " in skipped[0]
    assert (desk.stack.ledger.actions(rollout.id), desk.stack.ledger.sign_offs(rollout.id)) == ((), ())
    again = desk.say("start", "quick", "--version", "dry-1", "--dry-run", "--speed", str(SPEED), "--json")
    assert (again.json["id"], again.json["created"]) == (rollout.id, False)
