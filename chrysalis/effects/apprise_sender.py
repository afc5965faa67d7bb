"""Notices by Apprise: Slack, PagerDuty, Opsgenie, mail and some hundred more, each by the scheme of its address.

Apprise is read in when the first such address is used (0.2-0.5 s), never when a rollback begins. It says only whether it
delivered; why not is in what it logs, so its log lines of a failed try are the reason, with the address's secrets taken
out, and they go nowhere else. Its services keep time differently, and some not at all: each try runs in a thread of its own
and is given up when its time is over. A redirect is not followed: it would carry the notice to somebody not addressed.
"""

import logging
import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from chrysalis.effects.notice import Notice, Undelivered
from chrysalis.secrets import redact

if TYPE_CHECKING:
    from apprise import NotifyBase

CONNECT_TIMEOUT_S = 2.0
MOST_HANGING = 16
"""Tries that were given up and have not come back; beyond them none is begun, or a dead server would take all threads."""
REASON_CHARACTERS = 300
_STATUS = re.compile(r"\berror=(\d{3})\b|\bstatus(?: code)?[ =:](\d{3})\b", re.IGNORECASE)
_MAY_BE_REPEATED = frozenset({408, 425, 429})
_hanging = threading.BoundedSemaphore(MOST_HANGING)


@dataclass(frozen=True, slots=True)
class AppriseSender:
    """One address of Apprise's, such as `slack://…`, `pagerduty://…`, `mailtos://…`, `json://…`."""

    address: str

    def send(self, notice: Notice, *, timeout_s: float) -> None:
        """Deliver within `timeout_s`, or raise Undelivered; what is on its way then may still arrive."""
        scheme = self.address.partition(":")[0]
        service = _service(self.address)
        if service is None:
            raise Undelivered(f"{scheme}: no notifier understands this address; see docs/notices.md", final=True)
        if not _hanging.acquire(blocking=False):
            raise Undelivered(f"{scheme}: {MOST_HANGING} earlier notices still hang; not tried")
        attempt = _Attempt(service, notice, timeout_s)
        attempt.start()
        attempt.join(timeout_s)
        if attempt.is_alive():
            raise Undelivered(f"{scheme}: no answer within {timeout_s:.1f} s")
        if not attempt.delivered:
            raise Undelivered(f"{scheme}: {attempt.reason}", final=attempt.final)


class _Attempt(threading.Thread):
    """One try. A thread that hangs ends with the process."""

    def __init__(self, service: "NotifyBase", notice: Notice, timeout_s: float) -> None:
        super().__init__(name="apprise", daemon=True)
        self._service, self._notice, self._timeout_s = service, notice, timeout_s
        self.delivered = False
        self.reason = ""
        self.final = False

    def run(self) -> None:
        lines = _capture().begin()
        try:
            self.delivered = self._send()
        except Exception as error:
            lines.append(f"{type(error).__name__}: {error}")
        finally:
            _capture().end()
            _hanging.release()
        said = redact("; ".join(dict.fromkeys(" ".join(line.split()) for line in lines)))
        self.reason = said[:REASON_CHARACTERS] or "not delivered, and the notifier did not say why"
        codes = [int(one or other) for one, other in _STATUS.findall(said)]
        self.final = bool(codes) and all(400 <= code < 500 and code not in _MAY_BE_REPEATED for code in codes)

    def _send(self) -> bool:
        from apprise import Apprise, NotifyFormat, NotifyType

        kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "page": NotifyType.FAILURE}
        self._service.socket_connect_timeout = min(CONNECT_TIMEOUT_S, self._timeout_s)
        self._service.socket_read_timeout = self._timeout_s
        body_format = NotifyFormat.MARKDOWN if self._notice.markdown else NotifyFormat.TEXT
        kind = kinds[self._notice.severity]
        title = f"[{self._notice.severity}] {self._notice.title}"
        one = Apprise([self._service], asset=self._service.asset)  # it turns Markdown into what the service shows
        return bool(one.notify(title=title, body=self._notice.body, notify_type=kind, body_format=body_format))


class _Capture(logging.Handler):
    """Keeps what Apprise logs at warning and above, apart for each thread, and lets nothing through to other handlers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._mine = threading.local()

    def begin(self) -> list[str]:
        lines: list[str] = []
        self._mine.lines = lines
        return lines

    def end(self) -> None:
        self._mine.lines = None

    def emit(self, record: logging.LogRecord) -> None:
        lines = getattr(self._mine, "lines", None)
        if lines is not None:
            lines.append(record.getMessage())


@cache
def _capture() -> _Capture:
    handler = _Capture()
    logger = logging.getLogger("apprise")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    return handler


def _service(address: str) -> Any:
    """The notifier for an address; None where there is none. Made anew each time: it holds a connection's state."""
    _capture()
    import apprise
    from apprise import common

    asset = apprise.AppriseAsset(
        app_id="Chrysalis",
        app_desc="Phased production rollouts",
        http_redirects=False,
        async_mode=False,
        secure_logging=True,
        default_service_retry=0,
        image_url_mask=None,
        image_url_logo=None,
        image_path_mask=None,
    )
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if service is not None:
        service.overflow_mode = common.OverflowMode.TRUNCATE
        service.redirects = False
        service.request_rate_per_sec = 0
    return service
