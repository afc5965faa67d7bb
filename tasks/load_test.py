"""Bounded load against the new version, judged by the plan's thresholds. Nothing is left to take back."""

from collections.abc import Iterator

from chrysalis.effects.load_test import RAMP_S, Load, LoadResult, run_load
from chrysalis.errors import StepFailed
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import LoadTest
from chrysalis.settings import fill_in
from gates.units import Quantity, show_pair
from gates.verdict import Finding, Verdict, worst
from tasks.evaluate_gate import keep, said
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace

SHORTEST_S = 5.0
"""Real seconds that a load test takes at least, however fast the plan's clock runs: less would measure nothing."""


def run(workspace: Workspace, planned: PlannedStep, spec: LoadTest, before: Before) -> Done:
    """Raises StepFailed when a threshold does not hold, with what came back."""
    url = fill_in(spec.url, workspace.variables, where=planned.id)
    duration_s = max(workspace.clock.real_span_s(spec.duration), SHORTEST_S)
    result = run_load(
        Load(
            url=url,
            users=spec.users,
            duration_s=duration_s,
            headers=spec.headers,
            bodies=spec.bodies,
            expect_headers=spec.expect_headers,
            contains=spec.contains,
            pause_at_least_s=spec.pause_at_least.total_seconds(),
            pause_at_most_s=spec.pause_at_most.total_seconds(),
            ramp_s=RAMP_S if spec.ramp is None else duration_s * (spec.ramp / spec.duration),
            timeout_s=spec.timeout.total_seconds(),
        )
    )
    findings = list(judge(spec, result))
    keep(workspace, planned, findings)
    if worst(findings) is not Verdict.PASS:
        raise StepFailed(f"{spec.users} users: {said(findings)} ({result})")
    return Done(f"{spec.users} users: {result}", {"findings": [finding.as_json() for finding in findings]})


def judge(spec: LoadTest, result: LoadResult) -> Iterator[Finding]:
    """A finding per threshold of the plan."""
    measured: tuple[tuple[str, Quantity | None, float | None, str], ...] = (
        ("p50", spec.p50, result.p50_ms, "ms"),
        ("p95", spec.p95, result.p95_ms, "ms"),
        ("p99", spec.p99, result.p99_ms, "ms"),
        ("first token p95", spec.first_token, result.first_token_p95_ms, "ms"),
        ("failures", spec.failures, result.failure_ratio, "ratio"),
    )
    for name, limit, value, unit in measured:
        if limit is None:
            continue
        if value is None:
            yield Finding(Verdict.INCONCLUSIVE, f"{name}: no event stream came back, nothing was measured", name)
            continue
        most = limit.to(unit)
        shown, against = show_pair(value, most, unit)
        verdict = Verdict.PASS if value <= most else Verdict.FAIL
        sign = "<=" if verdict is Verdict.PASS else ">"
        yield Finding(verdict, f"{name} {shown} {sign} {against}", name, {"value": value, "limit": most})


load_test = step_task("load_test", run, always=False)
