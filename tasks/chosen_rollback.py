"""Which of the plan's rollbacks takes a rollout back, and how long that has taken against its limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.plan import Rollback
from gates.progress import ROLLBACK_STEP
from gates.units import format_duration
from tasks.workspace import Workspace

NAMED = "rollback"
"""Under which a request and the journal name a rollback of the plan."""
ASKED_AT = "asked_at"


def plan_rollback(workspace: Workspace) -> Rollback:
    """The plan's rollback that takes the rollout back."""
    return workspace.plan.rollbacks.get(rollback_name(workspace), Rollback())


def rollback_name(workspace: Workspace) -> str:
    """The one that the way back was begun with; before that the newest one asked for by name; else that of the phase."""
    begun = next((one for one in workspace.ledger.journal(workspace.rollout.id, step_id=ROLLBACK_STEP)), None)
    if begun is not None and NAMED in begun.detail:
        return str(begun.detail[NAMED])
    asked = asked_by_name(workspace, None)
    if asked is not None:
        return asked
    phase = workspace.rollout.phase
    return workspace.plan.phase(phase).rollback if phase in workspace.plan.phase_names else "full"


def asked_by_name(workspace: Workspace, to_percent: int | None) -> str | None:
    """The newest rollback that somebody asked for by name and to that weight (None: all the way); None when nobody did."""
    names = [
        str(request.arguments[NAMED])
        for request in workspace.ledger.open_requests(workspace.rollout.id)
        if NAMED in request.arguments and (request.arguments.get("to_percent") or None) == (to_percent or None)
    ]
    return names[-1] if names else None


def begins(workspace: Workspace, name: str) -> dict[str, Any]:
    """For the journal: which rollback begins, and when it was first asked for."""
    asked = [one.created_at for one in workspace.ledger.open_requests(workspace.rollout.id) if one.kind == "roll_back"]
    return {NAMED: name, ASKED_AT: min(asked, default=utc_now()).isoformat()}


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took by the real clock, beside the limit that the plan gives it; None: it gives none.

    Limits of ways back and operations are real time: what they do takes as long however fast the plan's clock runs.
    """

    seconds: float
    limit: timedelta | None

    @property
    def over(self) -> bool:
        return self.limit is not None and self.seconds > self.limit.total_seconds()

    def __str__(self) -> str:
        took = format_duration(round(self.seconds, 1))
        if self.limit is None:
            return took
        return f"{took}, {'OVER' if self.over else 'within'} its limit of {format_duration(self.limit)}"

    def as_json(self) -> dict[str, Any]:
        limit_s = None if self.limit is None else self.limit.total_seconds()
        return {"seconds": round(self.seconds, 3), "limit_s": limit_s, "over_its_limit": self.over}


def took(workspace: Workspace, step_id: str, limit: timedelta | None) -> Took:
    """Since the way back was asked for, or since its step began where the journal does not say when that was."""
    entries = [one for one in workspace.ledger.journal(workspace.rollout.id, step_id=step_id) if one.event == "begun"]
    asked = next((one.detail[ASKED_AT] for one in entries if ASKED_AT in one.detail), None)
    since = datetime.fromisoformat(asked) if asked else entries[0].at if entries else utc_now()
    return Took((utc_now() - since).total_seconds(), limit)
