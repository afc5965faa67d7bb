"""What of a Kubernetes API server the adapters rely on, over HTTP, with the controllers' part on demand.

By kubernetes.io/docs/reference/using-api/api-concepts (patch types; a patch with a resourceVersion that is not the current
one is a 409; custom resources take no strategic merge, 415; every failure is a Status object), the pages on Deployments
(generation and observedGeneration, ReplicaSets with pod-template-hash and a revision, conditions), and those on HTTPRoute at
gateway-api.sigs.k8s.io (status by parent, with observedGeneration).
"""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.metrics.servers import Asked, Reply

MERGED_BY_NAME = ("containers", "env")
_OBJECT = re.compile(r"^/apis/(?P<group>[^/]+)/v1/namespaces/shop/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?$")
_LOG = re.compile(r"^/api/v1/namespaces/shop/pods/(?P<name>[^/]+)/log$")

Json = dict[str, Any]


class Failed(Exception):
    """Answered as a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


@dataclass
class FakeKubernetes:
    """The controllers act after each change, unless a test switches them off and plays them itself."""

    objects: dict[tuple[str, str], Json] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    before_patch: list[Callable[[], None]] = field(default_factory=list)
    controllers: bool = True
    version: int = 100

    def put(self, plural: str, content: Json) -> Json:
        found = copy.deepcopy(content)
        self.version += 1
        found["metadata"] = {
            "namespace": "shop", "uid": f"uid-{plural}-{found['metadata']['name']}", "generation": 1,
            "resourceVersion": str(self.version), **found["metadata"],
        }  # fmt: skip
        self.objects[(plural, found["metadata"]["name"])] = found
        return found

    def get(self, plural: str, name: str) -> Json:
        return self.objects[(plural, name)]

    def change(self, plural: str, name: str, **metadata: Any) -> None:
        """Somebody else writes."""
        found = self.get(plural, name)
        found["metadata"].setdefault("annotations", {}).update(metadata)
        self._written(found)

    def __call__(self, asked: Asked) -> Reply:
        try:
            code, content = 200, self._answer(asked)
        except Failed as failed:
            code, content = failed.status["code"], failed.status
        if isinstance(content, str):
            return Reply(code, content.encode(), {"content-type": "text/plain"})
        return Reply(code, json.dumps(content).encode(), {"content-type": "application/json"})

    def _answer(self, asked: Asked) -> Json | str:
        url = urlsplit(asked.path)
        wanted = {name: values[0] for name, values in parse_qs(url.query).items()}
        verb = {"GET": "get", "PATCH": "patch"}[asked.method]
        if log := _LOG.match(url.path):
            lines = [f"{log['name']} line {number}" for number in range(50)][-int(wanted["tailLines"]) :]
            return "\n".join(lines)
        if url.path == "/api/v1/namespaces/shop/pods":
            return {"items": [one for (plural, _), one in self.objects.items() if plural == "pods"]}
        found = _OBJECT.match(url.path)
        if found is None:
            raise Failed(404, "NotFound", f"the server could not find {url.path}")
        plural, name = found["plural"], found["name"]
        if f"{verb} {plural}" in self.forbidden:
            raise Failed(403, "Forbidden", f'{plural}.{found["group"]} "{name}" is forbidden: cannot {verb} resource')
        if name is None:
            return {"items": [one for (of, _), one in self.objects.items() if of == plural and _has(one, wanted)]}
        if (plural, name) not in self.objects:
            raise Failed(404, "NotFound", f'{plural}.{found["group"]} "{name}" not found')
        if verb == "get":
            return self.get(plural, name)
        return self._patch(plural, name, asked)

    def _patch(self, plural: str, name: str, asked: Asked) -> Json:
        if self.before_patch:
            self.before_patch.pop(0)()
        kind, body = asked.headers["content-type"], json.loads(asked.body)
        before = self.get(plural, name)
        match kind:
            case "application/merge-patch+json":
                after = merged(before, body)
            case "application/strategic-merge-patch+json" if plural != "httproutes":
                after = merged(before, body, strategic=True)
            case "application/json-patch+json":
                after = copy.deepcopy(before)
                for operation in body:
                    _apply(after, operation)
            case _:
                raise Failed(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Failed(
                409, "Conflict", f'"{name}": the object has been modified; please apply your changes to the latest version'
            )
        _validate(plural, name, after)
        if after["spec"] != before["spec"]:
            after["metadata"]["generation"] += 1
        self.objects[(plural, name)] = after
        self._written(after)
        if self.controllers:
            self.act()
        return after

    def _written(self, found: Json) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)

    def act(self) -> None:
        """The controllers do all there is to do."""
        for (plural, _), found in list(self.objects.items()):
            if plural == "deployments":
                self._roll_out(found)
            if plural == "httproutes":
                self.accept(found)

    def accept(self, found: Json, status: str = "True", message: str = "") -> None:
        generation = found["metadata"]["generation"]
        conditions = [
            {"type": kind, "status": status, "reason": kind, "message": message, "observedGeneration": generation}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        found["status"] = {"parents": [{"parentRef": {"name": "edge"}, "conditions": conditions}]}

    def _roll_out(self, found: Json) -> None:
        sets = [one for (plural, _), one in self.objects.items() if plural == "replicasets"]
        digest = hashlib.sha256(json.dumps(found["spec"]["template"], sort_keys=True).encode()).hexdigest()[:8]
        newest = str(
            1 + max((int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for one in sets), default=0)
        )
        name = f"{found['metadata']['name']}-{digest}"
        current = self.objects.get(("replicasets", name))
        if current is None:
            template = copy.deepcopy(found["spec"]["template"])
            template["metadata"]["labels"]["pod-template-hash"] = digest
            owner = {"kind": "Deployment", "uid": found["metadata"]["uid"]}
            metadata = {
                "name": name,
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
                "annotations": {},
            }
            current = self.put("replicasets", {"metadata": metadata, "spec": {"template": template}})
            current["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = newest
        elif int(current["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) < int(newest) - 1:
            current["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = newest
        count = found["spec"]["replicas"]
        for one in sets:
            one["status"] = {"readyReplicas": 0}
        current["status"] = {"readyReplicas": count}
        revision = current["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        found["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = revision
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count),
        }


def merged(before: Any, patch: Any, *, strategic: bool = False) -> Any:
    """RFC 7386, and Kubernetes' strategic form of it: lists of things with a name are merged by it."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    after = copy.deepcopy(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif strategic and name in MERGED_BY_NAME:
            after[name] = _by_name(after.get(name) or [], value)
        else:
            after[name] = merged(after.get(name), value, strategic=strategic)
    return after


def _by_name(before: list[Json], patches: list[Json]) -> list[Json]:
    after = {one["name"]: one for one in copy.deepcopy(before)}
    for patch in patches:
        if patch.get("$patch") == "delete":
            after.pop(patch["name"], None)
        else:
            after[patch["name"]] = merged(after.get(patch["name"]), patch, strategic=True)
    return list(after.values())


def _apply(found: Json, operation: Json) -> None:
    *path, last = (part.replace("~1", "/") for part in operation["path"].split("/")[1:])
    for part in path:
        found = found[part]
    if operation["op"] == "replace" and last not in found:
        raise Failed(422, "Invalid", f"the path {operation['path']} is not there")
    found[last] = operation["value"]


def _validate(plural: str, name: str, found: Json) -> None:
    if plural == "deployments":
        for container in found["spec"]["template"]["spec"]["containers"]:
            for one in container.get("env", ()):
                if not isinstance(one.get("value", ""), str):
                    raise Failed(400, "BadRequest", "unrecognized type: string")
                if not re.fullmatch(r"[-._a-zA-Z][-._a-zA-Z0-9]*", one["name"]):
                    raise Failed(422, "Invalid", f'Deployment "{name}" is invalid: env: Invalid value: "{one["name"]}"')
    if plural == "httproutes":
        for rule in found["spec"]["rules"]:
            if any(not 0 <= one.get("weight", 1) <= 1_000_000 for one in rule.get("backendRefs", ())):
                raise Failed(422, "Invalid", f'HTTPRoute "{name}" is invalid: weight')


def _has(found: Json, wanted: dict[str, str]) -> bool:
    selector = dict(pair.split("=", 1) for pair in wanted.get("labelSelector", "").split(",") if pair)
    return selector.items() <= found["metadata"].get("labels", {}).items()


def deployment(image: str = "registry:5000/shop/web:1.0", **env: str) -> Json:
    """One with a sidecar, a variable from a secret, and a field that no client knows."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "web", "key": "token"}}}
    containers = [
        {"name": "web", "image": image, "env": [*variables, secret], "fieldOfTheFuture": 7},
        {"name": "proxy", "image": "proxy:9", "env": [{"name": "MODE", "value": "edge"}]},
    ]
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec, "status": {}}


def http_route() -> Json:
    """A header's own rule, the weighted one, and one that has nothing to do with the canary."""

    def backend(name: str, **more: Any) -> Json:
        return {"group": "", "kind": "Service", "name": name, "port": 80, **more}

    def under(path: str) -> Json:
        return {"path": {"type": "PathPrefix", "value": path}}

    header = {"headers": [{"name": "x-canary", "value": "on"}]}
    rules = [
        {"matches": [header], "backendRefs": [backend("canary")]},
        {"matches": [under("/")], "backendRefs": [backend("stable", weight=1), backend("canary", weight=0)]},
        {"matches": [under("/static")], "backendRefs": [backend("files")]},
    ]  # fmt: skip
    return {"metadata": {"name": "web"}, "spec": {"rules": rules}, "status": {}}
