"""An operation that a target offers by name: of a database here, of everything else over its HTTP contract."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from chrysalis.clock import utc_now
from chrysalis.effects.database import maintenance, restores
from chrysalis.effects.database.read_only import set_read_only
from chrysalis.errors import StepFailed, TargetUnavailable
from chrysalis.plan import PlannedStep
from chrysalis.plan.parts import Database, HttpApi
from chrysalis.plan.steps import Operate
from chrysalis.settings import fill_in
from chrysalis.wiring import ServiceDatabase
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace

REQUEST_TIMEOUT_S = 10.0


def run(workspace: Workspace, planned: PlannedStep, spec: Operate, before: Before) -> Done:
    """Raises StepFailed (the target has no such operation, or it failed), WriteRefused, TargetUnavailable, StaleToken."""
    return Done(_do(workspace, spec, spec.action, planned.id))


def undo(workspace: Workspace, planned: PlannedStep, spec: Operate, before: Before) -> str:
    """The operation that the plan names as its undo, with the same arguments."""
    if spec.undo in (None, "nothing"):
        return "nothing to take back"
    return _do(workspace, spec, str(spec.undo), f"undo.{planned.id}")


def _do(workspace: Workspace, spec: Operate, action: str, step_id: str) -> str:
    match workspace.plan.targets[spec.target]:
        case Database():
            operation = DATABASE.get(action)
            if operation is None:
                raise StepFailed(f"target {spec.target}: a database has no {action!r}; it has {', '.join(sorted(DATABASE))}")
            return operation(workspace.database(spec.target), spec.arguments)
        case HttpApi() as api:
            url = fill_in(api.url, workspace.variables, where=f"target {spec.target}")
            return _post(url.rstrip("/") + str(spec.arguments.get("path") or f"/{action}"), action)
        case _:
            at_s = workspace.clock.to_plan(utc_now().timestamp())
            return workspace.operator(spec.target).operate(action, spec.arguments, workspace.stamp(step_id), at_s).summary


def _post(url: str, action: str) -> str:
    try:
        answer = httpx.post(url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise TargetUnavailable(f"POST {url} did not answer ({str(error) or type(error).__name__})") from error
    if not answer.is_success:
        raise StepFailed(f"POST {url} answered {answer.status_code}, expected 2xx: {answer.text.strip()[:200]}")
    return f"{action}: {answer.status_code}"


def _read_only(database: ServiceDatabase, arguments: Mapping[str, Any]) -> str:
    was = set_read_only(database.url, on=True)
    return "read-only, read back" + (" (it was already)" if was else "")


def _read_write(database: ServiceDatabase, arguments: Mapping[str, Any]) -> str:
    was = set_read_only(database.url, on=False)
    return "read and write, read back" + ("" if was else " (it was already)")


def _restore_test(database: ServiceDatabase, arguments: Mapping[str, Any]) -> str:
    backup = restores.newest(database.backups)
    rows = restores.restore_test(database.url, backup, programs=database.programs)
    return f"{backup.folder.name} was restored and compared: {rows:,} rows"


def _statement(name: str) -> Callable[[ServiceDatabase, Mapping[str, Any]], str]:
    return lambda database, arguments: maintenance.run(database.url, name)


DATABASE: dict[str, Callable[[ServiceDatabase, Mapping[str, Any]], str]] = {
    "read_only": _read_only,
    "read_write": _read_write,
    "restore_test": _restore_test,
    **{name: _statement(name) for name in maintenance.ACTIONS},
}
"""What can be done to a database by name."""

operate = step_task("operate", run, undo=undo)
