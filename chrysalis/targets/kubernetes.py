"""A Deployment's versions and replicas as operations by name.

They wait until the pods have followed, as `kubectl rollout status` does, and fail when the controller says that they will
not (`progressDeadlineSeconds`).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chrysalis.errors import TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Stamp
from chrysalis.targets.kubernetes_api import (
    DEPLOYMENT,
    OPERATIONS,
    REPLICA_SET,
    STRATEGIC,
    Cluster,
    Object,
    Patch,
    stamp_of,
    stamped,
    stamped_operations,
)
from chrysalis.targets.kubernetes_environment import container_of
from chrysalis.targets.operator import Operated

POLL_S = 0.2
REVISION = "deployment.kubernetes.io/revision"
RESTARTED = "chrysalis/restarted"
_LINES = 20


class DeploymentOperator:
    """Operations by name on one Deployment: deploy, stop, undo, scale, restart, status, logs. `limit_s` bounds each."""

    def __init__(self, cluster: Cluster, name: str, container: str | None = None, *, limit_s: float = 600.0) -> None:
        self.cluster = cluster
        self.name = name
        self.container = container
        self.limit_s = limit_s
        self.where = f"Deployment {cluster.namespace}/{name}"

    def read(self) -> Mapping[str, Any]:
        """`versions: {running, current, previous}` (tags of images), `replicas`, `revision`. Raises TargetUnavailable."""
        found = self.cluster.get(DEPLOYMENT, self.name)
        history = self._history(found)
        current = self._version(found["spec"]["template"])
        running = [self._version(one["spec"]["template"]) for one in history if one.get("status", {}).get("readyReplicas")]
        earlier = [self._version(one["spec"]["template"]) for one in history[:-1]]
        return {
            "versions": {
                "running": list(dict.fromkeys(running)),
                "current": current,
                "previous": next((one for one in reversed(earlier) if one != current), None),
            },
            "replicas": {"wanted": found["spec"].get("replicas", 1), "ready": found["status"].get("readyReplicas", 0)},
            "revision": _revision(found),
        }

    def operate(self, action: str, arguments: Mapping[str, Any], stamp: Stamp, at_s: float | None = None) -> Operated:
        """Do it and wait until the pods have followed; safe to repeat.

        Raises StaleToken, WriteRefused (unknown, or not possible), WriteNotVerified, TargetUnavailable.
        """
        match action:
            case "deploy":
                done = self._deploy(str(arguments["version"]), stamp)
            case "stop":
                done = self._stop(str(arguments["version"]), stamp)
            case "undo":
                done = self._undo(arguments.get("revision"), stamp)
            case "scale":
                done = self._scale(arguments.get("replicas"), stamp)
            case "restart":
                done = self._restart(stamp)
            case "status":
                done = self._rolled_out()
            case "logs":
                return Operated(self._logs(int(arguments.get("lines", _LINES))), self.read())
            case _:
                known = "deploy, stop, undo, scale, restart, status, logs"
                raise WriteRefused(f"{self.where} has no operation {action!r}; it has {known}")
        return Operated(done, self.read())

    def _deploy(self, version: str, stamp: Stamp) -> str:
        def patch(found: Object) -> Patch | None:
            container = container_of(found, self.container)
            image = with_version(container["image"], version)
            if stamp_of(found) == stamp and image == container["image"]:
                return None
            containers = [{"name": container["name"], "image": image}]
            return {"metadata": stamped(found, stamp), "spec": {"template": {"spec": {"containers": containers}}}}

        self.cluster.change(DEPLOYMENT, self.name, stamp, STRATEGIC, patch)
        return self._rolled_out()

    def _stop(self, version: str, stamp: Stamp) -> str:
        found = self.cluster.get(DEPLOYMENT, self.name)
        if self._version(found["spec"]["template"]) != version:
            return f"{version} does not run"
        others = [one for one in self._history(found) if self._version(one["spec"]["template"]) != version]
        if not others:
            raise WriteRefused(
                f"{self.where} has run nothing but {version}, so there is nothing to go back to; scale it to 0"
            )
        return self._undo(_revision(others[-1]), stamp)

    def _undo(self, revision: object, stamp: Stamp) -> str:
        """To that revision, or to the one before the current; the same stamp does it once."""

        def patch(found: Object) -> Patch | None:
            if revision is None and stamp_of(found) == stamp:
                return None
            earlier = {_revision(one): one for one in self._history(found)}
            current = _revision(found)
            if revision is None:
                wanted = max((number for number in earlier if number < current), default=0)
            else:
                wanted = int(str(revision))
            if wanted not in earlier:
                kept = ", ".join(str(number) for number in sorted(earlier)) or "none"
                raise WriteRefused(
                    f"{self.where} is at revision {current} and has no {revision or 'earlier one'}; kept: {kept}"
                )
            template = _template(earlier[wanted])
            if template == found["spec"]["template"] and stamp_of(found) == stamp:
                return None
            return [*stamped_operations(found, stamp), {"op": "replace", "path": "/spec/template", "value": template}]

        self.cluster.change(DEPLOYMENT, self.name, stamp, OPERATIONS, patch)
        return self._rolled_out()

    def _scale(self, replicas: object, stamp: Stamp) -> str:
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
            raise WriteRefused(f"{self.where}: found replicas {replicas!r}, expected a number from 0 on; nothing changed")

        def patch(found: Object) -> Patch | None:
            if stamp_of(found) == stamp and found["spec"].get("replicas", 1) == replicas:
                return None
            return {"metadata": stamped(found, stamp), "spec": {"replicas": replicas}}

        self.cluster.change(DEPLOYMENT, self.name, stamp, STRATEGIC, patch)
        return self._rolled_out()

    def _restart(self, stamp: Stamp) -> str:
        """By an annotation of the pods, as `kubectl rollout restart` does; its value is the stamp, so once for each."""

        def patch(found: Object) -> Patch | None:
            annotations = found["spec"]["template"].get("metadata", {}).get("annotations") or {}
            if annotations.get(RESTARTED) == str(stamp):
                return None
            again = {"metadata": {"annotations": {RESTARTED: str(stamp)}}}
            return {"metadata": stamped(found, stamp), "spec": {"template": again}}

        self.cluster.change(DEPLOYMENT, self.name, stamp, STRATEGIC, patch)
        return self._rolled_out()

    def _rolled_out(self) -> str:
        deadline = time.monotonic() + self.limit_s
        while (missing := missing_of(found := self.cluster.get(DEPLOYMENT, self.name))) is not None:
            if (stuck := _stuck(found)) is not None:
                raise WriteNotVerified(f"{self.where}: the rollout does not go on ({stuck}); {missing}; undo it, or mend it")
            if time.monotonic() > deadline:
                raise TargetUnavailable(f"{self.where}: {missing} after {self.limit_s:g} s; look at it, and repeat")
            time.sleep(POLL_S)
        count = found["spec"].get("replicas", 1)
        return f"{self._version(found['spec']['template'])} on {count} replica(s), revision {_revision(found)}"

    def _logs(self, lines: int) -> str:
        found = self.cluster.get(DEPLOYMENT, self.name)
        container = container_of(found, self.container)["name"]
        logs = self.cluster.logs(found["spec"]["selector"]["matchLabels"], container, lines)
        return "\n".join(f"{pod}: {line}" for pod, text in sorted(logs.items()) for line in text.splitlines()) or "no lines"

    def _history(self, found: Object) -> Sequence[Object]:
        """Its ReplicaSets, oldest revision first."""
        sets = self.cluster.listed(REPLICA_SET, found["spec"]["selector"]["matchLabels"])
        mine = found["metadata"]["uid"]
        owned = [one for one in sets if any(owner["uid"] == mine for owner in one["metadata"].get("ownerReferences") or ())]
        return sorted(owned, key=_revision)

    def _version(self, template: Mapping[str, Any]) -> str:
        return version_of(container_of({"spec": {"template": template}}, self.container)["image"])


def version_of(image: str) -> str:
    """The tag of an image; `latest` without one; the digest where there is nothing else."""
    named, at, digest = image.partition("@")
    last = named.rpartition("/")[2]
    _, colon, tag = last.partition(":")
    return tag if colon else digest if at else "latest"


def with_version(image: str, version: str) -> str:
    """The same image with another tag."""
    folder, slash, last = image.partition("@")[0].rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}:{version}"


def missing_of(found: Object) -> str | None:
    """What a rollout still waits for, by the rules of `kubectl rollout status`; None when it is done."""
    status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
    updated, every, available = (status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return "its controller has not seen the change"
    if updated < wanted:
        return f"{updated} of {wanted} replicas are new"
    if every > updated:
        return f"{every - updated} old replica(s) still run"
    return f"{available} of {updated} new replicas are available" if available < updated else None


def _stuck(found: Object) -> str | None:
    if found.get("status", {}).get("observedGeneration", 0) < found["metadata"]["generation"]:
        return None
    for condition in found["status"].get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or condition["reason"])
    return None


def _template(replica_set: Object) -> dict[str, Any]:
    """The pods of that revision, without the label that the controller adds."""
    template = dict(replica_set["spec"]["template"])
    labels = {name: value for name, value in template["metadata"]["labels"].items() if name != "pod-template-hash"}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def _revision(found: Object) -> int:
    return int((found["metadata"].get("annotations") or {}).get(REVISION, 0))
