"""What a plan does by the clock: its operations and reports, for the rollout that they concern, each run recorded."""

from collections.abc import Iterator
from datetime import timedelta

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, SettingsError
from chrysalis.ledger import Rollout
from chrysalis.plan.parts import Schedule
from gates.units import format_duration
from gates.verdict import Verdict
from tasks import operations
from tasks.artifacts import artifact_key, show_markdown
from tasks.contents import contents
from tasks.evaluate_gate import judge
from tasks.notify import WAIT_S, said, tell
from tasks.operations import SCHEDULE, Perform
from tasks.workspace import Workspace, open_ledger, require_known

AFTER_COMPLETION = "after_completion"
"""Instead of a schedule's name: all of the plan that are due so long after its rollout completed."""
KEPT = 1000
"""How many of the newest rollouts are looked through."""


class NotNow(ChrysalisError):
    """What the schedule asks for before it runs anything does not hold now."""


def concerned(plan: str) -> Rollout | None:
    """The rollout that a schedule of the plan is for: the one that is on, else the newest if it completed."""
    newest = _newest(plan)
    return newest if newest is not None and (newest.active or newest.outcome == "completed") else None


def why_not(plan: str) -> str:
    """Why there is nothing to do for this plan now."""
    newest = _newest(plan)
    if newest is None:
        return f"no rollout of {plan} was started yet; there is nothing to run this for"
    return f"{newest.id} ended {newest.outcome}: what it had brought is not there any more; there is nothing to run this for"


def _newest(plan: str) -> Rollout | None:
    mine = [one for one in open_ledger().history(KEPT) if one.plan_name == plan and not one.dry_run]
    return max(mine, key=lambda one: one.serial, default=None)


def run(rollout_id: str, name: str, perform: Perform) -> Iterator[str]:
    """Run a schedule of the rollout's plan now; yields a line for each thing done.

    Raises NotNow, SettingsError, TargetError.
    """
    workspace = Workspace.open(rollout_id, 0)
    if name == AFTER_COMPLETION:
        yield from _after_completion(workspace, perform)
        return
    require_known(workspace.plan, name, workspace.plan.schedules, "schedule")
    yield from _run(workspace, name, workspace.plan.schedules[name], perform)


def _after_completion(workspace: Workspace, perform: Perform) -> Iterator[str]:
    row, now = workspace.rollout, utc_now()
    done = {one.action for one in workspace.ledger.actions(row.id)}
    for name, schedule in workspace.plan.schedules.items():
        if schedule.after_completion is None:
            continue
        if row.ended_at is None:
            yield f"{name}: {row.id} has not completed yet; it is due {format_duration(schedule.after_completion)} after"
            continue
        passed = timedelta(seconds=(now - row.ended_at).total_seconds() * row.speed)
        if _action(name) in done:
            yield f"{name}: done before"
        elif passed < schedule.after_completion:
            yield f"{name}: due in {format_duration(round((schedule.after_completion - passed).total_seconds()))}"
        else:
            yield from _run(workspace, name, schedule, perform)


def _run(workspace: Workspace, name: str, schedule: Schedule, perform: Perform) -> Iterator[str]:
    row = workspace.rollout
    if schedule.only_when is not None:
        (finding,) = judge(workspace, [schedule.only_when])
        if finding.verdict is not Verdict.PASS:
            raise NotNow(f"{row.id}: {name} runs nothing: {finding.reason}")
    if schedule.run in workspace.plan.operations:
        did = list(operations.run(row.id, schedule.run, SCHEDULE, perform, scheduled=True))
        yield from did
        after = did[-1] if did else ""
    elif schedule.run in workspace.plan.reports:
        after = _report(workspace, name, schedule.run)
        yield after
    else:
        raise SettingsError(
            f"schedule {name} of {workspace.plan.name} runs {schedule.run!r}, which is no operation or report"
        )
    workspace.ledger.record_action(
        row.id,
        None,
        actor=SCHEDULE,
        action=_action(name),
        before=None,
        after=after,
        cause=schedule.title or name,
        now=utc_now(),
    )


def _action(name: str) -> str:
    return f"schedule {name}"


def _report(workspace: Workspace, name: str, report: str) -> str:
    row, named = workspace.rollout, workspace.plan.reports[report]
    lines = contents(workspace, named, row.started_at)
    text = "\n".join([f"# {row.id} {row.version}, {row.outcome or row.state}", "", *lines])
    show_markdown(artifact_key(row.id, f"{name}-report"), text, named.title)
    key = f"{row.id}:schedule {name}:{utc_now():%Y-%m-%dT%H}"
    sent = tell(workspace, "info", named.title, text, channels=named.audience, key=key, markdown=True, wait_s=WAIT_S)
    return f"{named.title} → {said(sent)}"
