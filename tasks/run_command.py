"""Run a program of the checkout: an argument list, never a shell."""

from chrysalis.effects import command
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import RunCommand
from chrysalis.settings import CHECKOUT, fill_in
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def _run(workspace: Workspace, spec: RunCommand, arguments: tuple[str, ...], where: str) -> command.CommandResult:
    filled = tuple(fill_in(argument, workspace.variables, where=where) for argument in arguments)
    return command.run_command(
        filled,
        cwd=CHECKOUT,
        timeout_s=spec.timeout.total_seconds(),
        environment_names=spec.environment_variables,
        inside=CHECKOUT,
    )


def run(workspace: Workspace, planned: PlannedStep, spec: RunCommand, before: Before) -> Done:
    """Run it to its end. Raises StepFailed with the last lines when the exit code is not 0 or time runs out."""
    result = _run(workspace, spec, spec.run, planned.id)
    return Done(f"{spec.run[0]}: exit 0", {"output": result.tail})


def undo(workspace: Workspace, planned: PlannedStep, spec: RunCommand, before: Before) -> str:
    """Run the plan's own undo, where it has one."""
    if spec.undo is None or spec.undo == "nothing":
        return "nothing to take back" if spec.undo else "the plan has no undo for it"
    _run(workspace, spec, spec.undo, planned.id)
    return "ran " + " ".join(spec.undo)


run_command = step_task("run_command", run, undo=undo)
