"""What the watch does for notices: carries those that were lost, goes on to the next people while nobody acknowledges a
page, and ends a page when what it is about is over.

Everything is in the ledger, so that it goes on after a restart; a step of the escalation is taken once, whoever takes it.
It runs in a thread of its own: a tick of the watch never waits for it.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chrysalis.errors import ChrysalisError, LedgerUnavailable
from chrysalis.ledger import Ledger, ToldNotice
from tasks.notify import next_step, real
from tasks.post import post
from tasks.step import log
from tasks.workspace import Workspace

EVERY = timedelta(seconds=1)
ACTOR = "watch"


@dataclass
class Courier:
    """Looks after notices, at most one round at a time and one in a second."""

    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="courier"))
    _busy: threading.Lock = field(default_factory=threading.Lock)
    _last: datetime | None = None

    def go(self, ledger: Ledger, now: datetime) -> None:
        """Begin a round, unless one is under way or was just now. Returns at once."""
        if (self._last is not None and now - self._last < EVERY) or not self._busy.acquire(blocking=False):
            return
        self._last = now
        try:
            self._thread.submit(self._round, ledger, now)
        except RuntimeError:
            self._busy.release()  # the watch is closing

    def close(self) -> None:
        """End after the round that runs."""
        self._thread.shutdown()

    def _round(self, ledger: Ledger, now: datetime) -> None:
        try:
            look_after(ledger, now)
        except LedgerUnavailable as error:
            log().error("notices wait for the ledger: %s", error)
        except Exception:
            log().exception("notices could not be looked after; tried again")
        finally:
            self._busy.release()


def look_after(ledger: Ledger, now: datetime) -> None:
    """One round: the lost, the open, and the over. Raises LedgerUnavailable."""
    for queued in ledger.take_due_deliveries(now):
        notice = ledger.notice(queued.notice_id)
        post(Workspace.open(notice.rollout_id, 0), notice, [queued])
    pages = ledger.open_pages()
    states = _states(ledger) if pages else {}
    for page in pages:
        try:
            _look_at(ledger, page, states, now)
        except LedgerUnavailable:
            raise
        except ChrysalisError as error:
            log().error("page %s could not be looked after: %s", page.id, error)


def _look_at(ledger: Ledger, page: ToldNotice, states: Mapping[str, Any], now: datetime) -> None:
    workspace = Workspace.open(page.rollout_id, 0)
    if why := over(workspace, page, states):
        ended, held = ledger.end_notice(page.id, why=why, now=now, by=ACTOR)
        post(workspace, ended, held)
        return
    if page.next_at is None or page.next_at > now:
        return
    steps = workspace.plan.notifications.escalation
    step = next_step(steps, page.level)
    escalated, held = ledger.escalate_notice(
        page,
        channels=step.to,
        level=page.level + 1,
        next_at=now + max(EVERY, real(workspace, pause_after(workspace, page.level + 1))),
        now=now,
        by=ACTOR,
    )
    post(workspace, escalated, held)


def pause_after(workspace: Workspace, level: int) -> timedelta:
    """Plan time from one step of the escalation to the next; after the last one it is that between the last two."""
    steps = workspace.plan.notifications.escalation
    times = [timedelta(0), *(step.after for step in steps)]
    pause = times[level + 1] - times[level] if level < len(steps) else times[-1] - times[-2]
    return pause or workspace.plan.notifications.settle


def over(workspace: Workspace, page: ToldNotice, states: Mapping[str, Any]) -> str:
    """Why what the page is about is over; empty while it lasts."""
    row = workspace.rollout
    if not row.active:
        return f"{row.id} ended {(row.outcome or '').replace('_', ' ')}: {row.status_text}"
    kind, _, name = (page.cause or "").partition(":")
    match kind:
        case "trigger":
            state = states.get(row.id, {}).get(name)
            return f"{name} no longer fires" if state is not None and state.get("phase") == "inactive" else ""
        case "wait":
            wait = next((one for one in workspace.ledger.waits(row.id) if str(one.id) == name), None)
            return f"{wait.step_id}: {wait.outcome}" if wait is not None and not wait.is_open else ""
        case "ledger":
            return "the ledger is back"
        case "blind":
            beat = workspace.ledger.last_beat("watch")
            seen = beat is not None and beat.at > page.told_at and row.id not in beat.detail.get("blind", [])
            return "it can be watched again" if seen else ""
    return ""


def _states(ledger: Ledger) -> dict[str, Any]:
    return {one.rollout.id: one.trigger_states for one in ledger.guarded()}
