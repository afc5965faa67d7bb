"""Measurements that people enter: surveys, reviews, incident counts. Kept in the ledger, judged like any other."""

import math

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError
from chrysalis.plan.parts import ManualSource
from tasks.entered import ENTERED
from tasks.permission import require
from tasks.workspace import Workspace, require_known


def enter(rollout_id: str, metric: str, value: float, *, by: str) -> str:
    """Record a value of a metric whose source is `manual`, as of now; returns its unit.

    Raises SettingsError for another metric or a value that is no number, NotAllowed when the rollout has ended or `by`
    may not.
    """
    require("measure", by, rollout_id)
    workspace = Workspace.open(rollout_id, 0)
    if not workspace.rollout.active:
        raise NotAllowed(f"{rollout_id} ended {workspace.rollout.outcome}; nothing is measured for it any more")
    if not math.isfinite(value):
        raise SettingsError(f"{metric}: found {value}, expected a number")
    require_known(workspace.plan, metric, workspace.plan.metrics, "metric")
    source = workspace.plan.metrics[metric].source
    if not isinstance(workspace.plan.sources.get(source), ManualSource):
        raise SettingsError(f"{metric} is measured by source {source!r}; only metrics of a manual source are entered")
    samples = {"value": value, "by": by}
    workspace.ledger.record_baseline(rollout_id, ENTERED, metric=metric, samples=samples, now=utc_now())
    return workspace.plan.metrics[metric].unit
