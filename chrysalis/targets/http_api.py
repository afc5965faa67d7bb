"""A service's own configuration API as a switchboard: named values, changed by PATCH, read back until they are as written.

Values in nested objects have dotted names (`features.emergence`); a list is its JSON text. The stamp goes along as the
header `x-chrysalis-stamp`, and as a value of its own where the API has a field for it, where a stale token is then seen. An
API that itself remembers stamps refuses an old one with 409 and names the newer one as `stale_stamp`.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.secrets import redact
from chrysalis.targets.base import Stamp, Value

STAMP_HEADER = "x-chrysalis-stamp"
POLL_S = 0.05
_CONFLICT, _SERVER_ERROR = 409, 500
_SHOWN_CHARACTERS = 200


class HttpApiSwitchboard:
    """A Switchboard over one API. `headers` (authorisation, for example) go with every request."""

    def __init__(
        self,
        read_url: str,
        write_url: str | None = None,
        *,
        method: str = "PATCH",
        timeout_s: float = 5.0,
        settle_s: float = 2.0,
        stamp_field: str | None = "stamp",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.read_url = read_url
        self.write_url = write_url or read_url
        self.method = method
        self.settle_s = settle_s
        self.stamp_field = stamp_field
        self._client = httpx.Client(timeout=timeout_s, trust_env=False, headers=dict(headers or {}))

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Mapping[str, Value]:
        """All values now, by dotted name. Raises TargetUnavailable."""
        answer = self._request("GET", self.read_url)
        if not answer.is_success:
            raise TargetUnavailable(
                f"GET {self.read_url} answered {answer.status_code} ({_said(answer)}); check the address"
            )
        content = _json_object(answer)
        if content is None:
            raise TargetUnavailable(f"GET {self.read_url} answered no JSON object ({_said(answer)}); check the address")
        return flatten(content)

    def write(self, changes: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        """Change the named values and read all back; safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified (still different after `settle_s`), TargetUnavailable.
        """
        before = self.read()
        last = self._last_stamp(before)
        if last is not None and last.token > stamp.token:
            raise self._stale(stamp, str(last))
        wanted = dict(changes)
        if self.stamp_field is not None and self.stamp_field in before:
            wanted[self.stamp_field] = str(stamp)
        if not _differing(wanted, before):
            return before
        self._send(unflatten(wanted, before), stamp)
        return self._verify(wanted, stamp)

    def _send(self, body: dict[str, Any], stamp: Stamp) -> None:
        answer = self._request(self.method, self.write_url, body=body, stamp=stamp)
        if answer.is_success:
            return
        newer = (_json_object(answer) or {}).get("stale_stamp")
        if answer.status_code == _CONFLICT and newer:
            raise self._stale(stamp, str(newer))
        what = f"{self.method} {self.write_url} answered {answer.status_code} ({_said(answer)})"
        if answer.status_code >= _SERVER_ERROR:
            raise TargetUnavailable(f"{what}; repeat the write when it is well again")
        raise WriteRefused(f"{what} to {json.dumps(body)}; nothing changed")

    def _verify(self, wanted: Mapping[str, Value], stamp: Stamp) -> Mapping[str, Value]:
        deadline = time.monotonic() + self.settle_s
        while True:
            now = self.read()
            last = self._last_stamp(now)
            if last is not None and last.token > stamp.token:
                raise self._stale(stamp, str(last))
            different = _differing(wanted, now)
            if not different:
                return now
            if time.monotonic() > deadline:
                raise WriteNotVerified(
                    f"{self.write_url} took the change, but {self.read_url} does not show it after {self.settle_s:g} s: "
                    + "; ".join(f"{name} wrote {wanted[name]!r}, reads back {_shown(now, name)}" for name in different)
                )
            time.sleep(POLL_S)

    def _last_stamp(self, values: Mapping[str, Value]) -> Stamp | None:
        return None if self.stamp_field is None else Stamp.parse(str(values.get(self.stamp_field, "")))

    def _stale(self, stamp: Stamp, newer: str) -> StaleToken:
        return StaleToken(
            f"{self.write_url}: token {stamp.token} ({stamp}) is older than that of {newer}, which wrote last; "
            "stop this worker, its successor has taken over"
        )

    def _request(
        self, method: str, url: str, *, body: dict[str, Any] | None = None, stamp: Stamp | None = None
    ) -> httpx.Response:
        headers = {} if stamp is None else {STAMP_HEADER: str(stamp)}
        try:
            return self._client.request(method, url, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise TargetUnavailable(f"{method} {url} did not answer ({str(error) or type(error).__name__})") from error


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Nested objects to dotted names; a list becomes its JSON text."""
    values: dict[str, Value] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            values |= flatten(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return values


def unflatten(values: Mapping[str, Value], current: Mapping[str, Value]) -> dict[str, Any]:
    """Dotted names to nested objects; text becomes a list again where the value in `current` is one."""
    content: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = content
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = _as_list(value) if _is_list(current.get(name)) else value
    return content


def _is_list(value: Value) -> bool:
    return isinstance(value, str) and isinstance(_as_list(value), list)


def _as_list(value: Value) -> Any:
    if not isinstance(value, str) or not value.startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _differing(wanted: Mapping[str, Value], found: Mapping[str, Value]) -> list[str]:
    # None asks that there be no such value, as before a step that brought it: one that is gone is as wanted.
    return [name for name, value in wanted.items() if not _same(value, found.get(name))]


def _same(one: Value, other: Value) -> bool:
    # True == 1 in Python, but a switch that reads back as a number was not set.
    if _is_list(one) and _is_list(other):
        return bool(_as_list(one) == _as_list(other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _shown(values: Mapping[str, Value], name: str) -> str:
    return repr(values[name]) if name in values else "nothing"


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _said(answer: httpx.Response) -> str:
    content = _json_object(answer) or {}
    said = content.get("error") or answer.text.strip() or "no message"
    return redact(str(said))[:_SHOWN_CHARACTERS]  # before it is cut: half a secret is not known again
