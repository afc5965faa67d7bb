"""Who reaches the canary besides the weighted share: everybody with a header, everybody of a cohort, or nobody. The weight
stays as it is, and so does the cohort that it is taken from."""

from collections.abc import Sequence
from typing import Any

from chrysalis.errors import SettingsError
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetRoute
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import Cohort, CookieCohort, HeaderOverride
from chrysalis.targets.haproxy import HaproxyRouter
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def read_before(workspace: Workspace, planned: PlannedStep, spec: SetRoute) -> Before:
    router = _router(workspace, spec)
    if isinstance(router, HaproxyRouter):
        return {"header": router.read().bypassed}
    overrides = router.read_routing().overrides
    return {
        "overrides": [[one.header, one.value] for one in overrides if isinstance(one, HeaderOverride)],
        "cohorts": [[one.cookie, one.cohort] for one in overrides if isinstance(one, CookieCohort)],
    }


def run(workspace: Workspace, planned: PlannedStep, spec: SetRoute, before: Before) -> Done:
    """Write the routes and read them back. Raises WriteRefused, WriteNotVerified, TargetUnavailable, StaleToken."""
    router, stamp = _router(workspace, spec), workspace.stamp(planned.id)
    header, cohort = (spec.header, spec.cohort) if spec.enabled else (None, None)
    if isinstance(router, HaproxyRouter):
        router.write_routing(router.read().canary_percent, header is not None, stamp)
    else:
        opened: list[Cohort] = [] if header is None else [HeaderOverride.parse(header)]
        router.write_overrides((*opened, *(() if cohort is None else (router.cohort(cohort),))), stamp)
    named = [f"header {header}"] * (header is not None) + [f"cohort {cohort}"] * (cohort is not None)
    return Done(f"{' and '.join(named)} reach{'' if len(named) > 1 else 'es'} the canary" if named else _NOBODY)


_NOBODY = "no header and no cohort reaches the canary"


def undo(workspace: Workspace, planned: PlannedStep, spec: SetRoute, before: Before) -> str:
    """Put back the routes that stood before."""
    router, stamp = _router(workspace, spec), workspace.stamp(f"undo.{planned.id}")
    if isinstance(router, HaproxyRouter):
        header = bool(before.get("header"))
        router.write_routing(router.read().canary_percent, header, stamp)
        return f"the header's way is {'open' if header else 'closed'}, as before"
    overrides = (*_each(HeaderOverride, before.get("overrides")), *_each(CookieCohort, before.get("cohorts")))
    router.write_overrides(overrides, stamp)
    return f"{len(overrides)} override(s), as before"


def _each(kind: type[HeaderOverride] | type[CookieCohort], pairs: Sequence[Any] | None) -> list[Cohort]:
    return [kind(name, value) for name, value in pairs or ()]


def _router(workspace: Workspace, spec: SetRoute) -> EnvoyRouter | HaproxyRouter:
    router = workspace.router(spec.target)
    if not isinstance(router, EnvoyRouter | HaproxyRouter):
        raise SettingsError(f"target {spec.target} routes no header; use an envoy or haproxy target")
    return router


set_route = step_task("set_route", run, before=read_before, undo=undo)
