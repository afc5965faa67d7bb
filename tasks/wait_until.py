"""Wait for a moment of the plan's clock, such as Monday at 09:00. The watch ends the wait; a crash changes nothing of it."""

from datetime import UTC, datetime

from cronsim import CronSim

from chrysalis.clock import utc_now
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import WaitUntil
from tasks.step import Before, Done, Waiting, open_wait, step_task
from tasks.waiting import linger
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: WaitUntil, before: Before) -> Done | Waiting:
    """Open the wait for the next moment after now, or find it as it stands; done when the watch has closed it."""
    moment = next_moment(spec.cron, workspace.clock.plan_now(utc_now()))
    said = f"waits until {moment:%A %Y-%m-%d %H:%M} UTC"
    detail = {"until_s": moment.timestamp(), "said": said}
    wait = open_wait(workspace, planned, "window", needed_s=None, detail=detail)
    until_s = float(wait.detail["until_s"])
    left_s = (until_s - workspace.clock.to_plan(utc_now().timestamp())) / workspace.clock.speed
    wait = linger(workspace, wait.id, left_s)
    if wait.is_open:
        return Waiting("window", str(wait.detail["said"]), wait.id)
    return Done(f"it is {datetime.fromtimestamp(until_s, UTC):%A %Y-%m-%d %H:%M} UTC by the plan's clock")


def next_moment(cron: str, after: datetime) -> datetime:
    """The first moment of the cron line after `after`."""
    return next(CronSim(cron, after.astimezone(UTC)))


wait_until = step_task("wait_until", run)
