"""Measurements that people enter: surveys, reviews, incident counts. Kept in the ledger, judged like any other."""

from chrysalis.clock import utc_now
from chrysalis.errors import SettingsError
from chrysalis.plan.parts import ManualSource
from tasks.entered import ENTERED
from tasks.workspace import Workspace, require_known


def enter(rollout_id: str, metric: str, value: float, *, by: str) -> None:
    """Record a value of a metric whose source is `manual`, as of now. Raises SettingsError for another metric."""
    workspace = Workspace.open(rollout_id, 0)
    require_known(workspace.plan, metric, workspace.plan.metrics, "metric")
    source = workspace.plan.metrics[metric].source
    if not isinstance(workspace.plan.sources.get(source), ManualSource):
        raise SettingsError(f"{metric} is measured by source {source!r}; only metrics of a manual source are entered")
    samples = {"value": value, "by": by}
    workspace.ledger.record_baseline(rollout_id, ENTERED, metric=metric, samples=samples, now=utc_now())
