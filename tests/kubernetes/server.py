"""etcd, kube-apiserver and kube-controller-manager on loopback, without nodes: Deployments get ReplicaSets, no pod runs."""

import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from chrysalis.errors import SettingsError
from chrysalis.sandbox.parts import Part, answers
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.process import Process, end_all
from chrysalis.sandbox.programs import run
from tests.kubernetes.build import Programs

START_S = 180.0
STOP_S = 20.0
CONTROLLERS = "deployment,replicaset,namespace,garbagecollector"


@contextmanager
def serving(programs: Programs, folder: Path) -> Iterator[Path]:
    """The kubeconfig of one who may do everything. Everything ends with the context."""
    store_port, peer_port, port = free_ports(3)
    token = secrets.token_hex(16)
    tokens, kubeconfig, key = folder / "tokens.csv", folder / "kubeconfig.json", folder / "service-accounts.pem"
    tokens.write_text(f'{token},tester,tester,"system:masters"\n')
    tokens.chmod(0o600)
    run(["openssl", "genrsa", "-out", key, "2048"], folder)
    certificate = folder / "certificates" / "apiserver.crt"
    clients, peers = f"http://127.0.0.1:{store_port}", f"http://127.0.0.1:{peer_port}"
    with ExitStack() as all_of_it:
        store = [f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"]
        among = [
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]
        etcd = Part("etcd", (str(programs.etcd), *store, *among), lambda: answers(store_port, "/health"))
        _start(all_of_it, etcd, folder)
        server = (
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
        )
        url = f"https://127.0.0.1:{port}"
        _write_kubeconfig(kubeconfig, url, token, certificate)
        _start(all_of_it, Part("apiserver", server, lambda: _ready(url, token, certificate)), folder)
        controllers = (
            str(programs.controllers),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={CONTROLLERS}",
            "--bind-address=127.0.0.1",
            "--port=0",
            "--secure-port=0",
            "--leader-elect=false",
        )
        _start(all_of_it, Part("controllers", controllers, lambda: True), folder)
        yield kubeconfig


def _ready(url: str, token: str, certificate: Path) -> bool:
    """The server makes its certificate itself when it starts, with its issuer's in the same file."""
    if not certificate.exists():
        return False
    trusted = ssl.create_default_context(cafile=str(certificate))
    headers = {"authorization": f"Bearer {token}"}
    try:
        return httpx.get(f"{url}/readyz", headers=headers, verify=trusted, trust_env=False).is_success
    except httpx.HTTPError:
        return False


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


def _start(stack: ExitStack, part: Part, folder: Path) -> None:
    """Start it, and wait until it is ready. Raises SettingsError with the end of its log."""
    log = folder / f"{part.name}.log"
    process = Process(part, folder=folder, log=log)
    stack.callback(end_all, [process], grace_s=STOP_S)
    ends = time.monotonic() + START_S
    while not part.ready():
        if process.ended is not None or time.monotonic() > ends:
            how = f"is not ready after {START_S:g} s" if process.ended is None else f"ended with {process.ended}"
            raise SettingsError(f"{part.name} {how}; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)
