"""Two rollouts of two services that want the same router or the same named value: the second is refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import TargetBusy
from chrysalis.ledger import Rollout
from chrysalis.sandbox.sandbox import Sandbox
from tasks.lifecycle import register, take_over
from tasks.workspace import open_ledger, settings

FLAGS = """
chrysalis: 1
name: {name}
service: {name}
targets:
  traffic: {{envoy: {{admin_url: "${{ENVOY_ADMIN_URL}}", route_file: "${{ENVOY_ROUTE_FILE}}"}}}}
  config: {{http_api: {{url: "${{SERVICE_URL}}"}}}}
sources: {{database: {{sql: {{url: "${{SERVICE_DATABASE_URL}}"}}}}}}
metrics: {{errors: {{source: database, unit: ratio, direction: lower_is_better, query: SELECT 0.01}}}}
triggers: {{errors: {{when: {{threshold: {{metric: errors, above: 5%}}}}, respond: roll_back}}}}
phases:
  - name: all
    steps:
      - {step}
"""
WEIGHT = "set_weight: 30%"
FLAG = "set_flag: {target: config, values: {features.emergence: true}}"
OTHER_FLAG = "set_flag: {target: config, values: {mode: hybrid}}"
WHOLE = 'set_flag: {target: config, values: {features: "off"}}'
Start = Callable[..., Rollout]


@pytest.fixture
def start(home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a plan of one step, as the command line does."""
    plans = home / "plans"
    monkeypatch.setenv("CHRYSALIS_PLANS", str(plans))
    settings.cache_clear()

    def begun(name: str, step: str, *, dry_run: bool = False) -> Rollout:
        (plans / name).mkdir(parents=True, exist_ok=True)
        (plans / name / "plan.yaml").write_text(FLAGS.format(name=name, step=step))
        made, _ = register(name, "1", reason="", started_by="ci", speed=1.0, dry_run=dry_run, again=False)
        return made

    return begun


@pytest.mark.parametrize(("first", "second"), [(WEIGHT, WEIGHT), (FLAG, FLAG), (FLAG, WHOLE)])
def test_the_second_is_refused_until_the_first_has_ended(start: Start, first: str, second: str) -> None:
    running = start("one", first)
    with pytest.raises(TargetBusy, match=r"rollout one-1 of service one changes .* `chrysalis abort one-1`"):
        start("two", second)
    ledger, token = open_ledger(), take_over(running.id)
    ledger.set_state(running.id, token, state="ended", outcome="aborted", now=utc_now())
    assert start("two", second).active


def test_another_value_of_the_same_api_is_another_target(start: Start) -> None:
    start("one", FLAG)
    assert start("two", OTHER_FLAG).active


def test_a_dry_run_changes_nothing_and_so_keeps_nobody_out(start: Start) -> None:
    start("one", WEIGHT, dry_run=True)
    assert start("two", WEIGHT).active
