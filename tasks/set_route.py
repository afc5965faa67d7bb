"""Who reaches the canary besides the weighted share: everybody with a header, or nobody. The weight stays as it is."""

from chrysalis.errors import SettingsError
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetRoute
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import HeaderOverride, Routing
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def read_before(workspace: Workspace, planned: PlannedStep, spec: SetRoute) -> Before:
    routing = _router(workspace, spec).read_routing()
    return {"overrides": [[one.header, one.value] for one in routing.overrides]}


def run(workspace: Workspace, planned: PlannedStep, spec: SetRoute, before: Before) -> Done:
    """Write the overrides and read them back. Raises WriteRefused, WriteNotVerified, TargetUnavailable, StaleToken."""
    overrides = (_override(spec.header),) if spec.enabled and spec.header else ()
    _write(workspace, spec, planned.id, overrides)
    return Done(f"header {spec.header} reaches the canary" if overrides else "no header reaches the canary")


def undo(workspace: Workspace, planned: PlannedStep, spec: SetRoute, before: Before) -> str:
    """Put back the overrides that stood before."""
    overrides = tuple(HeaderOverride(header, value) for header, value in before.get("overrides") or ())
    _write(workspace, spec, f"undo.{planned.id}", overrides)
    return f"{len(overrides)} override(s), as before"


def _write(workspace: Workspace, spec: SetRoute, step_id: str, overrides: tuple[HeaderOverride, ...]) -> None:
    router = _router(workspace, spec)
    router.write_routing(Routing(router.read().canary_percent, overrides), workspace.stamp(step_id))


def _override(text: str) -> HeaderOverride:
    name, colon, value = text.partition(":")
    if not colon:
        raise SettingsError(f"header {text!r}: expected `name: value`, such as `x-canary: on`")
    return HeaderOverride(name.strip(), value.strip())


def _router(workspace: Workspace, spec: SetRoute) -> EnvoyRouter:
    router = workspace.router(spec.target)
    if not isinstance(router, EnvoyRouter):
        raise SettingsError(f"target {spec.target} routes no header; use an envoy target")
    return router


set_route = step_task("set_route", run, before=read_before, undo=undo)
