"""Ask the service itself, and compare what comes back: status, headers, body."""

from chrysalis.effects import smoke
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SmokeTest
from chrysalis.settings import fill_in
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: SmokeTest, before: Before) -> Done:
    """Every request, all failures at once. Raises StepFailed."""
    where = f"{planned.id}: url"
    requests = [
        smoke.SmokeRequest(
            method=check.method,
            url=fill_in(check.url, workspace.variables, where=where),
            headers={
                name: fill_in(value, workspace.variables, where=f"{planned.id}: header {name}", secret=True)
                for name, value in check.headers.items()
            },
            json_body=check.body,
            expect_status=check.status,
            expect_headers=check.expect_headers,
            expect_json=check.expect_json,
            expect_contains=check.contains,
        )
        for check in spec.requests
    ]
    smoke.smoke_test(requests, timeout_s=spec.timeout.total_seconds(), tries=spec.tries)
    return Done(f"{len(requests)} requests answered as expected")


smoke_test = step_task("smoke_test", run)
