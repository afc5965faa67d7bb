"""What is asked of Prefect's server from outside a run: start, wake, look. Small, so that the rest can do without it.

Every call is bounded in time: the watch must go on protecting while the API is down.
"""

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Scheduled

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError
from chrysalis.secrets import redact
from tasks import prefect_http

TIMEOUT_S = 5.0
BUSY_PAUSES_S = (0.1, 0.3, 1.0)
"""Pauses between tries while the server says that its database is busy, as SQLite is now and then."""
ENDED = frozenset({"CRASHED", "FAILED", "CANCELLED", "COMPLETED"})
COMING_UP = {"PENDING": timedelta(seconds=60), "RUNNING": timedelta(seconds=20)}
"""How long a process may take from being started to running, and from there to its first sign of life in the ledger."""


class PrefectUnavailable(ChrysalisError):
    """Prefect's server cannot be reached, or refused."""


class RunCancelled(ChrysalisError):
    """Somebody cancelled the run in Prefect; only a person has it go on."""


def flow_run_state(flow_run_id: str) -> tuple[str, str]:
    """(type, name) of the run's state, such as ("PAUSED", "Suspended"). Raises PrefectUnavailable."""
    state = _call("GET", f"/flow_runs/{flow_run_id}").get("state") or {}
    return str(state.get("type", "")), str(state.get("name", ""))


@dataclass(frozen=True, slots=True)
class Nudge:
    """Why a run shall go on, and which runs that holds for; one that works is always left alone."""

    note: str
    asleep: bool = True
    """Resume it when it is suspended."""
    gone: bool = False
    """No sign of life for long: schedule it again although Prefect takes it for running."""
    cancelled: bool = False
    """Schedule it again although somebody cancelled it in Prefect."""


def wake(flow_run_id: str, nudge: Nudge) -> bool:
    """Have a run that sleeps, or ended before its rollout did, go on from its first line. True when it was told to.

    A suspended run is resumed as a person would; its form is filled with `not yet`, which decides nothing.
    Raises RunCancelled, PrefectUnavailable.
    """
    state = _call("GET", f"/flow_runs/{flow_run_id}").get("state") or {}
    kind = str(state.get("type", ""))
    if kind == "PAUSED" and nudge.asleep:
        return enter(flow_run_id, {"decision": "not yet", "approver": "chrysalis", "comment": nudge.note})
    if kind == "CANCELLED" and not nudge.cancelled:
        raise RunCancelled(f"flow run {flow_run_id} was cancelled in Prefect: {state.get('message') or 'no reason given'}")
    lost = nudge.gone and kind in COMING_UP and _age(state) > COMING_UP[kind]
    return reschedule(flow_run_id, nudge.note) if kind in ENDED or lost else False


def enter(flow_run_id: str, entry: dict[str, str]) -> bool:
    """Fill the form of a suspended run; False when the server did not take the entry. Raises PrefectUnavailable."""
    said = _call("POST", f"/flow_runs/{flow_run_id}/resume", {"run_input": entry})
    return bool(said.get("status") == "ACCEPT")


def _age(state: dict[str, Any]) -> timedelta:
    since = state.get("timestamp")
    return timedelta.max if since is None else utc_now() - datetime.fromisoformat(str(since))


def reschedule(flow_run_id: str, note: str) -> bool:
    """Schedule a run again whatever its state says, because its process is gone. Raises PrefectUnavailable."""
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(flow_run_id), Scheduled(message=note), force=True)
    except (httpx.HTTPError, ObjectNotFound) as error:
        raise PrefectUnavailable(f"flow run {flow_run_id} cannot be scheduled again: {error}") from error
    return True


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody entered into a form, and when, as the server recorded it."""

    given: dict[str, Any]
    entered_at: datetime


def answer(flow_run_id: str, pause_key: str) -> Answer | None:
    """What somebody typed into the form of that suspension; None when nobody has yet. Raises PrefectUnavailable."""
    key = f"suspended-{pause_key}-response"
    for found in _call("POST", f"/flow_runs/{flow_run_id}/input/filter", {"prefix": key, "limit": 10}):
        if found["key"] == key and isinstance(given := json.loads(found["value"]), dict):
            return Answer(given, datetime.fromisoformat(str(found["created"])))
    return None


def deployment_id(deployment: str) -> str:
    """The id of the deployment `flow/name`. Raises PrefectUnavailable when there is none."""
    return str(_call("GET", f"/deployments/name/{deployment}")["id"])


def start_run(deployment: str, parameters: dict[str, Any], idempotency_key: str, tags: list[str]) -> str:
    """Create a run of the deployment `flow/name`; the same key gives the same run. Returns its id."""
    body = {"parameters": parameters, "idempotency_key": idempotency_key, "tags": tags}
    return str(_call("POST", f"/deployments/{deployment_id(deployment)}/create_flow_run", body)["id"])


def api_url() -> str:
    """The server's address. Raises PrefectUnavailable when none is set."""
    url = os.environ.get("PREFECT_API_URL") or get_current_settings().api.url
    if not url:
        raise PrefectUnavailable("PREFECT_API_URL is not set; export it, or run `make up`, which prints it")
    return str(url).rstrip("/")


_REQUIRED = object()


def _call(method: str, path: str, body: dict[str, Any] | None = None, *, absent: Any = _REQUIRED) -> Any:
    url = api_url()
    for pause_s in (*BUSY_PAUSES_S, None):
        try:
            answer = prefect_http.request(method, url, path, body, timeout_s=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise PrefectUnavailable(
                f"Prefect at {url} does not answer: {error}; is `prefect server start` running?"
            ) from error
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or pause_s is None:
            break
        time.sleep(pause_s)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise PrefectUnavailable(
            f"Prefect at {url} wants its login; set PREFECT_API_AUTH_STRING to the server's `user:password`"
        )
    if answer.status_code == httpx.codes.NOT_FOUND:
        if absent is not _REQUIRED:
            return absent
        raise PrefectUnavailable(f"Prefect at {url} has no {path}; run `prefect deploy --all`")
    if answer.is_error:
        raise PrefectUnavailable(
            f"Prefect at {url} refused {method} {path}: {answer.status_code} {redact(answer.text)[:300]}"
        )
    return answer.json() if answer.content else {}
