"""One HTTP request to Prefect's server, logged in and with its CSRF token where the server asks for them.

Prefect's own client does both, and repeats a failed request for minutes; the watch must not wait that long.
"""

import uuid
from functools import cache
from typing import Any

import httpx
from prefect.settings import get_current_settings

_CLIENT = str(uuid.uuid4())
_tokens: dict[str, str] = {}
"""The CSRF token of each server, for this process."""


def request(method: str, base: str, path: str, body: dict[str, Any] | None, *, timeout_s: float) -> httpx.Response:
    """Ask once, and once more with a new CSRF token when the server refused the one there is. Raises httpx.HTTPError."""
    answer = _ask(method, base, path, body, timeout_s)
    if answer.status_code == httpx.codes.FORBIDDEN and "CSRF" in answer.text:
        told = httpx.get(f"{base}/csrf-token", params={"client": _CLIENT}, timeout=timeout_s, auth=_login())
        if told.is_error:
            return told
        _tokens[base] = str(told.json()["token"])
        answer = _ask(method, base, path, body, timeout_s)
    return answer


def _ask(method: str, base: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> httpx.Response:
    token = {"Prefect-Csrf-Token": _tokens[base], "Prefect-Csrf-Client": _CLIENT} if base in _tokens else {}
    return httpx.request(method, base + path, json=body, timeout=timeout_s, headers=token, auth=_login())


@cache
def _login() -> httpx.BasicAuth | None:
    """From PREFECT_API_AUTH_STRING, `user:password`; None where it is not set."""
    secret = get_current_settings().api.auth_string
    if secret is None:
        return None
    user, _, password = secret.get_secret_value().partition(":")
    return httpx.BasicAuth(user, password)
