"""Carries notices to their channels, beside whatever else runs: what the ledger queued is tried, and how it went is entered.

Nothing waits for it but who asks to. What could not be delivered stays in the ledger's queue and is tried again by the
watch, with growing pauses, until it is a day old; a process that dies in between leaves it there, too.
"""

import contextlib
import contextvars
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import cache

from chrysalis.clock import utc_now
from chrysalis.effects.notice import Delivery, Notice
from chrysalis.effects.notices import deliver, keep
from chrysalis.errors import LedgerError, SettingsError
from chrysalis.ledger import QueuedDelivery, ToldNotice
from chrysalis.settings import fill_in
from tasks.step import log
from tasks.workspace import Workspace, open_ledger

KEPT = "notices.jsonl"
"""In the home folder."""
AT_ONCE = 8
TRY_AGAIN_AFTER = timedelta(seconds=10)
TRY_AGAIN_AT_MOST_AFTER = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(days=1)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="post")


def post(workspace: Workspace, notice: ToldNotice, held: Iterable[QueuedDelivery]) -> list[Future[Delivery]]:
    """Carry these deliveries, which the caller holds, in the background. The futures never raise."""
    return [_pool().submit(contextvars.copy_context().run, _carry, workspace, notice, queued) for queued in held]


def post_without_ledger(workspace: Workspace, notice: Notice, channels: tuple[str, ...]) -> list[Future[Delivery]]:
    """Send a notice that could not be entered: said once rather than not at all. Without a channel the local file has it."""
    if not channels:
        with contextlib.suppress(OSError):
            keep(workspace.settings.home / KEPT, notice, [])
    return [_pool().submit(_send, workspace, notice, channel) for channel in channels]


def _carry(workspace: Workspace, notice: ToldNotice, queued: QueuedDelivery) -> Delivery:
    done = _send(workspace, wording(notice, queued), queued.channel)
    now = utc_now()
    age = now - queued.created_at
    again = None if age > GIVE_UP_AFTER else now + min(max(TRY_AGAIN_AFTER, age), TRY_AGAIN_AT_MOST_AFTER)
    # Not entered, it falls due again by itself and may arrive twice; receivers know it by its key.
    with contextlib.suppress(LedgerError):
        open_ledger().settle_delivery(
            queued.id, delivered=done.delivered, reason=done.reason, tries=done.tries, now=now, due_at=again
        )
    if not done.delivered:
        what = "tried again" if again else f"given up after {GIVE_UP_AFTER}"
        log().warning("notice %s to %s was not delivered, %s: %s", notice.id, queued.channel, what, done.reason)
    return done


def _send(workspace: Workspace, notice: Notice, channel: str) -> Delivery:
    done = deliver(notice, channel, address_of(workspace, channel))
    with contextlib.suppress(OSError):
        keep(workspace.settings.home / KEPT, notice, [done])
    return done


def wording(notice: ToldNotice, queued: QueuedDelivery) -> Notice:
    """What is sent for one delivery: the notice itself, or what became of it."""
    title, body, severity = notice.title, notice.body, notice.severity
    how = f"`chrysalis ack {notice.id} --as NAME` says that you have it"
    match queued.what:
        case "told":
            body = f"{body}\n{how}".strip() if severity == "page" else body
        case "escalated":
            title = f"nobody has it yet: {title}"
            body = f"{body}\ntold first at {notice.told_at:%Y-%m-%d %H:%M:%S} UTC; {how}".strip()
        case "acknowledged":
            severity, title, body = "info", f"{notice.acknowledged_by} has it: {title}", "nobody else is told meanwhile"
        case "ended":
            severity, title = "info", f"over: {title}"
            body = f"{notice.ended_why}; {notice.acknowledged_by} had it"
    key = f"{notice.rollout_id}:{notice.id}:{queued.what}:{notice.level if queued.what == 'escalated' else notice.repeats}"
    return Notice(severity, title, body, notice.rollout_id, key, markdown=notice.markdown and queued.what == "told")


def address_of(workspace: Workspace, channel: str) -> str:
    """The channel's address; one whose variable is not set is `log:`."""
    plan = workspace.plan
    try:
        return fill_in(plan.channels[channel].url, workspace.variables, where=f"{plan.name}: channel {channel}")
    except (KeyError, SettingsError):
        return "log:"
