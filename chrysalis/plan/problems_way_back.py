"""Whether the ways back can work: every effect has its compensation, what is restored was backed up, and no migration takes
the schema away from the version that serves before the point of no return.

The migrations themselves are read only where the plan's folder is known: by `load_plan`, not for a text alone.
"""

from collections.abc import Iterator
from pathlib import Path

from chrysalis.errors import StepFailed
from chrysalis.plan import parts
from chrysalis.plan import steps as kinds
from chrysalis.plan.document import Location
from chrysalis.plan.finding import Found
from chrysalis.plan.migration_files import read_migrations
from chrysalis.plan.model import Phase, Plan, Rollback


def way_back_problems(plan: Plan) -> Iterator[Found]:
    """What a way back needs and does not have."""
    yield from _compensations(plan)
    for name, rollback in plan.rollbacks.items():
        phases = [phase for phase in plan.phases if phase.rollback == name] or list(plan.phases[-1:])
        yield from _restores(plan, ("rollbacks", name), rollback, phases)
        yield from _imports(("rollbacks", name), rollback)


def migration_problems(plan: Plan, folder: Path) -> Iterator[Found]:
    """What the migration files beside the plan would do to a rollback. Files that cannot be read are a finding, too."""
    reached: dict[str, int] = {}
    signed = False
    for index, phase in enumerate(plan.phases):
        for position, step in enumerate(phase.steps):
            signed = signed or (isinstance(step, kinds.SignOff) and step.point_of_no_return)
            if isinstance(step, kinds.Migrate):
                at: Location = ("phases", index, "steps", position, "migrate")
                yield from _migrates(plan, at, step, folder, reached, signed=signed)


def _compensations(plan: Plan) -> Iterator[Found]:
    """A step whose effect only the plan knows must say how it is taken back, where its phase is undone step by step."""
    for index, phase in enumerate(plan.phases):
        for position, step in enumerate(phase.steps):
            lacks = isinstance(step, kinds.RunCommand | kinds.Operate) and step.undo is None
            if not lacks or step.irreversible or not _undone(plan, phase):
                continue
            kind = kinds.KIND_OF[type(step)]
            what = "the command" if kind == "run_command" else "the action"
            said = f"found no undo, and rollback {phase.rollback!r} undoes each step; expected {what} that takes it back"
            yield ("phases", index, "steps", position, kind), f"{said}, or undo: nothing where it changes nothing"


def _undone(plan: Plan, phase: Phase) -> bool:
    rollback = plan.rollbacks.get(phase.rollback)
    return rollback is not None and rollback.undo


def _restores(plan: Plan, at: Location, rollback: Rollback, phases: list[Phase]) -> Iterator[Found]:
    """A restore needs a backup that some step took before, of a kind that reaches that far."""
    for position, step in enumerate(rollback.steps):
        target = plan.targets.get(step.target) if isinstance(step, kinds.Restore) else None
        if not isinstance(step, kinds.Restore) or not isinstance(target, parts.Database):
            continue
        where: Location = (*at, "steps", position, "restore")
        if step.to != "latest_backup" and target.wal_archive is None:
            said = f"found {step.to!r}, and target {step.target!r} has no wal_archive; expected one, or to: latest_backup"
            yield (*where, "to"), said
        method = None if step.to == "latest_backup" else "base"
        for phase in phases:
            if not _backed_up(plan, phase, step.target, method):
                wanted = "back_up step" if method is None else "back_up step with method: base"
                yield where, f"found no backup of {step.target!r} that phase {phase.name!r} could use, expected a {wanted}"


def _backed_up(plan: Plan, phase: Phase, target: str, method: str | None) -> bool:
    """Whether a backup is taken in or before the phase; later than its first change there would be too late for it."""
    until = plan.phase_names.index(phase.name)
    return any(
        isinstance(step, kinds.BackUp) and step.target == target and method in (None, step.method)
        for earlier in plan.phases[: until + 1]
        for step in earlier.steps
    )


def _imports(at: Location, rollback: Rollback) -> Iterator[Found]:
    exported: set[str] = set()
    for position, step in enumerate(rollback.steps):
        if isinstance(step, kinds.ExportData):
            exported.add(step.target)
        if isinstance(step, kinds.ImportData) and step.target not in exported:
            said = f"found no export of {step.target!r} before it, expected an export_data step earlier in this rollback"
            yield (*at, "steps", position, "import_data"), said


def _migrates(
    plan: Plan, at: Location, step: kinds.Migrate, folder: Path, reached: dict[str, int], *, signed: bool
) -> Iterator[Found]:
    target = plan.targets.get(step.target)
    if not isinstance(target, parts.Database) or target.migrations is None:
        return
    try:
        migrations = read_migrations(folder / target.migrations)
    except StepFailed as error:
        yield (*at, "target"), f"found {target.migrations!r}, expected migrations that can be used: {error}"
        return
    last = len(migrations) if step.to is None else step.to
    if last > len(migrations):
        yield (*at, "to"), f"found version {last}, expected at most {len(migrations)}, the newest file"
    for migration in migrations[reached.get(step.target, 0) : last]:
        if migration.kind == "contract" and not signed:
            said = (
                f"found {migration.name}, a contract migration: the version that serves cannot work with it, nor a rollback"
            )
            wanted = f"it after a sign_off with point_of_no_return, and to: {migration.version - 1} here"
            yield at, f"{said}; expected {wanted}"
    reached[step.target] = max(reached.get(step.target, 0), last)
