"""A rollout's course, from the ledger alone: weight over time, gates, pages, sign-offs, safe actions; as a picture."""

from datetime import datetime

from chrysalis.ledger import RecordedFindings
from chrysalis.picture import Course, Mark, MarkKind, draw
from tasks.workspace import Workspace


def weights(workspace: Workspace) -> list[tuple[datetime, int]]:
    """When the weight became what (percent), from the start on; what the watch and on-call did included."""
    row, ledger = workspace.rollout, workspace.ledger
    found: list[tuple[datetime, int]] = [(row.started_at, 0)]
    for entry in ledger.journal(row.id):
        percent = entry.detail.get("percent")
        if entry.event == "done" and isinstance(percent, int):
            found.append((entry.at, percent))
    for action in ledger.actions(row.id):
        after = action.after if isinstance(action.after, dict) else {}
        numbers = [value for value in after.values() if isinstance(value, int) and not isinstance(value, bool)]
        if action.action == "make_safe" and numbers:
            found.append((action.at, max(numbers)))
    return sorted(found)


def marks(workspace: Workspace) -> list[Mark]:
    """What happened on the way, by ascending time; of the looks at a gate, those at which its verdict changed."""
    row, ledger = workspace.rollout, workspace.ledger
    found = _gates(ledger.findings(row.id))
    found += [Mark(one.told_at, "page", one.title) for one in ledger.notices(row.id) if one.severity == "page"]
    found += [
        Mark(
            one.at, "signed" if one.decision == "approve" else "refused", f"{one.step_id}: {one.decision} by {one.approver}"
        )
        for one in ledger.sign_offs(row.id)
    ]
    found += [Mark(one.at, "action", f"{one.actor}: {one.action}: {one.cause}") for one in ledger.actions(row.id)]
    return sorted(found, key=lambda mark: mark.at)


def _gates(records: tuple[RecordedFindings, ...]) -> list[Mark]:
    found: list[Mark] = []
    stands: dict[str, MarkKind] = {}
    for record in records:
        kind = verdict_kind(record)
        if stands.get(record.step_id) != kind:
            stands[record.step_id] = kind
            found.append(Mark(record.at, kind, f"{record.step_id}: {_why(record)}"))
    return found


def verdict_kind(record: RecordedFindings) -> MarkKind:
    """The worst verdict of a look."""
    verdicts = {str(one.get("verdict")) for one in record.findings}
    return "fail" if "FAIL" in verdicts else "unknown" if "INCONCLUSIVE" in verdicts else "pass"


def _why(record: RecordedFindings) -> str:
    worst = [one for one in record.findings if one.get("verdict") != "PASS"] or list(record.findings)
    return "; ".join(str(one.get("reason")) for one in worst)


def picture(workspace: Workspace, now: datetime) -> str:
    """The course so far as SVG."""
    row = workspace.rollout
    title = f"{row.id}: {workspace.plan.title or row.plan_name} {row.version}, {row.outcome or row.state}"
    end = row.ended_at or now
    return draw(Course(title.replace("_", " "), weights(workspace), marks(workspace), row.started_at, end))
