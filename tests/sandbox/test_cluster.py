"""Readiness's cluster, by the official client as the plan's operations use it."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import uvicorn

from chrysalis.errors import StaleToken, WriteRefused
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.profiles.readiness import cluster
from chrysalis.targets.base import Stamp
from chrysalis.targets.kubernetes import DeploymentOperator
from chrysalis.targets.kubernetes_api import Cluster


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[DeploymentOperator]:
    (tmp_path / "canary.log").write_text("".join(f"line {number}\n" for number in range(5)))
    (port,) = free_ports(1)
    server = uvicorn.Server(
        uvicorn.Config(cluster.create_app(tmp_path / "canary.log"), host="127.0.0.1", port=port, log_level="warning")
    )
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.02)
    cluster.write_kubeconfig(tmp_path / "kubeconfig.json", port)
    yield DeploymentOperator(Cluster(kubeconfig=str(tmp_path / "kubeconfig.json")), cluster.NAME, limit_s=5.0)
    server.should_exit = True
    thread.join()


def test_it_scales_and_shows_logs(operator: DeploymentOperator) -> None:
    scaled = operator.operate("scale", {"replicas": 10}, Stamp(1, "r-1", "scale_up"))
    assert scaled.summary == "v2 on 10 replica(s), revision 1"
    assert operator.read()["replicas"] == {"wanted": 10, "ready": 10}
    logs = operator.operate("logs", {"lines": 2}, Stamp(1, "r-1", "view_logs")).summary.splitlines()
    assert (len(logs), logs[0]) == (20, "maia-1-0: line 3")


def test_an_older_stamp_and_what_it_does_not_do_are_refused(operator: DeploymentOperator) -> None:
    operator.operate("scale", {"replicas": 3}, Stamp(2, "r-2", "scale_up"))
    with pytest.raises(StaleToken):
        operator.operate("scale", {"replicas": 1}, Stamp(1, "r-1", "scale_up"))
    with pytest.raises(WriteRefused, match="replicas and annotations only"):
        operator.operate("deploy", {"version": "v3"}, Stamp(3, "r-3", "deploy"))
    assert operator.read()["replicas"]["wanted"] == 3
