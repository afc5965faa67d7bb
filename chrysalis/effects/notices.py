"""Tells people: one notice to one channel, tried again within bounds, and what became of it.

Nothing here raises into the caller: a rollback is not held up because a chat server is down. What could not be delivered
within its time is a Delivery that says why; the ledger's queue tries it again (tasks/post.py), and a file of JSON lines
keeps every try. Addresses hold secrets (a webhook's path) and are shown as scheme and host only; what is secret in them is
known to `chrysalis.secrets` before anything is sent.

A channel's address chooses its sender: `log:`, `file:PATH` (JSON lines), `http://…` or `https://…` (a webhook), and every
other scheme Apprise (`slack://…`, `pagerduty://…`, `opsgenie://…`, `mailtos://…`, `json://…`).
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import httpx

from chrysalis import secrets
from chrysalis.effects.notice import SEVERITIES, Delivery, Notice, Sender, Severity, Undelivered

WITHIN_S = 6.0
"""All tries of one delivery together."""
TIMEOUT_S = 3.0
FIRST_PAUSE_S = 0.2
_MAY_BE_REPEATED = frozenset({408, 425, 429, 500, 502, 503, 504})
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "page": logging.ERROR}
_RECORD = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogSender:
    """Writes the notice to the log of this process."""

    def send(self, notice: Notice, *, timeout_s: float) -> None:
        """Always delivers."""
        _log.log(_LEVELS.get(notice.severity, logging.ERROR), "%s: %s", notice.title, notice.body, extra=asdict(notice))


@dataclass(frozen=True, slots=True)
class FileSender:
    """Appends the notice to a file, one JSON object per line."""

    path: Path

    def send(self, notice: Notice, *, timeout_s: float) -> None:
        """Append and flush."""
        try:
            _append(self.path, _as_json(notice))
        except OSError as error:
            raise Undelivered(f"{self.path}: {error.strerror or error}", final=True) from error


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Posts the notice as JSON; `text` holds it in one piece, as chat webhooks want it."""

    url: str

    def send(self, notice: Notice, *, timeout_s: float) -> None:
        """Delivered is an answer of 2xx."""
        headers = {"Idempotency-Key": notice.dedupe_key.encode("ascii", "replace").decode()}
        try:
            answer = httpx.post(self.url, json=_as_json(notice), headers=headers, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise Undelivered(f"{_shown(self.url)}: no answer within {timeout_s:.1f} s") from error
        except httpx.TransportError as error:
            raise Undelivered(f"{_shown(self.url)}: {type(error).__name__}") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Undelivered(f"{_shown(self.url)}: {type(error).__name__}", final=True) from error
        if not answer.is_success:
            final = answer.status_code not in _MAY_BE_REPEATED
            raise Undelivered(f"{_shown(self.url)} answered {answer.status_code}, expected 2xx", final=final)


def sender_for(address: str) -> Sender:
    """The sender for an address. Raises Undelivered where there is none."""
    scheme, _, rest = address.partition(":")
    match scheme:
        case "log":
            return LogSender()
        case "file" if rest:
            return FileSender(Path(rest.removeprefix("//")))
        case "http" | "https":
            return WebhookSender(address)
        case _ if rest.startswith("//"):
            from chrysalis.effects.apprise_sender import AppriseSender

            return AppriseSender(address)
        case _:
            raise Undelivered(
                f"no sender for addresses like {scheme}:…; there are log:, file:PATH, http(s)://… and Apprise's", final=True
            )


def channels_for(severity: Severity, routes: Mapping[Severity, Sequence[str]]) -> tuple[str, ...]:
    """The channels of a severity; without any, those of a higher one, then of a lower: none is lost."""
    place = SEVERITIES.index(severity)
    for candidate in (*SEVERITIES[place:], *reversed(SEVERITIES[:place])):
        if routes.get(candidate):
            return tuple(routes[candidate])
    return ()


def keep(record: Path, notice: Notice, deliveries: Sequence[Delivery]) -> None:
    """Add the notice and what became of it to a file of JSON lines. Raises OSError."""
    _append(record, {**_as_json(notice), "deliveries": [asdict(one) for one in deliveries]})


def deliver(notice: Notice, channel: str, address: str, *, within_s: float = WITHIN_S) -> Delivery:
    """Send to one channel, trying again with growing pauses until `within_s` have passed; never raises."""
    if address.partition(":")[0] not in ("log", "file"):
        secrets.learn_address(f"address of {channel}", address)
    ends, pause_s, tries = monotonic() + within_s, FIRST_PAUSE_S, 0
    while True:
        tries += 1
        try:
            sender_for(address).send(notice, timeout_s=max(0.1, min(TIMEOUT_S, ends - monotonic())))
            return Delivery(channel, True, tries=tries)
        except Undelivered as error:
            if error.final or monotonic() + pause_s >= ends:
                return Delivery(channel, False, str(error), tries)
        except Exception as error:  # whatever a sender does wrong, the caller goes on
            return Delivery(channel, False, f"the sender broke: {type(error).__name__}", tries)
        sleep(pause_s)
        pause_s *= 2


def _as_json(notice: Notice) -> dict[str, object]:
    text = f"[{notice.severity}] {notice.title}\n{notice.body}".rstrip()
    return {**asdict(notice), "text": text, "at": datetime.now(UTC).isoformat()}


def _append(path: Path, row: Mapping[str, object]) -> None:
    line = json.dumps(row, ensure_ascii=False) + "\n"
    # One write in append mode under a lock: lines of several threads and processes do not mix.
    with _RECORD:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(line.encode())


def _shown(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return "the webhook"
    return f"{parsed.scheme}://{parsed.host}"
