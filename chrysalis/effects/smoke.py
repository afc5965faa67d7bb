"""Asks a service a few requests and compares what comes back: status, headers, body.

Every request is made, in order, and all that differs is reported at once, each with what was found and what was expected.
A request is tried again while it fails, as a service that has just started may; redirects are not followed, since a
redirect is an answer of its own. Request headers may hold tokens and are never shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import Any

import httpx
from jsonpointer import JsonPointer, JsonPointerException

from chrysalis.errors import StepFailed
from chrysalis.secrets import redact

MAX_BODY_BYTES = 8 * 2**20
PAUSE_S = 0.25
MAX_PAUSE_S = 2.0
SHOWN_CHARACTERS = 120
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class SmokeRequest:
    """One request and what must come back.

    A header is expected exactly, or as a regular expression that matches all of it. `expect_json` maps JSON pointers to
    values; 1 and true differ, 1 and 1.0 do not. `timeout_s` and `tries` take the place of the test's own.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    json_body: Any = None
    expect_status: int = 200
    expect_headers: Mapping[str, str] = field(default_factory=dict)
    expect_json: Mapping[str, Any] = field(default_factory=dict)
    expect_contains: str | None = None
    timeout_s: float | None = None
    tries: int | None = None


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How one request went; no `failures` is a pass. `answered` is False where no whole answer came."""

    request: SmokeRequest
    failures: tuple[str, ...]
    tries: int
    answered: bool = True


def smoke_test(requests: Sequence[SmokeRequest], *, timeout_s: float = 5.0, tries: int = 3) -> list[SmokeResult]:
    """Make all requests; returns how each went when all passed. Raises StepFailed with every failure."""
    if not requests:
        raise StepFailed("smoke test: no requests; a test that asks nothing shows nothing")
    with httpx.Client(follow_redirects=False) as client:
        results = [try_request(client, request, timeout_s=timeout_s, tries=tries) for request in requests]
    failed = [result for result in results if result.failures]
    if failed:
        lines = [
            f"{result.request.method} {shown_url(result.request.url)} ({result.tries} tries): {'; '.join(result.failures)}"
            for result in failed
        ]
        raise StepFailed(f"smoke test: {len(failed)} of {len(requests)} requests failed\n" + "\n".join(lines))
    return results


def try_request(client: httpx.Client, request: SmokeRequest, *, timeout_s: float, tries: int) -> SmokeResult:
    """Make one request, again while it fails; how the last try went."""
    allowed = max(1, request.tries or tries)
    answered: bool = False
    failures: tuple[str, ...] = ()
    for number in range(1, allowed + 1):
        answered, failures = _once(client, request, request.timeout_s or timeout_s)
        if not failures:
            return SmokeResult(request, (), number)
        if number < allowed:
            sleep(min(PAUSE_S * 2 ** (number - 1), MAX_PAUSE_S))
    return SmokeResult(request, failures, allowed, answered)


def _once(client: httpx.Client, request: SmokeRequest, timeout_s: float) -> tuple[bool, tuple[str, ...]]:
    """Whether a whole answer came, and what is wrong with it."""
    content = {} if request.json_body is None else {"json": request.json_body}
    try:
        with client.stream(
            request.method, request.url, headers=dict(request.headers), timeout=timeout_s, **content
        ) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return False, (f"the body is over {MAX_BODY_BYTES >> 20} MB",)
    except httpx.TimeoutException:
        return False, (f"no answer within {timeout_s:g} s",)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return False, (f"no answer ({type(error).__name__}: {error})",)
    return True, tuple(differences(request, response.status_code, response.headers, bytes(body)))


def differences(request: SmokeRequest, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    """Everything in an answer that is not as expected, each with both operands. `headers` ignores case as httpx's does."""
    found = []
    text = body.decode(errors="replace")
    if status != request.expect_status:
        found.append(f"status {status}, expected {request.expect_status} (body: {_shown(text)})")
    for name, expected in request.expect_headers.items():
        value = headers.get(name)
        if value is None:
            found.append(f"header {name} is missing, expected {expected!r}")
        elif value != expected and not _matches(expected, value):
            found.append(f"header {name} is {value!r}, expected {expected!r}")
    if request.expect_contains is not None and request.expect_contains not in text:
        found.append(f"body is {_shown(text)}, expected it to contain {request.expect_contains!r}")
    if request.expect_json:
        found += _json_differences(request.expect_json, text)
    return found


def _json_differences(expected: Mapping[str, Any], text: str) -> list[str]:
    try:
        document = httpx.Response(200, text=text).json()
    except ValueError:
        return [f"body is no JSON: {_shown(text)}"]
    found = []
    for pointer, wanted in expected.items():
        try:
            value = JsonPointer(pointer).resolve(document, _NOTHING)
        except JsonPointerException as error:
            found.append(f"{pointer!r} is no JSON pointer ({error}); write it like /status")
            continue
        if value is _NOTHING:
            found.append(f"{pointer} is missing, expected {wanted!r}")
        elif value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
            found.append(f"{pointer} is {_shown(repr(value))}, expected {wanted!r}")
    return found


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False


def _shown(text: str) -> str:
    one_line = redact(" ".join(text.split()))  # before it is cut: half a secret is not known again
    return one_line if len(one_line) <= SHOWN_CHARACTERS else one_line[:SHOWN_CHARACTERS] + "…"


def shown_url(url: str) -> str:
    """An address without user, password and query."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b"", query=None))
    except (httpx.InvalidURL, ValueError, TypeError):
        return url
