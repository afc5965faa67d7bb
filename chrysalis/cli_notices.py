"""Commands about notices: which pages are open, and that somebody has one."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from chrysalis.cli_common import By, Json, acting, print_json
from chrysalis.clock import utc_now
from chrysalis.errors import LedgerError
from chrysalis.ledger import Ledger, QueuedDelivery, ToldNotice
from gates.units import format_duration
from tasks.permission import require
from tasks.post import post
from tasks.workspace import Workspace, open_ledger

Target = Annotated[str, typer.Argument(metavar="ROLLOUT|NOTICE", help="A rollout: all its open pages. Or a page's number.")]
Of = Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="Only of this rollout.")]


def notices(
    rollout_id: Of = None,
    everything: Annotated[bool, typer.Option("--all", help="Of one rollout: every notice, not only open pages.")] = False,
    as_json: Json = False,
) -> None:
    """Open pages: since when, who has them, who was told, and who is next when."""
    ledger = open_ledger()
    if everything and rollout_id is None:
        raise LedgerError("--all lists the notices of one rollout; name it: `chrysalis notices ROLLOUT --all`")
    if rollout_id is not None:
        ledger.get(rollout_id)
    found = ledger.notices(rollout_id) if everything and rollout_id else ledger.open_pages(rollout_id)
    if as_json:
        print_json([_row(ledger, one) for one in found])
        return
    for one in found:
        print(_line(one))
        for delivery in ledger.deliveries(one.id):
            print(f"      {delivery.what:<12} {delivery.channel:<20} {_arrived(delivery)}")
    if not found:
        print("no notices" if everything else "no page is open")


def ack(target: Target, by: By = "", as_json: Json = False) -> None:
    """Say that you have it: nobody else is woken for it, and those who were told hear that you do."""
    ledger, who = open_ledger(), acting(by)
    pages = _pages(ledger, target)
    done: list[dict[str, Any]] = []
    for page in pages:
        require("acknowledge", who, page.rollout_id)
        mine, held = ledger.acknowledge_notice(page.id, by=who, now=utc_now())
        post(Workspace.open(page.rollout_id, 0), mine, held)
        done.append(_row(ledger, mine))
        if not as_json:
            first = "" if mine.acknowledged_by == who else f" already since {mine.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
            print(f"{mine.id}: {mine.acknowledged_by} has it{first}: {mine.title}")
    if as_json:
        print_json(done)


def _pages(ledger: Ledger, target: str) -> tuple[ToldNotice, ...]:
    if target.isdecimal():
        return (ledger.notice(int(target)),)
    ledger.get(target)
    pages = ledger.open_pages(target)
    if not pages:
        raise LedgerError(f"{target} has no open page; `chrysalis notices` lists those of all rollouts")
    return pages


def _line(one: ToldNotice) -> str:
    at = f"{one.told_at:%Y-%m-%d %H:%M:%S}"
    again = f", asked for {one.repeats} more times" if one.repeats else ""
    return f"{one.id:>5} {at}  {one.severity:<7} {one.title}{again}\n      {_stands(one)}"


def _stands(one: ToldNotice) -> str:
    if one.ended_at is not None:
        return f"over: {one.ended_why}"
    if one.acknowledged_by is not None:
        return f"{one.acknowledged_by} has it since {one.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
    if one.severity != "page":
        return "told"
    if one.next_at is None:
        return f"nobody has it; `chrysalis ack {one.id} --as NAME`"
    left = max(timedelta(0), one.next_at - utc_now())
    soon = format_duration(round(left.total_seconds()))
    return f"nobody has it, the next people are told in {soon}; `chrysalis ack {one.id} --as NAME`"


def _arrived(delivery: QueuedDelivery) -> str:
    if delivery.delivered_at is not None:
        return f"delivered at {delivery.delivered_at:%H:%M:%S}"
    lost = delivery.reason or "on its way"
    return f"{lost}; tried again at {delivery.due_at:%H:%M:%S}" if delivery.due_at else f"given up: {lost}"


def _row(ledger: Ledger, one: ToldNotice) -> dict[str, Any]:
    return {
        "id": one.id,
        "rollout": one.rollout_id,
        "severity": one.severity,
        "title": one.title,
        "body": one.body,
        "told_at": one.told_at.isoformat(),
        "repeats": one.repeats,
        "level": one.level,
        "next_at": one.next_at and one.next_at.isoformat(),
        "acknowledged_by": one.acknowledged_by,
        "ended": one.ended_why,
        "deliveries": [
            {
                "channel": delivery.channel,
                "what": delivery.what,
                "delivered_at": delivery.delivered_at and delivery.delivered_at.isoformat(),
                "tries": delivery.tries,
                "reason": delivery.reason,
            }
            for delivery in ledger.deliveries(one.id)
        ],
    }
