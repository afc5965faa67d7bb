"""Windows for changes, and freezes: a step that brings something new waits until the plan lets it."""

from chrysalis.clock import utc_now
from chrysalis.plan import PlannedStep
from chrysalis.plan.parts import Weekday
from chrysalis.plan.steps import Activate, Deploy, Migrate, SetRoute, SetWeight
from gates.calendar import Closed, Frozen, Open, closed
from tasks.workspace import Workspace

DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEVER_S = 10 * 365 * 86_400.0


def must_wait(workspace: Workspace, planned: PlannedStep, stood: object) -> tuple[str, float] | None:
    """Why this step may not be taken now, and the real seconds until it may; None when it may.

    Only what brings something new into production on the way forward waits: no way back and no operation ever does.
    """
    plan = workspace.plan
    if not (plan.windows or plan.freezes) or planned.phase not in plan.phase_names or not _brings_new(planned, stood):
        return None
    if (planned.spec.environment or plan.phase(planned.phase).environment) != "production":
        return None
    now = workspace.clock.plan_now(utc_now())
    windows = [Open(frozenset(DAYS.index(day) for day in one.days), one.start, one.end) for one in plan.windows]
    found = closed(windows, [Frozen(one.first, one.last, one.why) for one in plan.freezes], now)
    if found is None:
        return None
    left_s = NEVER_S if found.until is None else (found.until - now).total_seconds() / workspace.clock.speed
    return _said(found), max(0.0, left_s)


def _brings_new(planned: PlannedStep, stood: object) -> bool:
    match planned.spec:
        case SetWeight() as spec:
            before = stood.get("percent") if isinstance(stood, dict) else None
            return not isinstance(before, int) or spec.to > before
        case SetRoute() as spec:
            return spec.enabled
        case Activate() | Deploy() | Migrate():
            return True
        case _:
            return False


def _said(found: Closed) -> str:
    until = "" if found.until is None else f"; it goes on at {found.until:%A %Y-%m-%d %H:%M} UTC"
    return found.why + until
