"""Make a backup of the service's database and prove it. Nothing takes a backup back."""

from chrysalis.clock import utc_now
from chrysalis.effects.database import backups
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import BackUp
from tasks.step import Before, Done, effect_key, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: BackUp, before: Before) -> Done:
    """Raises StepFailed when what was written cannot be read back as the database is."""
    database = workspace.database(spec.target)
    backup = backups.take_backup(
        database.url,
        database.backups,
        method=spec.method,
        made_for=effect_key(workspace, planned),
        programs=database.programs,
        now=utc_now(),
    )
    size = f"{backup.bytes / 1e6:,.1f} MB"
    proof = "restored and compared" if backup.method == "dump" else "booted and read"
    return Done(f"{backup.folder.name}: {backup.rows:,} rows, {size}, {proof}", {"backup": backup.as_json()})


back_up = step_task("back_up", run)
