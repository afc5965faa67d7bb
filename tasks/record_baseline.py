"""Keep what metrics were, to compare with later: the "before" of the rollout."""

from chrysalis.clock import utc_now
from chrysalis.errors import StepFailed
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import RecordBaseline
from gates.observation import Need, Selector, Series
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: RecordBaseline, before: Before) -> Done:
    """Record the stable side of each metric. Raises StepFailed when one has no data: a baseline of nothing is none."""
    over_s = spec.over.total_seconds()
    kept = []
    for metric in spec.metrics:
        selector = Selector(metric, "stable")
        found = workspace.measure([Need(selector, over_s)], utc_now())[selector]
        if not isinstance(found, Series) or not len(found):
            reason = "no data" if isinstance(found, Series) else found.reason
            raise StepFailed(f"{metric} on the stable side cannot be recorded: {reason}")
        samples = [[float(t), float(v)] for t, v in zip(found.times_s, found.values, strict=True)]
        workspace.ledger.record_baseline(
            workspace.rollout.id,
            spec.baseline,
            metric=metric,
            samples={"unit": found.unit, "interval_s": found.interval_s, "samples": samples},
            now=utc_now(),
        )
        kept.append(f"{metric} ({len(found)} samples)")
    return Done(f"baseline {spec.baseline}: " + ", ".join(kept))


record_baseline = step_task("record_baseline", run, always=True)
