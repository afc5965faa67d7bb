"""A thin Kubernetes API server with one Deployment: `python -m chrysalis.sandbox.profiles.readiness.cluster FOLDER PORT`.

What `kubectl scale` and `kubectl logs` need, by kubernetes.io/docs/reference/using-api/api-concepts: objects with a
resourceVersion (a patch of an older one is a 409), generation and status. Its controller follows at once. There are no
nodes: a pod is a name, and its log is what the new version wrote.
"""

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from chrysalis.sandbox.layout import Layout

NAMESPACE, NAME, CONTAINER = "default", "maia", "maia"
REPLICAS_AT_FIRST = 2
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
CHANGED = {"metadata": {"resourceVersion", "annotations"}, "spec": {"replicas"}}
"""All that can be patched here."""
_LABELS = {"app": NAME}
_REVISION = {"deployment.kubernetes.io/revision": "1"}
_UID = "00000000-0000-4000-8000-000000000001"
_TEMPLATE = {
    "metadata": {"labels": _LABELS},
    "spec": {"containers": [{"name": CONTAINER, "image": f"registry.localhost/{NAME}:v2"}]},
}


class Cluster:
    """The Deployment as it is now; gone with the process."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._version, self._generation, self._replicas = 1, 1, REPLICAS_AT_FIRST
        self._annotations = dict(_REVISION)

    async def read(self, _: Request) -> Response:
        """The Deployment."""
        return JSONResponse(self._deployment())

    async def patch(self, request: Request) -> Response:
        """Change its replicas or annotations."""
        kind, body = request.headers["content-type"], await request.json()
        if kind not in PATCHES:
            return _failed(415, f"the body of the request was in an unknown format: {kind}")
        if unknown := {
            part: set(body[part]) - CHANGED.get(part, set()) for part in body if set(body[part]) - CHANGED.get(part, set())
        }:
            return _failed(422, f"this server changes replicas and annotations only, not {unknown}")
        metadata, replicas = body.get("metadata", {}), body.get("spec", {}).get("replicas", self._replicas)
        if metadata.get("resourceVersion", str(self._version)) != str(self._version):
            return _failed(409, "the object has been modified; please apply your changes to the latest version")
        self._annotations |= metadata.get("annotations", {})
        self._generation += replicas != self._replicas
        self._replicas = replicas
        self._version += 1
        return JSONResponse(self._deployment())

    async def replica_sets(self, _: Request) -> Response:
        """The one revision there is."""
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME, "uid": _UID}
        metadata = {"name": f"{NAME}-1", "labels": _LABELS, "annotations": _REVISION, "ownerReferences": [owner]}
        one = {"metadata": metadata, "spec": {"template": _TEMPLATE}, "status": {"readyReplicas": self._replicas}}
        return JSONResponse({"kind": "ReplicaSetList", "apiVersion": "apps/v1", "items": [one]})

    async def pods(self, _: Request) -> Response:
        """As many as there are replicas."""
        names = [f"{NAME}-1-{number}" for number in range(self._replicas)]
        items = [{"metadata": {"name": name, "namespace": NAMESPACE, "labels": _LABELS}} for name in names]
        return JSONResponse({"kind": "PodList", "apiVersion": "v1", "items": items})

    async def log(self, request: Request) -> Response:
        """The last lines of what the new version wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return PlainTextResponse("\n".join(lines[-int(request.query_params.get("tailLines", "20")) :]))

    def _deployment(self) -> dict[str, Any]:
        metadata = {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": _UID,
            "generation": self._generation,
            "resourceVersion": str(self._version),
            "annotations": self._annotations,
        }
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), self._replicas)
        return {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": metadata,
            "spec": {"replicas": self._replicas, "selector": {"matchLabels": _LABELS}, "template": _TEMPLATE},
            "status": {"observedGeneration": self._generation, **counts},
        }


def write_kubeconfig(file: Path, port: int) -> None:
    """How a client of Kubernetes finds it. JSON is YAML."""
    named = {"name": "sandbox"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{**named, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{**named, "user": {}}],
        "contexts": [{**named, "context": {"cluster": "sandbox", "user": "sandbox", "namespace": NAMESPACE}}],
    }
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")


def create_app(log: Path) -> Starlette:
    """The server, with a Deployment of its own."""
    cluster = Cluster(log)
    apps, core = f"/apis/apps/v1/namespaces/{NAMESPACE}", f"/api/v1/namespaces/{NAMESPACE}"
    return Starlette(
        routes=[
            Route(f"{apps}/deployments/{NAME}", cluster.read, methods=["GET"]),
            Route(f"{apps}/deployments/{NAME}", cluster.patch, methods=["PATCH"]),
            Route(f"{apps}/replicasets", cluster.replica_sets, methods=["GET"]),
            Route(f"{core}/pods", cluster.pods, methods=["GET"]),
            Route(f"{core}/pods/{{pod}}/log", cluster.log, methods=["GET"]),
        ]
    )


def _failed(code: int, message: str) -> Response:
    return JSONResponse({"kind": "Status", "status": "Failure", "code": code, "message": message}, code)


def main() -> None:
    """Serve until told to stop."""
    layout, port = Layout(Path(sys.argv[1])), int(sys.argv[2])
    uvicorn.run(create_app(layout.logs / "canary.log"), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
