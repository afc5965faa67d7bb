"""Put the service's database back: to its newest proven backup, or to the moment a phase or the rollout began."""

import time
from datetime import datetime

from chrysalis.clock import utc_now
from chrysalis.effects.database import restores
from chrysalis.errors import StepFailed
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Restore
from gates.units import format_duration
from tasks.step import Before, Done, effect_key, step_task
from tasks.workspace import Workspace

CHANGES = frozenset({"migrate", "deploy", "activate", "set_weight", "set_route", "restore", "import_data"})
"""Kinds of steps by which data may come to differ from what it was before the release."""


def run(workspace: Workspace, planned: PlannedStep, spec: Restore, before: Before) -> Done:
    """Raises StepFailed when there is no backup to go back to, or what was restored is not what the backup holds."""
    database = workspace.database(spec.target)
    key, began = effect_key(workspace, planned), time.monotonic()
    if spec.to == "latest_backup":
        restored = restores.restore_backup(
            database.url, restores.newest(database.backups), key=key, programs=database.programs
        )
    else:
        moment = moment_of(workspace, spec.to)
        if database.wal_archive is None:
            said = "has no wal_archive, without which no point in time can be reached"
            raise StepFailed(f"target {spec.target} {said}; name it in the plan, or restore to latest_backup")
        base = restores.newest(database.backups, before=moment, methods=("base",))
        restored = restores.restore_to(
            database.url, base, database.wal_archive, to=moment, key=key, programs=database.programs
        )
    took = _in_time(spec, time.monotonic() - began)
    what = f"{restored.rows:,} rows as of {restored.to:%F %T} UTC, from {restored.backup}, in {took}"
    return Done(
        f"{what}; the former database is {restored.kept_as}",
        {"to": restored.to.isoformat(), "backup": restored.backup, "kept_as": restored.kept_as},
    )


def moment_of(workspace: Workspace, word: str) -> datetime:
    """The moment that `phase_start` or `rollout_start` means: just before the first change of the phase, or of the rollout.

    A backup that a step takes first thing is before that moment, and can be gone back to.
    """
    plan, rollout = workspace.plan, workspace.rollout
    for entry in workspace.ledger.journal(rollout.id):
        if entry.event == "begun" and entry.kind in CHANGES and entry.step_id in plan.step_ids:
            planned = plan.step(entry.step_id)
            in_phase = planned.phase in plan.phase_names and (word == "rollout_start" or planned.phase == rollout.phase)
            if in_phase and planned.spec.environment in (None, "production"):
                return entry.at
    return utc_now()


def _in_time(spec: Restore, seconds: float) -> str:
    """How long it took, beside its limit. Over it is done all the same: half restored would be worse."""
    if spec.limit is None:
        return f"{seconds:.1f} s"
    over = "over" if seconds > spec.limit.total_seconds() else "within"
    return f"{seconds:.1f} s, {over} its limit of {format_duration(spec.limit)}"


restore = step_task("restore", run)
