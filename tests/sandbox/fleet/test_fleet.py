"""Three real instances, their layers, their consensus, and the tasks that operate them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chrysalis.errors import StaleToken, StepFailed, WriteRefused
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.base import Stamp
from chrysalis.targets.operator import HttpOperator
from tests.sandbox.fixtures import query, until
from tests.tasks.conftest import home
from tests.tasks.stepping import Stepped

__all__ = ["home"]

PLAN = """
chrysalis: 1
name: cascade
service: cascade
targets:
  layers: {layers: {url: "${LAYERS_URL}", layers: [R1, R2, R3], instances: [alpha, beta, gamma]}}
  manager: {versions: {url: "${VERSIONS_URL}"}}
  regions: {regions: {url: "${REGIONS_URL}", regions: [us-east, us-west]}}
sources: {prometheus: {prometheus: {url: "http://127.0.0.1:1"}}}
metrics: {errors: {source: prometheus, unit: ratio, query: errors}}
triggers: {high: {when: {threshold: {metric: errors, above: 5%}}, respond: roll_back}}
phases:
  - name: one
    steps:
      - deploy: {target: manager}
      - activate: {name: two_on_alpha, target: layers, layers: [R2, R1], instances: [alpha]}
      - activate: {name: third_on_alpha, target: layers, layers: [R3], instances: [alpha]}
      - activate: {name: first_on_beta, target: layers, layers: [R1], instances: [beta]}
      - operate: {name: healthy, target: layers, action: check_health, undo: nothing,
                  arguments: {layers: [R1, R2], instances: [alpha]}}
operations:
  restart: {title: Restart alpha, steps: [{operate: {name: restart, target: layers, action: restart_instance,
            arguments: {instance: alpha}}}]}
  sync: {title: Sync, steps: [{operate: {name: sync, target: layers, action: force_consensus_sync}}]}
  west: {title: Fail over, steps: [{operate: {name: west, target: regions, action: redirect_traffic,
         arguments: {to: us-west}, undo: redirect_back}}]}
  off: {title: R2 off, steps: [{deactivate: {name: 'off', target: layers, layers: [R1, R2, R3], instances: [alpha]}}]}
"""
REGIONS = {"alpha": "us-east", "beta": "us-east", "gamma": "us-west"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    settings = SandboxSettings(load=False, instances=REGIONS, restart_after_s=0.1)
    with Sandbox.start(tmp_path_factory.mktemp("fleet"), settings=settings) as sandbox:
        yield sandbox


@pytest.fixture
def fleet(running: Sandbox) -> Iterator[Sandbox]:
    """No layer on, nothing wrong."""
    for name in REGIONS:
        httpx.put(running.fleet.url(name) + "/state", json={"layers": [], "frameworks_off": [], "value": 1.0})
    yield running
    running.fleet_fault()


@pytest.fixture
def rollout(home: Path, fleet: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Stepped:
    for target in ("layers", "versions", "regions"):
        monkeypatch.setenv(f"{target.upper()}_URL", f"{fleet.fleet.control_url}/{target}")
    return Stepped(PLAN, version="v2")


def on(sandbox: Sandbox, instance: str) -> list[str]:
    layers: list[str] = httpx.get(sandbox.fleet.url(instance) + "/state").json()["layers"]
    return layers


def answered_in(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Region and instance that answer two requests to the front door, in order of the names."""
    answers = [httpx.get(sandbox.fleet.control_url + "/gateway/health") for _ in range(2)]
    assert all(one.json()["region"] == one.headers["x-region"] for one in answers)
    return sorted((one.headers["x-region"], one.headers["x-instance"]) for one in answers)


def test_layers_go_on_from_the_bottom_and_off_from_the_top(rollout: Stepped, fleet: Sandbox) -> None:
    """In whatever order the plan names them; repeated it switches nothing."""
    assert "R2, R1 on alpha: on" in rollout.run("two_on_alpha").replace("R1, R2", "R2, R1")
    assert on(fleet, "alpha") == ["R1", "R2"]
    assert "0 of 2 switched" in rollout.run("two_on_alpha")
    rollout.run("third_on_alpha")
    rollout.run("off")
    assert on(fleet, "alpha") == []
    history = httpx.get(fleet.fleet.control_url + "/history").json()
    last = [(one["action"], one["arguments"]["layer"]) for one in history][-6:]
    assert last == [*[("activate_layer", f"R{n}") for n in (1, 2, 3)], *[("deactivate_layer", f"R{n}") for n in (3, 2, 1)]]


def test_undone_is_what_stood_before(rollout: Stepped, fleet: Sandbox) -> None:
    """A layer that was on before the step stays on."""
    rollout.run("two_on_alpha")
    rollout.run("third_on_alpha")
    assert rollout.undo("third_on_alpha") == "1 switched off, 0 on, as before"
    assert on(fleet, "alpha") == ["R1", "R2"]
    assert rollout.undo("two_on_alpha") == "2 switched off, 0 on, as before"
    assert on(fleet, "alpha") == []


SAME = Stamp(1_000_002, "cascade-1", "x")
"""The token of a first rollout's first process, as every test here has it."""


def test_a_layer_without_the_one_below_it_is_refused(fleet: Sandbox) -> None:
    """By the target itself, whatever a plan says; and a stale token is refused too."""
    operator = HttpOperator(fleet.fleet.control_url + "/layers")
    with pytest.raises(WriteRefused, match="R2 stands on R1, which is off on gamma"):
        operator.operate("activate_layer", {"layer": "R2", "instance": "gamma"}, SAME)
    with pytest.raises(StaleToken, match="is older than that of"):
        operator.operate("activate_layer", {"layer": "R1", "instance": "gamma"}, Stamp(1, "cascade-1", "x"))
    with pytest.raises(WriteRefused, match=r"no operation 'fly'; there is .*activate_layer"):
        operator.operate("fly", {}, SAME)
    assert on(fleet, "gamma") == []


def test_a_restarted_instance_is_another_process_with_its_state(rollout: Stepped, fleet: Sandbox) -> None:
    rollout.run("two_on_alpha")
    before = fleet.state.pids["instance-alpha"]
    assert rollout.run("restart") == "alpha was restarted and answers"
    assert fleet.state.pids["instance-alpha"] != before
    assert on(fleet, "alpha") == ["R1", "R2"]
    assert rollout.run("healthy") == "alpha healthy"


def test_health_fails_where_a_layer_is_not_on(rollout: Stepped) -> None:
    with pytest.raises(StepFailed, match="R1, R2 should be on on alpha, and is not"):
        rollout.run("healthy")


def value(sandbox: Sandbox, instance: str) -> float:
    return float(httpx.get(sandbox.fleet.url(instance) + "/state").json()["value"])


def apart(sandbox: Sandbox) -> float:
    values = [value(sandbox, name) for name in REGIONS]
    return max(values) - min(values)


def error(sandbox: Sandbox) -> float:
    return float(httpx.get(sandbox.fleet.url("alpha") + "/state").json()["consensus_error"])


def test_instances_that_differ_come_to_agree(fleet: Sandbox) -> None:
    """By asking each other: each ends near the same value, between what they began with."""
    for name, begun in (("alpha", 0.0), ("beta", 0.3), ("gamma", 0.6)):
        httpx.put(fleet.fleet.url(name) + "/state", json={"value": begun})
    until(lambda: apart(fleet) < 0.01)
    assert all(0.05 < value(fleet, name) < 0.55 for name in REGIONS)


def test_one_that_drifts_is_seen_and_a_sync_brings_it_back(rollout: Stepped, fleet: Sandbox) -> None:
    """The error passes the document's 0.05 while it hears nobody; with the cause gone, one sync is enough."""
    fleet.fleet_fault(diverging="gamma")
    until(lambda: error(fleet) > 0.05)
    fleet.fleet_fault()
    assert "alpha, beta, gamma agree on" in rollout.run("sync")
    until(lambda: error(fleet) < 0.01)


def test_traffic_goes_to_the_other_region_and_back(rollout: Stepped, fleet: Sandbox) -> None:
    """Every request to the front door is answered there, until it is moved back; the instances take turns."""
    assert answered_in(fleet) == [("us-east", "alpha"), ("us-east", "beta")]
    assert rollout.run("west") == "all traffic goes to us-west"
    assert answered_in(fleet) == [("us-west", "gamma"), ("us-west", "gamma")]
    assert rollout.undo("west") == "all traffic goes to us-east again"
    assert answered_in(fleet) == [("us-east", "alpha"), ("us-east", "beta")]


def test_no_traffic_goes_where_nobody_answers(rollout: Stepped, fleet: Sandbox) -> None:
    """A region without an instance is not activated, and its requests fail until somebody moves the traffic."""
    regions = HttpOperator(fleet.fleet.control_url + "/regions")
    rollout.run("west")
    fleet.stop_part("instance-gamma")
    with pytest.raises(WriteRefused, match="no instance of us-west answers"):
        regions.operate("activate", {"region": "us-west"}, SAME)
    assert httpx.get(fleet.fleet.control_url + "/gateway/health").status_code == 503
    rollout.undo("west")
    assert httpx.get(fleet.fleet.control_url + "/gateway/health").status_code == 200
    fleet.start_part("instance-gamma")
    until(lambda: regions.read()["down"] == [])


def test_a_version_comes_up_beside_the_one_that_serves_and_is_stopped_again(rollout: Stepped, fleet: Sandbox) -> None:
    versions = HttpOperator(fleet.fleet.control_url + "/versions")
    assert "v2 runs beside v1" in rollout.run("deploy")
    assert versions.read()["versions"]["running"] == ["v1", "v2"]
    assert rollout.undo("deploy") == "v2 stopped"
    assert versions.read()["versions"] == {"current": "v1", "previous": None, "running": ["v1"]}


def test_what_prometheus_sees_is_the_documents_own(rollout: Stepped, fleet: Sandbox) -> None:
    """The names of the document, by instance; a layer that is off says nothing, and one that is on its amplification."""
    rollout.run("two_on_alpha")
    until(lambda: [one["value"] for one in query(fleet, "min(r2_alpha_amplification)")] == ["2.07"])
    assert query(fleet, "r3_beta_amplification") == []
    until(lambda: [one["instance"] for one in query(fleet, 'layer_enabled{layer="R2"} == 1')] == ["alpha"])
    until(lambda: [one["value"] for one in query(fleet, 'min(up{job="instance_coordinator"})')] == ["1"])
    until(lambda: bool(query(fleet, "sum(rate(framework_operations_total[5s])) > 0")))
