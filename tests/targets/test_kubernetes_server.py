"""The Kubernetes targets on a real API server with the real controllers: `make kubernetes`.

`CHRYSALIS_TEST_KUBECONFIG` names the server. Each test has a namespace of its own there, which is deleted. No nodes are
needed: what waits for pods is asked of a Deployment without replicas. What the fake says in the other tests is said here by
the real one.
"""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client, config

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.kubernetes import DeploymentOperator
from chrysalis.targets.kubernetes_api import DEPLOYMENT, HTTP_ROUTE, STAMP, Cluster
from chrysalis.targets.kubernetes_environment import DeploymentEnvironment
from chrysalis.targets.kubernetes_route import HttpRouteRouter
from tests.sandbox.fixtures import until
from tests.targets.fake_kubernetes import deployment, http_route

KUBECONFIG = os.environ.get("CHRYSALIS_TEST_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="CHRYSALIS_TEST_KUBECONFIG names no server: make kubernetes")

CRD_NAME = f"{HTTP_ROUTE.plural}.{HTTP_ROUTE.group}"
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SCHEMA = {"type": "object", "properties": {"spec": _ANYTHING, "status": _ANYTHING}}
HTTP_ROUTES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    # The name is in a group that is protected; this says that it was not approved, as a test's own must.
    "metadata": {"name": CRD_NAME, "annotations": {"api-approved.kubernetes.io": "unapproved, for chrysalis' tests"}},
    "spec": {
        "group": HTTP_ROUTE.group,
        "scope": "Namespaced",
        "names": {"plural": HTTP_ROUTE.plural, "singular": "httproute", "kind": HTTP_ROUTE.title},
        "versions": [
            {
                "name": HTTP_ROUTE.version,
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _SCHEMA},
                "subresources": {"status": {}},
            }
        ],
    },
}


def stamp(token: int, step: str = "hybrid.03") -> Stamp:
    return Stamp(token, "crystal-1", step)


@dataclass
class Running:
    """A namespace of the real server, with a Deployment `web`, and the adapters on it."""

    api: client.ApiClient
    cluster: Cluster

    @property
    def environment(self) -> DeploymentEnvironment:
        return DeploymentEnvironment(self.cluster, "web")

    @property
    def operator(self) -> DeploymentOperator:
        return DeploymentOperator(self.cluster, "web", limit_s=20.0)

    @property
    def router(self) -> HttpRouteRouter:
        return HttpRouteRouter(self.cluster, "web", canary="canary", stable="stable")

    def annotate(self, name: str, value: str) -> None:
        """Somebody else writes."""
        body = {"metadata": {"annotations": {name: value}}}
        client.AppsV1Api(self.api).patch_namespaced_deployment("web", self.cluster.namespace, body)

    def empty(self) -> None:
        """No replicas, so that a rollout is over without a node."""
        self.operator.operate("scale", {"replicas": 0}, stamp(1))


@pytest.fixture(scope="module")
def api() -> client.ApiClient:
    configuration = client.Configuration()
    config.load_kube_config(KUBECONFIG, client_configuration=configuration)
    return client.ApiClient(configuration)


@pytest.fixture
def running(api: client.ApiClient) -> Iterator[Running]:
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    name = f"chrysalis-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": name}})
    body = deployment(MODE="legacy", OLD="1")
    # A real server keeps no field it does not know.
    body["spec"]["template"]["spec"]["containers"][0].pop("fieldOfTheFuture")
    apps.create_namespaced_deployment(name, body)
    made = Running(api, Cluster(name, configuration=api.configuration))
    until(lambda: made.operator.read()["revision"] == 1)
    try:
        yield made
    finally:
        core.delete_namespace(name)


@contextmanager
def gateway(running: Running, status: str = "True") -> Iterator[None]:
    """A gateway's controller: it says of each generation whether it accepts it."""
    objects, stop = client.CustomObjectsApi(running.api), threading.Event()
    where = (HTTP_ROUTE.group, HTTP_ROUTE.version, running.cluster.namespace, HTTP_ROUTE.plural, "web")

    def answer() -> None:
        while not stop.wait(0.05):
            generation = objects.get_namespaced_custom_object(*where)["metadata"]["generation"]
            said = {"status": status, "message": "no such Service", "observedGeneration": generation}
            conditions = [{"type": kind, "reason": kind, **said} for kind in ("Accepted", "ResolvedRefs")]
            told = {"status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}}
            objects.patch_namespaced_custom_object_status(*where, told)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def routed(running: Running) -> Running:
    """With an HTTPRoute `web`; its kind is defined where the server does not know it."""
    definitions = client.ApiextensionsV1Api(running.api)
    if CRD_NAME not in {one.metadata.name for one in definitions.list_custom_resource_definition().items}:
        definitions.create_custom_resource_definition(HTTP_ROUTES)
    until(lambda: _established(definitions))
    body = {"apiVersion": f"{HTTP_ROUTE.group}/{HTTP_ROUTE.version}", "kind": HTTP_ROUTE.title, **http_route()}
    objects = client.CustomObjectsApi(running.api)
    objects.create_namespaced_custom_object(
        HTTP_ROUTE.group, HTTP_ROUTE.version, running.cluster.namespace, HTTP_ROUTE.plural, body
    )
    return running


def _established(definitions: Any) -> bool:
    conditions = definitions.read_custom_resource_definition(CRD_NAME).status.conditions or []
    return any(one.type == "Established" and one.status == "True" for one in conditions)


def test_variables_are_written_seen_by_the_controller_and_all_else_is_as_it_was(running: Running) -> None:
    found = running.environment.write({"MODE": "hybrid", "WEIGHT": 0.3, "SEARCH": True, "OLD": None}, stamp(5))
    assert found == {"MODE": "hybrid", "WEIGHT": "0.3", "SEARCH": "true"} == running.environment.read()
    now = running.cluster.get(DEPLOYMENT, "web")
    web, proxy = now["spec"]["template"]["spec"]["containers"]
    assert (proxy["image"], proxy["env"]) == ("proxy:9", [{"name": "MODE", "value": "edge"}])
    assert any("valueFrom" in one for one in web["env"])
    assert now["metadata"]["annotations"][STAMP] == str(stamp(5))
    again = running.environment.write({"MODE": "hybrid"}, stamp(5))
    assert again == found
    assert running.cluster.get(DEPLOYMENT, "web")["metadata"]["generation"] == now["metadata"]["generation"]


def test_a_stale_token_changes_nothing(running: Running) -> None:
    running.environment.write({"MODE": "hybrid"}, stamp(5))
    with pytest.raises(StaleToken, match=r"token 4 .* is older than 5"):
        running.environment.write({"MODE": "x"}, stamp(4))
    with pytest.raises(StaleToken, match=r"token 4 .* is older than 5"):
        running.operator.operate("scale", {"replicas": 9}, stamp(4))
    assert running.environment.read()["MODE"] == "hybrid"


def test_who_writes_between_our_read_and_our_patch_is_not_overwritten(running: Running) -> None:
    """The server's own 409: it is read again, and both writes are there. (The controller may write in between as well.)"""
    read: list[str] = []

    def patch(found: Any) -> Any:
        read.append(found["metadata"]["resourceVersion"])
        if len(read) == 1:
            running.annotate("note", "somebody")
        metadata = {"resourceVersion": read[-1], "annotations": {STAMP: str(stamp(5))}}
        return {"metadata": metadata, "spec": {"minReadySeconds": 3}}

    running.cluster.change(DEPLOYMENT, "web", stamp(5), "application/strategic-merge-patch+json", patch)
    now = running.cluster.get(DEPLOYMENT, "web")
    assert len(set(read)) > 1
    assert (now["metadata"]["annotations"]["note"], now["spec"]["minReadySeconds"]) == ("somebody", 3)


def test_a_successor_that_wrote_meanwhile_is_seen(running: Running) -> None:
    class Overtaken(Cluster):
        def get(self, kind: Any, name: str) -> Any:
            found = super().get(kind, name)
            if STAMP not in (found["metadata"].get("annotations") or {}):
                running.annotate(STAMP, str(stamp(9)))
            return found

    cluster = Overtaken(running.cluster.namespace, configuration=running.api.configuration)
    with pytest.raises(StaleToken, match="older than 9"):
        DeploymentEnvironment(cluster, "web").write({"MODE": "x"}, stamp(6))
    assert running.environment.read()["MODE"] == "legacy"


def test_what_the_server_finds_invalid_and_what_is_not_there(running: Running) -> None:
    with pytest.raises(WriteRefused, match=r"422: .*Invalid value: \"1NO\""):
        running.environment.write({"1NO": "x"}, stamp(1))
    with pytest.raises(TargetUnavailable, match=r'404: deployments\.apps "wep" not found'):
        DeploymentEnvironment(running.cluster, "wep").read()


def test_what_the_role_may_not_do(running: Running) -> None:
    """As a user to whom nothing is granted: the server's own 403."""
    nobody = client.Configuration()
    config.load_kube_config(KUBECONFIG, client_configuration=nobody)
    powerless = client.ApiClient(nobody)
    powerless.set_default_header("Impersonate-User", "nobody")
    cluster = Cluster(running.cluster.namespace, configuration=nobody)
    cluster._objects = client.CustomObjectsApi(powerless)
    with pytest.raises(TargetUnavailable, match=r"403: .*cannot get resource.* check its name and the role's rights"):
        DeploymentEnvironment(cluster, "web").read()


def test_a_version_is_deployed_stopped_and_undone_by_the_real_controllers(running: Running) -> None:
    running.empty()
    done = running.operator.operate("deploy", {"version": "2.0"}, stamp(2))
    assert done.summary == "2.0 on 0 replica(s), revision 2"
    assert (done.state["versions"]["current"], done.state["versions"]["previous"]) == ("2.0", "1.0")
    running.operator.operate("deploy", {"version": "3.0"}, stamp(3))
    for _ in range(2):  # once for each stamp
        assert running.operator.operate("undo", {}, stamp(4)).state["versions"]["current"] == "2.0"
    assert running.operator.operate("undo", {"revision": 1}, stamp(5)).state["versions"]["current"] == "1.0"
    labels = running.cluster.get(DEPLOYMENT, "web")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web"}
    with pytest.raises(WriteRefused, match="has no 99; kept: "):
        running.operator.operate("undo", {"revision": 99}, stamp(6))
    running.operator.operate("deploy", {"version": "4.0"}, stamp(7))
    assert running.operator.operate("stop", {"version": "4.0"}, stamp(8)).state["versions"]["current"] == "1.0"


def test_the_only_version_cannot_be_stopped(running: Running) -> None:
    running.empty()
    with pytest.raises(WriteRefused, match=r"has run nothing but 1\.0"):
        running.operator.operate("stop", {"version": "1.0"}, stamp(2))
    with pytest.raises(WriteRefused, match="has no earlier one; kept: 1"):
        running.operator.operate("undo", {}, stamp(2))


def test_replicas_that_no_node_takes_are_waited_for_and_told(running: Running) -> None:
    """Scaled as wanted, and not ready: nothing says that it is done."""
    short = DeploymentOperator(running.cluster, "web", limit_s=1.0)
    with pytest.raises(TargetUnavailable, match=r"0 of 3 .*after 1 s"):
        short.operate("scale", {"replicas": 3}, stamp(2))
    assert short.read()["replicas"] == {"wanted": 3, "ready": 0}


def test_a_rollout_that_the_controller_calls_stuck(running: Running) -> None:
    body = {"spec": {"progressDeadlineSeconds": 2, "minReadySeconds": 0}}
    client.AppsV1Api(running.api).patch_namespaced_deployment("web", running.cluster.namespace, body)
    with pytest.raises(WriteNotVerified, match="the rollout does not go on"):
        running.operator.operate("deploy", {"version": "2.0"}, stamp(2))


def test_a_restart_is_made_once_for_each_stamp(running: Running) -> None:
    running.empty()
    generations = []
    for token in (2, 2, 3):
        running.operator.operate("restart", {}, stamp(token))
        generations.append(running.cluster.get(DEPLOYMENT, "web")["metadata"]["generation"])
    assert generations[0] == generations[1] < generations[2]


def test_a_weight_counts_when_the_gateway_has_accepted_that_generation(routed: Running) -> None:
    assert routed.router.read() == Split(0, None, bypassed=True)
    with gateway(routed):
        assert routed.router.write(30, stamp(5)) == Split(30, stamp(5), bypassed=True)
        assert routed.router.write(0, stamp(6)) == Split(0, stamp(6))
    rules = routed.cluster.get(HTTP_ROUTE, "web")["spec"]["rules"]
    weights = [{one["name"]: one.get("weight", 1) for one in rule["backendRefs"]} for rule in rules]
    assert weights == [{"canary": 0, "stable": 100}, {"stable": 100, "canary": 0}, {"files": 1}]
    with pytest.raises(StaleToken):
        routed.router.write(50, stamp(5))


def test_a_gateway_that_is_away_or_refuses(routed: Running) -> None:
    patient = HttpRouteRouter(routed.cluster, "web", canary="canary", stable="stable", settle_s=0.5)
    with pytest.raises(WriteNotVerified, match="no gateway has taken it up"):
        patient.write(30, stamp(1))
    with gateway(routed, "False"), pytest.raises(WriteRefused, match=r"gateway edge refuses it: .*no such Service"):
        routed.router.write(40, stamp(2))
