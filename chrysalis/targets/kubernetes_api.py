"""Objects of a Kubernetes API server by the official client: read, patched against the version that was read, stamped.

Every patch carries the `resourceVersion` that was read, so that the server refuses it with 409 when somebody else wrote
meanwhile; it is then read again, and the stamp found there decides. The stamp is the annotation `chrysalis/stamp`.
Objects are plain JSON, so that fields which this client does not know are kept.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from chrysalis.errors import SettingsError, StaleToken, TargetUnavailable, WriteRefused
from chrysalis.targets.base import Stamp

STAMP = "chrysalis/stamp"
CONFLICT_TRIES = 5
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
OPERATIONS = "application/json-patch+json"
_CONFLICT, _TOO_MANY, _SERVER_ERROR = 409, 429, 500

Object = Mapping[str, Any]
Patch = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, as its address names it."""

    group: str
    version: str
    plural: str
    title: str


DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")


class Cluster:
    """One namespace. Who we are comes from a kubeconfig (`context` of it; `kubeconfig`, else KUBECONFIG of the process), or
    from the pod's service account."""

    def __init__(
        self,
        namespace: str = "default",
        *,
        context: str | None = None,
        kubeconfig: str | None = None,
        timeout_s: float = 10.0,
        configuration: client.Configuration | None = None,
    ) -> None:
        self.namespace = namespace
        self._timeout_s = timeout_s
        api = client.ApiClient(configuration or _configured(context, kubeconfig))
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    def get(self, kind: Kind, name: str) -> Object:
        """Raises TargetUnavailable."""
        found: Object = self._read(
            self._where(kind, name),
            lambda: self._objects.get_namespaced_custom_object(
                kind.group, kind.version, self.namespace, kind.plural, name, _request_timeout=self._timeout_s
            ),
        )
        return found

    def listed(self, kind: Kind, labels: Mapping[str, str]) -> list[Object]:
        """Those with all of these labels. Raises TargetUnavailable."""
        answer = self._read(
            f"{kind.title}s of {self.namespace}",
            lambda: self._objects.list_namespaced_custom_object(
                kind.group,
                kind.version,
                self.namespace,
                kind.plural,
                label_selector=_selector(labels),
                _request_timeout=self._timeout_s,
            ),
        )
        return list(answer["items"])

    def logs(self, labels: Mapping[str, str], container: str, lines: int) -> dict[str, str]:
        """The last lines of each pod with these labels. Raises TargetUnavailable."""

        limit_s, core = self._timeout_s, self._core

        def log(pod: str) -> str:
            return core.read_namespaced_pod_log(
                pod, self.namespace, container=container, tail_lines=lines, _request_timeout=limit_s
            )

        def asked() -> dict[str, str]:
            pods = core.list_namespaced_pod(self.namespace, label_selector=_selector(labels), _request_timeout=limit_s)
            return {name: log(name) for pod in pods.items if pod.metadata is not None and (name := pod.metadata.name)}

        answer: dict[str, str] = self._read(f"pods of {self.namespace}", asked)
        return answer

    def change(
        self, kind: Kind, name: str, stamp: Stamp, content_type: str, patch: Callable[[Object], Patch | None]
    ) -> Object:
        """Patch the object by what `patch` makes of it as it is now (None: nothing to do); returns what it is then.

        `patch` puts `stamped` in. Raises StaleToken, WriteRefused, TargetUnavailable.
        """
        where = self._where(kind, name)
        for _ in range(CONFLICT_TRIES):
            found = self.get(kind, name)
            refuse_stale(found, stamp, where)
            body = patch(found)
            if body is None:
                return found
            try:
                changed: Any = self._objects.patch_namespaced_custom_object(
                    kind.group,
                    kind.version,
                    self.namespace,
                    kind.plural,
                    name,
                    body,
                    _content_type=content_type,
                    _request_timeout=self._timeout_s,
                )
            except ApiException as error:
                if error.status == _CONFLICT:
                    continue
                if error.status in (0, _TOO_MANY) or error.status >= _SERVER_ERROR:
                    raise TargetUnavailable(f"{where} cannot be written now ({_said(error)}); repeat the write") from error
                raise WriteRefused(f"{where}: {_said(error)}; nothing changed") from error
            except HTTPError as error:
                raise TargetUnavailable(f"{where}: the API server does not answer ({error})") from error
            else:
                return dict(changed)
        raise TargetUnavailable(f"{where} was changed by others {CONFLICT_TRIES} times meanwhile; repeat the write")

    def _read(self, where: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ApiException as error:
            raise TargetUnavailable(
                f"{where} cannot be read ({_said(error)}); check its name and the role's rights"
            ) from error
        except HTTPError as error:
            raise TargetUnavailable(f"{where}: the API server does not answer ({error})") from error

    def _where(self, kind: Kind, name: str) -> str:
        return f"{kind.title} {self.namespace}/{name}"


def stamp_of(found: Object) -> Stamp | None:
    """Who of us wrote it last."""
    return Stamp.parse(str((found["metadata"].get("annotations") or {}).get(STAMP, "")))


def stamped(found: Object, stamp: Stamp) -> dict[str, Any]:
    """The metadata of a merge patch: on the version that was read, with our stamp."""
    return {"resourceVersion": found["metadata"]["resourceVersion"], "annotations": {STAMP: str(stamp)}}


def stamped_operations(found: Object, stamp: Stamp) -> list[dict[str, Any]]:
    """The same for a JSON patch."""
    annotations = {**(found["metadata"].get("annotations") or {}), STAMP: str(stamp)}
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ]


def refuse_stale(found: Object, stamp: Stamp, where: str) -> None:
    """Raises StaleToken when a newer token wrote last."""
    last = stamp_of(found)
    if last is not None and last.token > stamp.token:
        raise StaleToken(
            f"{where}: token {stamp.token} ({stamp}) is older than {last.token} ({last}), which wrote last; "
            "stop this worker, its successor has taken over"
        )


def _configured(context: str | None, kubeconfig: str | None) -> client.Configuration:
    made = client.Configuration()
    try:
        file = kubeconfig or os.environ.get("KUBECONFIG")  # read now: the client reads it when it is imported
        if context is None and file is None:
            config.load_config(client_configuration=made)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(file, context=context, client_configuration=made)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise SettingsError(f"no Kubernetes configuration ({error}); set KUBECONFIG, or run in a pod") from error
    made.retries = False
    return made


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _said(error: ApiException) -> str:
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = error.reason or "no message"
    return f"{error.status}: {message}" if error.status else str(message)
