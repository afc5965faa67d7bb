"""The daily stand-up, the weekly and the executive summary: made by a schedule, shown in the UI, and sent."""

from typing import Literal

from prefect import State, flow
from prefect.states import Completed

from tasks.summarize import concerned_now, show_summary, summarize, tell_summary


@flow(name="report", flow_run_name="{kind} report", persist_result=False)
def report(kind: Literal["daily", "weekly", "executive"] = "daily", since: str = "", send: bool = True) -> State[None]:
    """Summarize every rollout that is on or ended since; where nothing changed nobody is told.

    Args:
        kind: Which summary
        since: How far back, such as 2d; empty: a day, a week or a month
        send: Also tell the channels of the plans
    """
    rollouts = concerned_now(kind, since)
    sections = [summarize(rollout_id, kind, since) for rollout_id in rollouts]
    show_summary(kind, since, sections)
    told = [tell_summary(kind, one) for one in sections if send and one.changed]
    return Completed(message=f"{len(sections)} rollouts, {len(told)} of them told")
