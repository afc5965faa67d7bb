"""Write one of the plan's reports from what was recorded, show it in the UI, and send it to whom it is for."""

from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import MakeReport
from tasks.artifacts import artifact_key, show_markdown
from tasks.contents import contents
from tasks.notify import WAIT_S, said, tell
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace


def run(workspace: Workspace, planned: PlannedStep, spec: MakeReport, before: Before) -> Done:
    """Nothing of it can fail a rollout: what is not in the ledger is listed for people to tell."""
    named, rollout = workspace.plan.reports[spec.report], workspace.rollout
    lines = contents(workspace, named, rollout.started_at)
    text = "\n".join([f"# {rollout.id} {rollout.version}, at {rollout.weight_percent or 0} %", "", *lines])
    show_markdown(artifact_key(rollout.id, planned.id), text, named.title)
    key = f"{rollout.id}:{planned.id}"
    sent = tell(workspace, "info", named.title, text, channels=named.audience, key=key, markdown=True, wait_s=WAIT_S)
    return Done(f"{named.title} → {said(sent)}", {"report": text})


report = step_task("report", run, always=True)
