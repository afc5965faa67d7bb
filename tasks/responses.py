"""The watch's hands: one response to one trigger that fires, made now, recorded with its cause, and told."""

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, SettingsError, SickerSide, TargetError
from chrysalis.plan.parts import Severity
from gates.response import (
    Firing,
    Notify,
    Page,
    ReduceWeight,
    RollBack,
    SetValue,
    StepDown,
    SwitchOff,
    Throttle,
    Value,
)
from tasks.healthier import hold, require_healthier
from tasks.ladders import Ladders
from tasks.lifecycle import take_over
from tasks.notify import tell
from tasks.operations import ask_for, suggested
from tasks.rolling_back import ask
from tasks.safety import make_safe
from tasks.step import log
from tasks.values import ACTOR, Change, set_values
from tasks.workspace import Workspace


def respond(workspace: Workspace, firing: Firing, reason: str, ladders: Ladders) -> Change | None:
    """Make the response, verified by reading back; returns the values that it changed, where it changes values.

    What changes traffic takes a new token first, so that no process that runs now can undo it. Raises TargetError when it
    could not be made; it is then due again at the next tick.
    """
    changed = None
    response = firing.response
    cause = f"{firing.trigger}: {reason}"
    match response:
        case RollBack():
            _require_healthier(workspace)
            try:
                _lower(workspace, response.weight_percent, cause)
            except TargetError as error:
                # What is asked is tried again until it is done (`insist.py`); it must not be lost with this tick.
                reason = f"{reason}; the traffic could not be moved yet: {error}"
            back_to = response.weight_percent or None
            ask(workspace.rollout.id, "roll_back", by=ACTOR, reason=cause, to_percent=back_to, rollback=response.use)
        case ReduceWeight():
            _require_healthier(workspace)
            now_percent = max((router.read().canary_percent for router in workspace.routers().values()), default=0)
            percent = response.weight_after(now_percent)
            _lower(workspace, percent, cause)
            held = f"weight {now_percent} % → {percent} %: {cause}; `chrysalis resume {workspace.rollout.id}` goes on"
            ask(workspace.rollout.id, "pause", by=ACTOR, reason=held)
        case SwitchOff() | Throttle() | SetValue():
            changed = set_values(workspace, response.target, changes_of(response), cause)
        case StepDown():
            ladders.step_down(response.ladder, response.to, cause)
        case Notify() | Page():
            tell_of(workspace, firing, reason)
        case _:
            raise SettingsError(f"{firing.trigger}: no such response {response.kind}")
    ask_for(workspace, firing.trigger, cause, ACTOR)
    if not response.notice:
        tell_of(workspace, firing, reason)
    log().warning("%s: %s → %s", workspace.rollout.id, cause, response.kind)
    return changed


def _require_healthier(workspace: Workspace) -> None:
    try:
        require_healthier(workspace, utc_now())
    except SickerSide as error:
        hold(workspace, error)
        raise


def _lower(workspace: Workspace, percent: int, cause: str) -> None:
    taken = Workspace.open(workspace.rollout.id, take_over(workspace.rollout.id))
    after = make_safe(taken, percent, actor=ACTOR, cause=cause)
    row = taken.rollout
    weight = max(after.values(), default=0)
    taken.ledger.set_position(row.id, taken.token, phase=row.phase, weight_percent=weight, status_text=cause, now=utc_now())


def changes_of(response: SwitchOff | Throttle | SetValue) -> dict[str, Value]:
    """The values that the response sets on its target."""
    match response:
        case SwitchOff():
            return {response.feature: False}
        case Throttle():
            return {response.setting: response.to}
        case SetValue():
            return response.changes


def tell_of(workspace: Workspace, firing: Firing, reason: str) -> None:
    """Tell the trigger's channels what fires and what was done. Never raises."""
    response = firing.response
    phase = workspace.rollout.phase or workspace.plan.phase_names[0]
    trigger = workspace.plan.triggers_at(phase)[firing.trigger]
    severity: Severity = "page" if isinstance(response, Page) else trigger.severity
    body = (response.message or reason) if isinstance(response, Notify | Page) else reason
    said = f"{firing.trigger} fires: {response.kind.replace('_', ' ')}"
    try:
        text = "\n".join(part for part in (body, trigger.runbook, suggested(workspace, firing.trigger)) if part)
        tell(workspace, severity, said, text, channels=trigger.notify, cause=f"trigger:{firing.trigger}")
    except ChrysalisError as error:
        log().error("nobody was told that %s: %s", said, error)
