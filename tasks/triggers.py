"""Setting off a trigger by hand: written down here, answered by the watch at its next tick, settled when it was answered."""

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError
from tasks.permission import require
from tasks.workspace import Workspace

SET_OFF = "set_off"
"""The kind of the request in the ledger."""


def set_off(rollout_id: str, name: str, *, by: str, reason: str) -> str:
    """Ask the watch to answer a manual trigger; twice is once. Says what follows.

    Raises SettingsError for a trigger that is unknown or not manual, NotAllowed when the rollout has ended or `by` may not.
    """
    require("operate", by, rollout_id)
    workspace = Workspace.open(rollout_id, 0)
    row, plan = workspace.rollout, workspace.plan
    watched = plan.triggers_at(row.phase or plan.phase_names[0])
    manual = sorted(one for one, trigger in watched.items() if trigger.manual)
    if name not in manual:
        known = "is not set off by hand, the watch judges it" if name in watched else "is not watched now"
        raise SettingsError(f"trigger {name!r} of {rollout_id} {known}; by hand: {', '.join(manual) or 'none'}")
    if not row.active:
        raise NotAllowed(f"{rollout_id} ended {row.outcome}; nothing of it is watched any more")
    workspace.ledger.request(rollout_id, SET_OFF, by=by, reason=reason, arguments={"trigger": name}, now=utc_now())
    answer = watched[name].respond.kind.replace("_", " ")
    guarded = any(one.rollout.id == rollout_id and name in one.triggers for one in workspace.ledger.guarded())
    return f"{name} is set off; {answer} follows " + ("at the watch's next look" if guarded else "once it can reach anybody")
