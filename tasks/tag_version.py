"""Mark a version in the service's repository: a tag, and a branch to archive it. Repeating it changes nothing."""

from pathlib import Path

from chrysalis.effects import command
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import TagVersion
from chrysalis.settings import fill_in
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace

TIMEOUT_S = 30.0


def run(workspace: Workspace, planned: PlannedStep, spec: TagVersion, before: Before) -> Done:
    """Tag and branch the repository's HEAD. Raises StepFailed when git refuses."""
    repository = Path(fill_in(spec.repository, workspace.variables, where=planned.id))
    tag = fill_in(spec.tag, workspace.variables, where=planned.id)
    _git(repository, "tag", "--force", tag)
    if spec.branch:
        _git(repository, "branch", "--force", fill_in(spec.branch, workspace.variables, where=planned.id))
    return Done(f"tag {tag}" + (f", branch {spec.branch}" if spec.branch else ""))


def undo(workspace: Workspace, planned: PlannedStep, spec: TagVersion, before: Before) -> str:
    """Take the tag and the branch away again."""
    repository = Path(fill_in(spec.repository, workspace.variables, where=planned.id))
    _git(repository, "tag", "--delete", fill_in(spec.tag, workspace.variables, where=planned.id))
    if spec.branch:
        _git(repository, "branch", "-D", fill_in(spec.branch, workspace.variables, where=planned.id))
    return f"took tag {spec.tag} away"


def _git(repository: Path, *arguments: str) -> None:
    command.run_command(("git", *arguments), cwd=repository, timeout_s=TIMEOUT_S, environment_names=())


tag_version = step_task("tag_version", run, undo=undo)
