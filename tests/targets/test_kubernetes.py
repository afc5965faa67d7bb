"""A Deployment and an HTTPRoute, against a fake of the API server; `test_kubernetes_server.py` asks a real one the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from kubernetes import client

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.kubernetes import DeploymentOperator, version_of, with_version
from chrysalis.targets.kubernetes_api import STAMP, Cluster
from chrysalis.targets.kubernetes_environment import DeploymentEnvironment, text_of
from chrysalis.targets.kubernetes_route import HttpRouteRouter
from tests.metrics.servers import LoopbackServer, closed_port, serving
from tests.targets.fake_kubernetes import FakeKubernetes, deployment, http_route


def stamp(token: int, step: str = "hybrid.03") -> Stamp:
    return Stamp(token, "crystal-1", step)


@dataclass
class Running:
    """The fake with the adapters on it."""

    fake: FakeKubernetes
    server: LoopbackServer
    cluster: Cluster

    @property
    def environment(self) -> DeploymentEnvironment:
        return DeploymentEnvironment(self.cluster, "web", settle_s=0.3)

    @property
    def operator(self) -> DeploymentOperator:
        return DeploymentOperator(self.cluster, "web", limit_s=0.3)

    @property
    def router(self) -> HttpRouteRouter:
        return HttpRouteRouter(self.cluster, "web", canary="canary", stable="stable", settle_s=0.3)

    @property
    def patches(self) -> int:
        return sum(asked.method == "PATCH" for asked in self.server.asked)

    def weights(self) -> list[dict[str, int]]:
        rules = self.fake.get("httproutes", "web")["spec"]["rules"]
        return [{one["name"]: one.get("weight", 1) for one in rule["backendRefs"]} for rule in rules]


@pytest.fixture
def running() -> Iterator[Running]:
    fake = FakeKubernetes()
    fake.put("deployments", deployment(MODE="legacy", OLD="1"))
    fake.put("httproutes", http_route())
    fake.act()
    with serving(fake) as server:
        configuration = client.Configuration(host=server.url)
        configuration.retries = False
        yield Running(fake, server, Cluster("shop", configuration=configuration, timeout_s=2.0))


def test_variables_are_written_and_read_back_and_all_else_is_as_it_was(running: Running) -> None:
    """The sidecar, the secret and what this client does not know stay; None takes a variable away."""
    found = running.environment.write({"MODE": "hybrid", "WEIGHT": 0.3, "SEARCH": True, "OLD": None}, stamp(5))
    assert found == {"MODE": "hybrid", "WEIGHT": "0.3", "SEARCH": "true"} == running.environment.read()
    web, proxy = running.fake.get("deployments", "web")["spec"]["template"]["spec"]["containers"]
    assert proxy == deployment()["spec"]["template"]["spec"]["containers"][1]
    assert (web["fieldOfTheFuture"], web["image"], "TOKEN" in str(web["env"])) == (7, "registry:5000/shop/web:1.0", True)
    assert running.fake.get("deployments", "web")["metadata"]["annotations"][STAMP] == str(stamp(5))


def test_the_variables_of_another_container(running: Running) -> None:
    sidecar = DeploymentEnvironment(running.cluster, "web", "proxy")
    assert sidecar.write({"MODE": "inner"}, stamp(1)) == {"MODE": "inner"}
    assert running.environment.read()["MODE"] == "legacy"
    with pytest.raises(TargetUnavailable, match=r"no container 'db' .* it has: web, proxy"):
        DeploymentEnvironment(running.cluster, "web", "db").read()


def test_a_repeated_write_patches_nothing(running: Running) -> None:
    for _ in range(2):
        running.environment.write({"MODE": "hybrid"}, stamp(5))
        running.router.write(30, stamp(5))
        running.operator.operate("scale", {"replicas": 4}, stamp(6))
        running.operator.operate("restart", {}, stamp(7))
        running.environment.write({"MODE": "hybrid"}, stamp(8))
        once = running.patches
        running.environment.write({"MODE": "hybrid"}, stamp(8))
        assert running.patches == once
        running.fake.get("deployments", "web")["metadata"]["annotations"][STAMP] = str(stamp(4))
    restarts = [one for one in running.server.asked if b"chrysalis/restarted" in one.body]
    assert len(restarts) == 1
    assert sum(asked.path.endswith("httproutes/web") for asked in running.server.asked if asked.method == "PATCH") == 1


def test_a_variable_that_comes_from_a_secret_is_not_overwritten(running: Running) -> None:
    with pytest.raises(WriteRefused, match=r"TOKEN come\(s\) from another object"):
        running.environment.write({"TOKEN": "x"}, stamp(1))
    assert running.patches == 0


@pytest.mark.parametrize("name", ["environment", "router", "operator"])
def test_a_stale_token_changes_nothing(running: Running, name: str) -> None:
    running.environment.write({"MODE": "hybrid"}, stamp(7))
    running.router.write(30, stamp(7))
    calls = {
        "environment": lambda: running.environment.write({"MODE": "x"}, stamp(6)),
        "router": lambda: running.router.write(90, stamp(6)),
        "operator": lambda: running.operator.operate("scale", {"replicas": 9}, stamp(6)),
    }
    before = running.patches
    with pytest.raises(StaleToken, match=r"token 6 .* is older than 7"):
        calls[name]()
    assert running.patches == before


def test_a_conflict_is_read_again_and_then_the_stamp_decides(running: Running) -> None:
    """Somebody who writes between our read and our patch is not overwritten; a successor is seen."""
    running.fake.before_patch = [lambda: running.fake.change("deployments", "web", note="somebody")]
    running.environment.write({"MODE": "hybrid"}, stamp(5))
    assert running.fake.get("deployments", "web")["metadata"]["annotations"]["note"] == "somebody"
    assert running.patches == 2
    running.fake.before_patch = [lambda: running.fake.change("deployments", "web", **{STAMP: str(stamp(9))})]
    with pytest.raises(StaleToken, match="older than 9"):
        running.environment.write({"MODE": "legacy"}, stamp(6))
    assert running.environment.read()["MODE"] == "hybrid"


def test_conflicts_without_end_are_given_up(running: Running) -> None:
    running.fake.before_patch = [lambda: running.fake.change("httproutes", "web", note="again")] * 9
    with pytest.raises(TargetUnavailable, match="changed by others 5 times"):
        running.router.write(10, stamp(1))
    assert running.router.read().canary_percent == 0


@pytest.mark.parametrize(
    ("forbidden", "error", "says"),
    [
        ("get deployments", TargetUnavailable, "cannot get resource.* check its name and the role's rights"),
        ("patch deployments", WriteRefused, "403: .*cannot patch resource; nothing changed"),
    ],
)
def test_what_the_role_may_not_do(running: Running, forbidden: str, error: type[Exception], says: str) -> None:
    running.fake.forbidden = {forbidden}
    with pytest.raises(error, match=says):
        running.environment.write({"MODE": "hybrid"}, stamp(1))


def test_what_the_server_finds_invalid(running: Running) -> None:
    with pytest.raises(WriteRefused, match=r"422: .* Invalid value: \"1NO\""):
        running.environment.write({"1NO": "x"}, stamp(1))


def test_a_deployment_that_is_not_there(running: Running) -> None:
    with pytest.raises(TargetUnavailable, match=r'404: deployments\.apps "wep" not found'):
        DeploymentEnvironment(running.cluster, "wep").read()


def test_no_server_is_out_of_reach() -> None:
    with closed_port() as port:
        configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
        configuration.retries = False
        router = HttpRouteRouter(Cluster("shop", configuration=configuration), "web", canary="canary", stable="stable")
        for call in (router.read, lambda: router.write(0, stamp(1))):
            with pytest.raises(TargetUnavailable, match="the API server does not answer"):
                call()


def test_a_controller_that_is_away_leaves_a_write_unverified(running: Running) -> None:
    running.fake.controllers = False
    with pytest.raises(WriteNotVerified, match="controller has not seen the change"):
        running.environment.write({"MODE": "hybrid"}, stamp(1))
    with pytest.raises(WriteNotVerified, match=r"has 30 %, but gateway edge has not said Accepted"):
        running.router.write(30, stamp(1))


def test_a_version_is_deployed_and_put_back(running: Running) -> None:
    """What `tasks/deploy.py` asks for: what runs, the new one, and the one before again."""
    assert running.operator.read()["versions"] == {"running": ["1.0"], "current": "1.0", "previous": None}
    done = running.operator.operate("deploy", {"version": "2.0"}, stamp(1))
    assert done.summary == "2.0 on 2 replica(s), revision 2"
    assert done.state["versions"] == {"running": ["2.0"], "current": "2.0", "previous": "1.0"}
    image = running.fake.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry:5000/shop/web:2.0"
    running.environment.write({"MODE": "hybrid"}, stamp(2))
    for _ in range(2):
        done = running.operator.operate("stop", {"version": "2.0"}, stamp(3))
        assert done.state["versions"]["current"] == "1.0"
    labels = running.fake.get("deployments", "web")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web"}
    assert running.operator.operate("stop", {"version": "2.0"}, stamp(3)).summary == "2.0 does not run"


def test_undo_goes_one_revision_back_and_once_for_each_stamp(running: Running) -> None:
    running.operator.operate("deploy", {"version": "2.0"}, stamp(1))
    running.operator.operate("deploy", {"version": "3.0"}, stamp(2))
    for _ in range(2):
        assert running.operator.operate("undo", {}, stamp(3)).state["versions"]["current"] == "2.0"
    assert running.operator.operate("undo", {"revision": 1}, stamp(4)).state["versions"]["current"] == "1.0"
    with pytest.raises(WriteRefused, match="has no 9; kept: "):
        running.operator.operate("undo", {"revision": 9}, stamp(5))


def test_the_only_version_cannot_be_stopped(running: Running) -> None:
    with pytest.raises(WriteRefused, match=r"has run nothing but 1\.0"):
        running.operator.operate("stop", {"version": "1.0"}, stamp(1))
    with pytest.raises(WriteRefused, match="has no earlier one; kept: 1"):
        running.operator.operate("undo", {}, stamp(1))


def test_a_rollout_that_cannot_go_on(running: Running) -> None:
    """Seen by the controller's own word, before our patience ends."""
    running.fake.controllers = False
    found = running.fake.get("deployments", "web")
    reason = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet has timed out"}
    found["status"] |= {"observedGeneration": 2, "updatedReplicas": 1, "conditions": [reason]}
    with pytest.raises(WriteNotVerified, match=r"does not go on \(ReplicaSet has timed out\); 1 of 2 replicas are new"):
        running.operator.operate("deploy", {"version": "2.0"}, stamp(1))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"updatedReplicas": 1}, "1 of 2 replicas are new after 0.3 s"),
        ({"replicas": 3}, r"1 old replica\(s\) still run"),
        ({"availableReplicas": 0}, "0 of 2 new replicas are available"),
    ],
)
def test_a_rollout_that_is_not_done_in_time(running: Running, status: dict[str, int], says: str) -> None:
    running.fake.get("deployments", "web")["status"] |= status
    with pytest.raises(TargetUnavailable, match=says):
        running.operator.operate("status", {}, stamp(1))


def test_replicas_and_logs(running: Running) -> None:
    done = running.operator.operate("scale", {"replicas": 10}, stamp(1))
    assert done.state["replicas"] == {"wanted": 10, "ready": 10}
    running.fake.put("pods", {"metadata": {"name": "web-1", "labels": {"app": "web"}}})
    assert running.operator.operate("logs", {"lines": 2}, stamp(1)).summary == "web-1: web-1 line 48\nweb-1: web-1 line 49"
    for replicas in (-1, "many", None, True):
        with pytest.raises(WriteRefused, match="expected a number from 0 on"):
            running.operator.operate("scale", {"replicas": replicas}, stamp(1))
    with pytest.raises(WriteRefused, match="has no operation 'dance'; it has deploy, stop"):
        running.operator.operate("dance", {}, stamp(1))


def test_a_weight_is_set_in_the_rule_that_splits_and_in_no_other(running: Running) -> None:
    assert running.router.read() == Split(0, None, bypassed=True)
    assert running.router.write(30, stamp(5)) == Split(30, stamp(5), bypassed=True) == running.router.read()
    assert running.weights() == [{"canary": 1}, {"stable": 70, "canary": 30}, {"files": 1}]


def test_zero_closes_the_rule_that_bypasses_the_weight(running: Running) -> None:
    """All weights 0 would answer 500: it gets the stable Service, with the canary's port."""
    running.router.write(30, stamp(1))
    assert running.router.write(0, stamp(2)) == Split(0, stamp(2))
    assert running.weights() == [{"canary": 0, "stable": 100}, {"stable": 100, "canary": 0}, {"files": 1}]
    (header, *_) = running.fake.get("httproutes", "web")["spec"]["rules"]
    assert header["backendRefs"][1] == {"group": "", "kind": "Service", "name": "stable", "port": 80, "weight": 100}


def test_a_gateway_that_refuses(running: Running) -> None:
    route = running.fake.get("httproutes", "web")
    running.fake.controllers = False
    route["metadata"]["generation"] = 0
    running.fake.accept(route | {"metadata": {**route["metadata"], "generation": 1}}, "False", "no such Service")
    route["status"] = {"parents": [{"parentRef": {"name": "edge"}, "conditions": [
        {"type": "Accepted", "status": "True", "observedGeneration": 9},
        {"type": "ResolvedRefs", "status": "False", "message": "no such Service", "observedGeneration": 9},
    ]}]}  # fmt: skip
    with pytest.raises(WriteRefused, match="gateway edge refuses it: ResolvedRefs: no such Service"):
        running.router.write(30, stamp(1))
    route = running.fake.get("httproutes", "web")
    route["status"] = {}
    with pytest.raises(WriteNotVerified, match="no gateway has taken it up"):
        running.router.write(40, stamp(2))


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_that_cannot_be_is_refused(running: Running, percent: int) -> None:
    with pytest.raises(WriteRefused, match="not within 0-100"):
        running.router.write(percent, stamp(1))


def test_a_route_without_both_services(running: Running) -> None:
    router = HttpRouteRouter(running.cluster, "web", canary="green", stable="blue")
    with pytest.raises(TargetUnavailable, match="no rule with the Services 'green' and 'blue'"):
        router.write(0, stamp(1))
    with pytest.raises(TargetUnavailable, match="counts no requests"):
        router.counters()


@pytest.mark.parametrize(
    ("image", "version", "changed"),
    [
        ("web", "latest", "web:3"),
        ("web:1.0", "1.0", "web:3"),
        ("registry:5000/shop/web", "latest", "registry:5000/shop/web:3"),
        ("registry:5000/shop/web:1.0@sha256:ab", "1.0", "registry:5000/shop/web:3"),
        ("web@sha256:ab", "sha256:ab", "web:3"),
    ],
)
def test_versions_of_images(image: str, version: str, changed: str) -> None:
    assert (version_of(image), with_version(image, "3")) == (version, changed)


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (0.3, "0.3"), (4, "4"), ("x", "x")])
def test_values_as_text(value: str | float | bool, text: str) -> None:
    assert text_of(value) == text
