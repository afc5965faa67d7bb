"""What can be operated by name over HTTP: layers on instances, versions, regions. One contract for all of them:

    GET  URL/state                              what is, as a JSON object
    POST URL/operations {action, arguments, at_s?} do it; 200 {summary, state} when done, 202 {id} when it takes longer
    GET  URL/operations/ID                      202 still, 200 {summary, state} done, 409 and above: it failed, with `error`

The stamp goes along as the header `x-chrysalis-stamp`; one with an older token is refused with 409 and `stale_stamp`. Every
operation must be safe to repeat: a worker that dies before it heard the answer asks again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from chrysalis.errors import StaleToken, TargetUnavailable, WriteRefused
from chrysalis.targets.base import Stamp
from chrysalis.targets.http_api import STAMP_HEADER

POLL_S = 0.1
_CONFLICT, _ACCEPTED, _SERVER_ERROR = 409, 202, 500


@dataclass(frozen=True, slots=True)
class Operated:
    """What an operation says of itself, and what is afterwards."""

    summary: str
    state: Mapping[str, Any]


class HttpOperator:
    """One operated target. `limit_s` bounds an operation that takes longer than its request."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, limit_s: float = 600.0) -> None:
        self.url = url.rstrip("/")
        self.limit_s = limit_s
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def read(self) -> Mapping[str, Any]:
        """What is now. Raises TargetUnavailable."""
        answer = self._request("GET", "/state")
        if not answer.is_success:
            raise TargetUnavailable(
                f"GET {self.url}/state answered {answer.status_code} ({_said(answer)}); check the address"
            )
        return _content(answer)

    def operate(self, action: str, arguments: Mapping[str, Any], stamp: Stamp, at_s: float | None = None) -> Operated:
        """Do it and wait until it is done; safe to repeat. `at_s` is now by the plan's clock, for what is once a day.

        Raises StaleToken, WriteRefused (unknown, or it failed), TargetUnavailable.
        """
        body = {"action": action, "arguments": dict(arguments), **({} if at_s is None else {"at_s": at_s})}
        answer = self._request("POST", "/operations", body=body, stamp=stamp)
        deadline = time.monotonic() + self.limit_s
        while answer.status_code == _ACCEPTED:
            if time.monotonic() > deadline:
                raise TargetUnavailable(f"{self.url}: {action} is not done after {self.limit_s:g} s; look at it, and repeat")
            time.sleep(POLL_S)
            answer = self._request("GET", f"/operations/{_content(answer)['id']}")
        content = _content(answer)
        if answer.is_success:
            return Operated(str(content.get("summary", "done")), content.get("state") or {})
        if answer.status_code == _CONFLICT and content.get("stale_stamp"):
            newer = content["stale_stamp"]
            raise StaleToken(
                f"{self.url}: token {stamp.token} ({stamp}) is older than that of {newer}, which wrote last; "
                "stop this worker, its successor has taken over"
            )
        what = f"{self.url}: {action} answered {answer.status_code} ({_said(answer)})"
        raise TargetUnavailable(what) if answer.status_code >= _SERVER_ERROR else WriteRefused(what)

    def _request(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, stamp: Stamp | None = None
    ) -> httpx.Response:
        headers = {} if stamp is None else {STAMP_HEADER: str(stamp)}
        try:
            return self._client.request(method, self.url + path, json=body, headers=headers)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise TargetUnavailable(f"{method} {self.url}{path} did not answer ({said})") from error


def _content(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _said(answer: httpx.Response) -> str:
    return str(_content(answer).get("error") or answer.text.strip() or "no message")[:200]
