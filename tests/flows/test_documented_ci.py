"""docs/ci.md, run to the letter: nothing but curl, jq and Prefect's own API."""

import json
import os
import re
import shutil
import subprocess

import pytest

from chrysalis.settings import CHECKOUT
from tests.desk import Desk
from tests.stack import SPEED, until

pytestmark = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed")
SNIPPETS = re.findall(r"```sh\n(.*?)```", (CHECKOUT / "docs" / "ci.md").read_text(), re.S)
CREATE, WAIT, SIGN, ON_CALL = SNIPPETS
FASTER = CREATE.replace('\\"started_by\\"', f'\\"speed\\": {SPEED:g}, \\"started_by\\"')


def shell(desk: Desk, script: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "API": desk.stack.api_url, **variables}
    command = ["bash", "-euc", script.replace("sleep 5", "sleep 0.5")]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(desk: Desk, script: str, **variables: str) -> str:
    process = shell(desk, script, **variables)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def test_ci_starts_waits_and_signs_by_prefects_api_alone(desk: Desk) -> None:
    """The same release twice is one run; the loop ends green when the rollout has completed."""
    create = FASTER + "\necho $RUN"
    assert create.count(f"{SPEED:g}") == 1
    run_id = run(desk, create, VERSION="ci-1")
    assert run(desk, create, VERSION="ci-1") == run_id
    waiting = shell(desk, WAIT, RUN=run_id)
    desk.stack.wait_for(run_id, "Suspended")
    desk.await_sign_off(desk.stack.rollout_of(run_id).id)
    run(desk, SIGN, RUN=run_id)
    waiting.communicate(timeout=90)
    assert waiting.returncode == 0
    assert desk.stack.rollout_of(run_id).outcome == "completed"


def test_on_call_rolls_back_by_prefects_api_and_the_waiting_job_turns_red(desk: Desk) -> None:
    """The on-call run is green because the way back is proven; the job that waits for the rollout is not."""
    run_id = run(desk, FASTER + "\necho $RUN", VERSION="ci-2")
    rollout_id = desk.stack.rollout_of(run_id).id
    desk.await_sign_off(rollout_id)
    on_call = re.sub(r"crystal-7", rollout_id, ON_CALL)
    back = json.loads(run(desk, on_call))["id"]
    assert desk.stack.wait_for(back, "RolledBack", "Superseded", "Failed", "Crashed", timeout_s=90) == "RolledBack"
    assert (desk.await_end(rollout_id).outcome, desk.weight) == ("rolled_back", 0)
    until(lambda: desk.stack.state(run_id)[0] == "FAILED", "the rollout's own run to end red")
    waiting = shell(desk, WAIT, RUN=run_id)
    waiting.communicate(timeout=30)
    assert waiting.returncode == 1
