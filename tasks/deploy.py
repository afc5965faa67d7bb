"""Bring a version up beside the one that serves. It gets no traffic by that; taken back, it is stopped again."""

from chrysalis.errors import WriteNotVerified
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Deploy
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def _version(workspace: Workspace, spec: Deploy) -> str:
    return spec.version.replace("{version}", workspace.rollout.version)


def _running(workspace: Workspace, target: str) -> list[str]:
    """What runs, as the target itself says: its state holds `versions: {running: [...], current, previous}`."""
    return [str(one) for one in workspace.operator(target).read().get("versions", {}).get("running", ())]


def read_before(workspace: Workspace, planned: PlannedStep, spec: Deploy) -> Before:
    return {"running": _running(workspace, spec.target)}


def run(workspace: Workspace, planned: PlannedStep, spec: Deploy, before: Before) -> Done:
    """Raises WriteRefused, WriteNotVerified (it does not run), TargetUnavailable, StaleToken."""
    version = _version(workspace, spec)
    done = workspace.operator(spec.target).operate("deploy", {"version": version}, workspace.stamp(planned.id))
    running = _running(workspace, spec.target)
    if version not in running:
        raise WriteNotVerified(
            f"target {spec.target}: deployed {version}, and what runs is {', '.join(running) or 'nothing'}"
        )
    return Done(f"{version} runs beside {', '.join(one for one in running if one != version) or 'nothing'}: {done.summary}")


def undo(workspace: Workspace, planned: PlannedStep, spec: Deploy, before: Before) -> str:
    """Stop it, unless it ran before."""
    version = _version(workspace, spec)
    if version in (before.get("running") or ()):
        return f"{version} ran before, and goes on"
    stamp = workspace.stamp(f"undo.{planned.id}")
    return workspace.operator(spec.target).operate("stop", {"version": version}, stamp).summary


deploy = step_task("deploy", run, before=read_before, undo=undo)
