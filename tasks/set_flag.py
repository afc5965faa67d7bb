"""Change named values: the configuration and feature switches of the service, verified by reading back."""

from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetFlag
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def read_before(workspace: Workspace, planned: PlannedStep, spec: SetFlag) -> Before:
    values = workspace.switchboard(spec.target).read()
    return {"values": {name: values.get(name) for name in spec.values}}


def run(workspace: Workspace, planned: PlannedStep, spec: SetFlag, before: Before) -> Done:
    """Write the values and read them back. Raises WriteRefused, WriteNotVerified, TargetUnavailable, StaleToken."""
    workspace.switchboard(spec.target).write(spec.values, workspace.stamp(planned.id))
    return Done(", ".join(f"{name}={value}" for name, value in spec.values.items()))


def undo(workspace: Workspace, planned: PlannedStep, spec: SetFlag, before: Before) -> str:
    """Put back what stood before."""
    values = dict(before.get("values") or {})
    if not values:
        return "nothing was read before; nothing put back"
    workspace.switchboard(spec.target).write(values, workspace.stamp(f"undo.{planned.id}"))
    return "put back " + ", ".join(f"{name}={value}" for name, value in values.items())


set_flag = step_task("set_flag", run, before=read_before, undo=undo)
