"""One and five real instances: layers in waves, each with its own state, and the consensus that a gate judges."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from tasks.workspace import open_ledger
from tests.sandbox.fixtures import query, until
from tests.tasks.conftest import home
from tests.tasks.stepping import Stepped

__all__ = ["home"]

pytestmark = pytest.mark.slow

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
LAYERS = ["R1", "R2", "R3", "R4", "R5", "R6"]


def plan(names: tuple[str, ...]) -> str:
    """All six layers on one instance after another, then agreement, in a plan that names these instances."""
    states = "\n".join(
        f"  state_{name}: {{source: prometheus, unit: '', interval: 1s, query: 'consensus_state{{instance=\"{name}\"}}'}}"
        for name in names
    )
    metrics = ", ".join(f"state_{name}" for name in names)
    agree = f"{{consensus: {{metrics: [{metrics}], instances: {len(names)}, below: 0.01}}}}"
    return f"""
chrysalis: 1
name: cascade
service: cascade
targets:
  layers: {{layers: {{url: "${{LAYERS_URL}}", layers: [R1, R2, R3, R4, R5, R6], instances: [{", ".join(names)}]}}}}
sources: {{prometheus: {{prometheus: {{url: "${{PROMETHEUS_URL}}", scrape_interval: 1s}}}}}}
metrics:
{states}
triggers: {{apart: {{when: {{consensus: {{metrics: [{metrics}], above: 0.05}}}}, respond: roll_back}}}}
phases:
  - name: one
    steps:
      - waves: {{target: layers, layers: [R1, R2, R3, R4, R5, R6], instances: [{", ".join(names)}], each: 1s}}
      - gate: {{name: agree, all: [{agree}], within: 30s}}
"""


@pytest.fixture(scope="module", params=[1, 5], ids=["single", "five"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    regions = dict.fromkeys(NAMES[: request.param], "us-east")
    settings = SandboxSettings(load=False, instances=regions)
    with Sandbox.start(tmp_path_factory.mktemp("topology"), settings=settings) as sandbox:
        yield sandbox


def test_in_waves_to_agreement(running: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(running.fleet.ports)
    monkeypatch.setenv("LAYERS_URL", running.fleet.control_url + "/layers")
    monkeypatch.setenv("PROMETHEUS_URL", running.state.urls["prometheus"])
    for index, name in enumerate(names):
        httpx.put(running.fleet.url(name) + "/state", json={"value": 0.2 * index})
    rollout = Stepped(plan(names), version="v2")
    for index, step in enumerate(one for one in rollout.plan.itinerary if one.kind == "activate"):
        rollout.run(step.id)
        on = [httpx.get(running.fleet.url(name) + "/state").json()["layers"] for name in names]
        assert on == [LAYERS] * (index + 1) + [[]] * (len(names) - index - 1)
    until(lambda: len(query(running, "consensus_state")) == len(names))
    assert f"of {len(names)} instances" in rollout.run("agree")
    found = open_ledger().findings(rollout.id)[-1].findings[0]
    assert found["numbers"]["connectivity"] == (0 if len(names) == 1 else len(names))
