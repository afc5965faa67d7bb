"""The scheduled summaries as people find them in the Prefect UI: a page to read, and a picture of the course."""

from typing import Any

from tests.stack import RunningStack, until
from tests.ui.page import Page


def newest(stack: RunningStack, key: str) -> dict[str, Any]:
    wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    found: dict[str, Any] = until(lambda: stack.call("POST", "/artifacts/filter", wanted), f"an artifact {key}")[0]
    return found


def test_the_stand_up_is_a_page_with_a_picture_of_each_course(page: Page, stack: RunningStack) -> None:
    """Started as its schedule does, by the deployment; both artifacts are drawn by the UI."""
    rollout_id = stack.rollout_of(stack.start("ui-report", again=True)).id
    until(lambda: (stack.ledger.get(rollout_id).weight_percent or 0) >= 30, "30 %")
    deployment = stack.call("GET", "/deployments/name/report/daily")
    assert [one["schedule"]["cron"] for one in deployment["schedules"]] == ["0 9 * * 1-5"]
    run = stack.call("POST", f"/deployments/{deployment['id']}/create_flow_run", {})["id"]
    assert stack.wait_for(run, "Completed", "Failed", "Crashed") == "Completed"
    page.open(f"/v2/artifacts/artifact/{newest(stack, 'daily-report')['id']}")
    page.see("Daily stand-up", f"{rollout_id}: Crystal Observer ui-report", "What happened")
    page.shot("10-daily-report")
    page.open(f"/v2/artifacts/artifact/{newest(stack, f'{rollout_id}-course')['id']}")
    page.see_picture(at_least_wide=300)
    page.shot("11-course")
