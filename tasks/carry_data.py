"""New data over a way back: written out before it, brought in after it, as far as it fits."""

from pathlib import Path

from chrysalis.effects.database import transfer
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import ExportData, ImportData
from tasks.restore import moment_of
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def _folder(workspace: Workspace, target: str) -> Path:
    return workspace.database(target).backups / "exports" / workspace.rollout.id


def run_export(workspace: Workspace, planned: PlannedStep, spec: ExportData, before: Before) -> Done:
    """Raises TargetUnavailable."""
    database = workspace.database(spec.target)
    since = moment_of(workspace, spec.since)
    exported = transfer.export_since(
        database.url, _folder(workspace, spec.target), since=since, columns=database.time_columns
    )
    rows = ", ".join(f"{table} {count:,}" for table, count in exported.rows.items() if count) or "no rows"
    left_out = f"; without a time column and left out: {', '.join(exported.left_out)}" if exported.left_out else ""
    return Done(
        f"since {since:%F %T} UTC: {rows}{left_out}",
        {"folder": str(exported.folder), "rows": dict(exported.rows), "left_out": list(exported.left_out)},
    )


def run_import(workspace: Workspace, planned: PlannedStep, spec: ImportData, before: Before) -> Done:
    """What does not fit stays in the export and is named. Raises StepFailed for an export that was changed."""
    database = workspace.database(spec.target)
    imported = transfer.import_compatible(database.url, _folder(workspace, spec.target))
    said = [f"{sum(imported.added.values()):,} rows brought in"]
    if present := sum(imported.present.values()):
        said.append(f"{present:,} were there")
    if conflicting := sum(imported.conflicting.values()):
        said.append(f"{conflicting:,} not, another row has their key")
    said += [f"{table}: {why}" for table, why in imported.incompatible.items()]
    detail = {
        "added": dict(imported.added),
        "present": dict(imported.present),
        "conflicting": dict(imported.conflicting),
        "incompatible": dict(imported.incompatible),
    }
    return Done("; ".join(said), detail)


export_data = step_task("export_data", run_export)
import_data = step_task("import_data", run_import)
