"""etcd, kube-apiserver and kube-controller-manager on loopback, without nodes: Deployments get ReplicaSets, no pod runs."""

import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from chrysalis.errors import SettingsError
from chrysalis.sandbox.ports import free_ports
from tests.kubernetes.build import Programs

START_S = 180.0
STOP_S = 20.0
CONTROLLERS = "deployment,replicaset,namespace,garbagecollector"


@contextmanager
def serving(programs: Programs, folder: Path) -> Iterator[Path]:
    """The kubeconfig of one who may do everything. Everything ends with the context."""
    etcd, peer, port = free_ports(3)
    token = secrets.token_hex(16)
    tokens, kubeconfig, key = folder / "tokens.csv", folder / "kubeconfig.json", folder / "service-accounts.pem"
    tokens.write_text(f'{token},tester,tester,"system:masters"\n')
    tokens.chmod(0o600)
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    certificate = folder / "certificates" / "apiserver.crt"
    clients, peers = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    with ExitStack() as all_of_it:
        store = [f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"]
        among = [
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]
        all_of_it.enter_context(_running([str(programs.etcd), *store, *among], folder / "etcd.log"))
        _await(lambda: httpx.get(f"{clients}/health", trust_env=False), folder / "etcd.log")
        server = [
            str(programs.apiserver),
            f"--etcd-servers={clients}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={certificate.parent}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--disable-admission-plugins=ServiceAccount",
        ]
        all_of_it.enter_context(_running(server, folder / "apiserver.log"))
        url = f"https://127.0.0.1:{port}"
        _write_kubeconfig(kubeconfig, url, token, certificate)
        _await(lambda: _ready(url, token, certificate), folder / "apiserver.log")
        controllers = [
            str(programs.controllers),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={CONTROLLERS}",
            "--bind-address=127.0.0.1",
            "--port=0",
            "--secure-port=0",
            "--leader-elect=false",
        ]
        all_of_it.enter_context(_running(controllers, folder / "controllers.log"))
        yield kubeconfig


def _ready(url: str, token: str, certificate: Path) -> httpx.Response:
    """The server makes its certificate itself when it starts, with its issuer's in the same file."""
    trusted = ssl.create_default_context(cafile=str(certificate))
    return httpx.get(f"{url}/readyz", headers={"authorization": f"Bearer {token}"}, verify=trusted, trust_env=False)


def _write_kubeconfig(file: Path, url: str, token: str, certificate: Path) -> None:
    named = "chrysalis-test"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": named, "cluster": {"server": url, "certificate-authority": str(certificate)}}],
        "users": [{"name": named, "user": {"token": token}}],
        "contexts": [{"name": named, "context": {"cluster": named, "user": named}}],
        "current-context": named,
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=log.parent) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(ask: Callable[[], httpx.Response], log: Path) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        try:
            if ask().is_success:
                return
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(0.2)
    raise SettingsError(f"it does not answer after {START_S:g} s; the end of {log}:\n{log.read_text()[-2000:]}")
