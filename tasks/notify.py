"""Tell people. What cannot be delivered is recorded and never stops a rollout or a way back."""

from collections.abc import Mapping

from chrysalis.effects.notices import Delivery, Notice, channels_for, send
from chrysalis.plan import Plan, PlannedStep
from chrysalis.plan.parts import Severity
from chrysalis.plan.steps import Notify
from chrysalis.settings import fill_in
from tasks.step import Before, Done, log, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: Notify, before: Before) -> Done:
    """Send the step's message to its channels, or to those of its severity."""
    deliveries = tell(workspace, spec.severity, spec.message, planned.title, channels=spec.channels)
    return Done(f"{spec.message} → {said(deliveries)}")


def tell(
    workspace: Workspace, severity: Severity, title: str, body: str, *, channels: tuple[str, ...] = (), key: str = ""
) -> list[Delivery]:
    """Send a notice about this rollout. Never raises: a lost notice is reported as such."""
    names = channels or channels_for(severity, workspace.plan.notifications.routes)
    notice = Notice(
        severity=severity,
        title=f"[{workspace.rollout.id}] {title}",
        body=body,
        rollout_id=workspace.rollout.id,
        dedupe_key=key or f"{workspace.rollout.id}:{title}",
    )
    deliveries = send(
        notice, addresses(workspace.plan, names, workspace.variables), workspace.settings.home / "notices.jsonl"
    )
    for delivery in deliveries:
        if not delivery.delivered:
            log().warning("notice to %s was not delivered: %s", delivery.channel, delivery.reason)
    return deliveries


def addresses(plan: Plan, names: tuple[str, ...], variables: Mapping[str, str]) -> dict[str, str]:
    """Channel name to address; a channel whose variable is not set has the address `log:`."""
    found = {}
    for name in names:
        try:
            found[name] = fill_in(plan.channels[name].url, variables, where=f"{plan.name}: channel {name}")
        except Exception:
            found[name] = "log:"
    return found


def said(deliveries: list[Delivery]) -> str:
    """Who was told, in words."""
    return (
        ", ".join(f"{one.channel} ({'sent' if one.delivered else 'lost: ' + one.reason})" for one in deliveries) or "nobody"
    )


notify = step_task("notify", run)
