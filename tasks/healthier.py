"""Before traffic is taken back: would it go to a side that is worse off? Then it stays where it is, and somebody is paged.

Both sides are measured at once, by the triggers that take traffic back, within `WITHIN_S`; whatever cannot be measured in
that time holds nothing back. A person may overrule it (`chrysalis rollback --force`).
"""

from collections.abc import Iterable
from datetime import datetime

from chrysalis.clock import utc_now
from chrysalis.errors import SickerSide
from chrysalis.metrics.fetch import fetch
from gates.condition import Condition
from gates.healthier import needs_of_both, stable_is_sicker
from gates.response import ReduceWeight, RollBack
from gates.trigger import Trigger
from tasks.notify import tell
from tasks.workspace import Workspace

WITHIN_S = 0.5
HELD = {"because": "the stable side is worse off"}
"""The arguments of the pause that holds a rollout whose stable side is sick."""


def require_healthier(workspace: Workspace, now: datetime) -> None:
    """Raises SickerSide, with what was found on both sides, when traffic would go to the side that is worse off."""
    row = workspace.rollout
    phase = row.phase or workspace.plan.phase_names[0]
    breaches = _breaches(workspace.plan.triggers_at(phase).values())
    if not breaches or row.dry_run:
        return
    observations = fetch(
        needs_of_both(breaches),
        workspace.plan.metrics,
        workspace.sources,
        workspace.clock,
        now,
        variables={"service": workspace.plan.service, "version": row.version},
        deadline_s=WITHIN_S,
    )
    found = stable_is_sicker(breaches, observations, workspace.clock.to_plan(now.timestamp()))
    if found is not None:
        canary = found.canary.reason if found.canary.numbers else f"not known ({found.canary.reason})"
        raise SickerSide(
            f"{row.id}: the stable side is worse off than the canary: stable {found.stable.reason}; canary {canary}; "
            f"no traffic was moved: mend the stable side, or `chrysalis rollback {row.id} --force`"
        )


def hold(workspace: Workspace, error: SickerSide) -> None:
    """Have the rollout hold where it is, and page, once for as long as it holds."""
    ledger, row = workspace.ledger, workspace.rollout
    if any(request.kind == "pause" and dict(request.arguments) == HELD for request in ledger.open_requests(row.id)):
        return
    ledger.request(row.id, "pause", by="watch", reason=str(error), arguments=HELD, now=utc_now())
    page(workspace, error)


def page(workspace: Workspace, error: SickerSide) -> None:
    """Wake somebody up: there is no healthy side to go to."""
    tell(workspace, "page", "no way back: the stable side is worse off", str(error))


def forced(workspace: Workspace) -> bool:
    """Whether a person who asked for the way back said that it shall go to a sick side, too."""
    return any(request.arguments.get("force") for request in workspace.ledger.open_requests(workspace.rollout.id))


def _breaches(triggers: Iterable[Trigger]) -> list[Condition]:
    back = (RollBack, ReduceWeight)
    return [trigger.when for trigger in triggers if trigger.when is not None and isinstance(trigger.respond, back)]
