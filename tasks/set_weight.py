"""Set the canary's share of the traffic, verified by reading back.

A weight goes up only while the watch is alive: nobody may be sent where nobody looks.
"""

from datetime import timedelta

from chrysalis.clock import utc_now
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetWeight
from chrysalis.targets.base import Split
from chrysalis.targets.envoy import EnvoyRouter
from tasks.step import Before, Done, Waiting, retry_later, step_task
from tasks.workspace import Workspace, written_from_memory

WATCH_NAME = "watch"
ALIVE_WITHIN_TICKS = 10
ALIVE_WITHIN_AT_LEAST_S = 10.0


def read_before(workspace: Workspace, planned: PlannedStep, spec: SetWeight) -> Before:
    return {"percent": workspace.router(spec.target).read().canary_percent}


def run(workspace: Workspace, planned: PlannedStep, spec: SetWeight, before: Before) -> Done | Waiting:
    """Set the weight and read it back. Raises WriteRefused, WriteNotVerified, TargetUnavailable, StaleToken."""
    router = workspace.router(spec.target)
    split = router.read()
    now_percent = split.canary_percent
    if spec.to > now_percent and (missing := watch_missing(workspace) or not_journaled(workspace, split)):
        return retry_later(workspace, planned, missing)
    stamp = workspace.stamp(planned.id)
    if isinstance(router, EnvoyRouter):
        written = router.write_for(spec.to, spec.audience, stamp)
    else:
        written = router.write(spec.to, stamp)
    record_weight(workspace, planned.phase, written.canary_percent, f"{spec.target} at {written.canary_percent} %")
    detail = {"before": {"percent": before.get("percent")}, "percent": written.canary_percent}
    of = f" of {spec.audience}" if spec.audience and written.canary_percent else ""
    return Done(f"weight {now_percent} % → {written.canary_percent} %{of}, read back", detail)


def undo(workspace: Workspace, planned: PlannedStep, spec: SetWeight, before: Before) -> str:
    """The weight was taken to its safe value before anything else was undone; here it is only confirmed."""
    return f"weight is {workspace.router(spec.target).read().canary_percent} %"


def record_weight(workspace: Workspace, phase: str, percent: int, status: str) -> None:
    """Note in the ledger where the rollout stands."""
    workspace.ledger.set_position(
        workspace.rollout.id, workspace.token, phase=phase, weight_percent=percent, status_text=status, now=utc_now()
    )


def watch_missing(workspace: Workspace) -> str | None:
    """Why no weight may go up now: the watch was not seen lately, or cannot see this rollout. None when it watches."""
    beat = workspace.ledger.last_beat(WATCH_NAME)
    limit_s = max(ALIVE_WITHIN_AT_LEAST_S, ALIVE_WITHIN_TICKS * workspace.settings.watch_interval_s)
    if beat is None:
        return "the watch has never run; start its deployment, no weight goes up without it"
    age = utc_now() - beat.at
    if age < -timedelta(seconds=limit_s):
        ahead = f"the watch was last seen {-age.total_seconds():.0f} s from now > at most {limit_s:.0f} s"
        return f"{ahead}, by a clock that was set since; no weight goes up without it"
    if age > timedelta(seconds=limit_s):
        seen = f"the watch was last seen {age.total_seconds():.0f} s ago > at most {limit_s:.0f} s"
        return f"{seen}; no weight goes up without it"
    if workspace.rollout.id in beat.detail.get("blind", ()):
        return "the watch cannot see: a source of its triggers does not answer; no weight goes up unwatched"
    return None


def not_journaled(workspace: Workspace, split: Split) -> str | None:
    """Why this weight may not go up yet: the watch took it down without the ledger, and has not said so there."""
    if split.stamp is None or not written_from_memory(split.stamp) or split.stamp.rollout_id != workspace.rollout.id:
        return None
    return (
        f"the watch took the traffic to {split.canary_percent} % while the ledger was out of reach; it journals that first"
    )


set_weight = step_task("set_weight", run, before=read_before, undo=undo)
