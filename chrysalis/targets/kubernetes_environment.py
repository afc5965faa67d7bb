"""The environment variables of a Deployment as a switchboard.

A variable counts as written when the API server has it and the Deployment's controller has seen it; the pods follow, and the
operation `status` waits for them.
"""

import time
from collections.abc import Mapping
from typing import Any

from chrysalis.errors import TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Stamp, Value
from chrysalis.targets.kubernetes_api import DEPLOYMENT, STRATEGIC, Cluster, Object, Patch, refuse_stale, stamp_of, stamped

POLL_S = 0.2


class DeploymentEnvironment:
    """A Switchboard over the variables of one container (the first where none is named), all of them text.

    None takes a variable away; those that come from a secret or another object are not ours to see or change.
    """

    def __init__(self, cluster: Cluster, name: str, container: str | None = None, *, settle_s: float = 10.0) -> None:
        self.cluster = cluster
        self.name = name
        self.container = container
        self.settle_s = settle_s

    def read(self) -> Mapping[str, Value]:
        """All variables with a value of their own. Raises TargetUnavailable."""
        return _values(container_of(self.cluster.get(DEPLOYMENT, self.name), self.container))

    def write(self, changes: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        """Change the named variables and read all back; safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        wanted = {name: None if value is None else text_of(value) for name, value in changes.items()}

        def patch(found: Object) -> Patch | None:
            container = container_of(found, self.container)
            _refuse_referred(container, wanted, self.name)
            now = _values(container)
            if stamp_of(found) == stamp and _differing(wanted, now) == []:
                return None
            entries = [
                {"name": name, "$patch": "delete"} if value is None else {"name": name, "value": value}
                for name, value in wanted.items()
                if value is not None or name in now
            ]
            containers = [{"name": container["name"], "env": entries}]
            return {"metadata": stamped(found, stamp), "spec": {"template": {"spec": {"containers": containers}}}}

        written = self.cluster.change(DEPLOYMENT, self.name, stamp, STRATEGIC, patch)
        return self._verified(wanted, written["metadata"]["generation"], stamp)

    def _verified(self, wanted: Mapping[str, str | None], generation: int, stamp: Stamp) -> Mapping[str, Value]:
        deadline = time.monotonic() + self.settle_s
        while True:
            found = self.cluster.get(DEPLOYMENT, self.name)
            where = f"Deployment {self.cluster.namespace}/{self.name}"
            refuse_stale(found, stamp, where)
            now = _values(container_of(found, self.container))
            different = _differing(wanted, now)
            if not different and found.get("status", {}).get("observedGeneration", 0) >= generation:
                return now
            if different or time.monotonic() > deadline:
                told = "; ".join(f"{name} wrote {wanted[name]!r}, reads back {now.get(name)!r}" for name in different)
                unseen = f"its controller has not seen the change after {self.settle_s:g} s"
                raise WriteNotVerified(f"{where}: {told or unseen}")
            time.sleep(POLL_S)


def container_of(found: Object, name: str | None) -> Mapping[str, Any]:
    """The container of that name, or the first. Raises TargetUnavailable."""
    containers: list[Mapping[str, Any]] = found["spec"]["template"]["spec"]["containers"]
    for one in containers:
        if name in (None, one["name"]):
            return one
    raise TargetUnavailable(
        f"no container {name!r} in the Deployment; it has: {', '.join(one['name'] for one in containers)}"
    )


def text_of(value: str | float | bool) -> str:
    """As an environment variable holds it: `true`, `0.3`, `legacy`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(container: Mapping[str, Any]) -> dict[str, Value]:
    return {one["name"]: one.get("value", "") for one in container.get("env") or () if "valueFrom" not in one}


def _refuse_referred(container: Mapping[str, Any], wanted: Mapping[str, str | None], name: str) -> None:
    referred = {one["name"] for one in container.get("env") or () if "valueFrom" in one} & set(wanted)
    if referred:
        said = f"{', '.join(sorted(referred))} come(s) from another object (valueFrom); change it there"
        raise WriteRefused(f"Deployment {name}: {said}; nothing changed")


def _differing(wanted: Mapping[str, str | None], now: Mapping[str, Value]) -> list[str]:
    return [name for name, value in wanted.items() if now.get(name) != value]
