"""Bring the schema of the service's database forward; the way back takes it to where it stood."""

from pathlib import Path

from chrysalis.effects import migrations
from chrysalis.plan import PlannedStep
from chrysalis.plan.parts import Database
from chrysalis.plan.steps import Migrate
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def _folder(workspace: Workspace, target: str) -> Path:
    spec = workspace.plan.targets[target]
    assert isinstance(spec, Database)  # noqa: S101 - `plan check` refuses another kind
    return workspace.settings.plans / workspace.plan.name / (spec.migrations or "migrations")


def read_before(workspace: Workspace, planned: PlannedStep, spec: Migrate) -> Before:
    return {"version": migrations.current_version(workspace.database_url(spec.target))}


def run(workspace: Workspace, planned: PlannedStep, spec: Migrate, before: Before) -> Done:
    """Apply every migration up to `to`. Raises StepFailed for a changed checksum, a gap or an SQL error."""
    url, folder = workspace.database_url(spec.target), _folder(workspace, spec.target)
    applied = migrations.migrate_up(url, folder, to=spec.to)
    names = ", ".join(step.name for step in applied) or "nothing new"
    return Done(f"schema {before.get('version')} → {migrations.current_version(url)} ({names})")


def undo(workspace: Workspace, planned: PlannedStep, spec: Migrate, before: Before) -> str:
    """Back to the version that stood before."""
    url, folder = workspace.database_url(spec.target), _folder(workspace, spec.target)
    reverted = migrations.migrate_down(url, folder, to=int(before.get("version") or 0))
    return "reverted " + (", ".join(step.name for step in reverted) or "nothing")


migrate = step_task("migrate", run, before=read_before, undo=undo)
