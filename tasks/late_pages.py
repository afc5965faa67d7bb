"""Pages that people were told while the ledger could not take them: kept in the local spool, and opened once it is back.

So that a page of an outage goes on to the next people, too, and can be acknowledged. People are not told it again.
"""

from datetime import datetime, timedelta
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.ledger import Ledger
from tasks.spool import SPOOL, Spool, Spooled
from tasks.step import log
from tasks.workspace import Workspace, settings

PAGED = "page"
"""The action of such an entry of the spool."""
LEDGER = "ledger"
"""The cause of a page about the ledger itself: it is over when the ledger can be written."""


def keep_page(workspace: Workspace, page: dict[str, Any], now: datetime, next_at: datetime | None) -> None:
    """Keep what `Ledger.tell_notice` would have been given. Of pages with the same key the last one counts.

    The watch of this machine opens it. What the disk does not take either is said in the log.
    """
    told = {**page, "next_at": next_at and next_at.isoformat()}
    entry = Spooled(
        key=f"{PAGED}:{page['key']}",
        rollout_id=workspace.rollout.id,
        actor=PAGED,
        action=PAGED,
        before=None,
        after=told,
        cause=page["cause"],
        at=now.isoformat(),
        done=True,
    )
    try:
        Spool(settings().home / SPOOL).add(entry)
    except OSError as error:
        log().error("%s: nobody else will be told of the page %r: %s", entry.rollout_id, page["title"], error)


def open_page(ledger: Ledger, entry: Spooled) -> None:
    """Open it as told when it was told. Raises LedgerUnavailable."""
    told = dict(entry.after)
    next_at = told.pop("next_at")
    workspace = Workspace.open(entry.rollout_id, 0)
    _, held = ledger.tell_notice(
        entry.rollout_id,
        **told,
        severity="page",
        settle=timedelta(seconds=workspace.clock.real_span_s(workspace.plan.notifications.settle)),
        next_at=next_at and datetime.fromisoformat(next_at),
        now=datetime.fromisoformat(entry.at),
    )
    for queued in held:
        ledger.settle_delivery(queued.id, delivered=True, reason="", tries=1, now=utc_now())
    log().info("%s: opened a page that was told while the ledger was out of reach: %s", entry.rollout_id, told["title"])
