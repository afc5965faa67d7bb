"""Who was told what, and the queue: entered once, held by one, escalated once, ended once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from chrysalis.errors import LedgerError, UnknownRollout
from chrysalis.ledger import Ledger
from chrysalis.ledger.notices import HELD, Held
from tests.ledger.samples import NOW, started

SETTLE = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


def told(
    ledger: Ledger, rollout_id: str, *, severity: str = "page", key: str = "k", after: timedelta = timedelta(0)
) -> Held:
    return ledger.tell_notice(
        rollout_id,
        severity=severity,  # type: ignore[arg-type]
        title="errors",
        body="3 % > 2 %",
        key=key,
        channels=("chat", "phone", "chat"),
        settle=SETTLE,
        next_at=NOW + 15 * MINUTE,
        now=NOW + after,
    )


def test_a_notice_is_entered_with_one_delivery_for_each_channel_held_by_the_caller(ledger: Ledger) -> None:
    notice, held = told(ledger, started(ledger)[0])
    assert [(one.channel, one.what, one.due_at) for one in held] == [
        ("chat", "told", NOW + HELD),
        ("phone", "told", NOW + HELD),
    ]
    assert ledger.open_pages() == (notice,) == ledger.notices(notice.rollout_id)
    assert ledger.take_due_deliveries(NOW + HELD / 2) == ()


@pytest.mark.parametrize(("after", "tells"), [(9 * MINUTE, 0), (10 * MINUTE, 2)], ids=["settling", "settled"])
def test_the_same_again_is_told_only_after_it_settled_and_opens_no_second_page(
    ledger: Ledger, after: timedelta, tells: int
) -> None:
    rollout_id, _ = started(ledger)
    first, _ = told(ledger, rollout_id)
    second, held = told(ledger, rollout_id, after=after)
    assert (second.id, second.repeats, len(held)) == (first.id, 1, tells)
    assert len(told(ledger, rollout_id, key="other", after=after)[1]) == 2


def test_an_acknowledged_page_is_not_told_again_until_it_is_over(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    page, _ = told(ledger, rollout_id)
    ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    assert told(ledger, rollout_id, after=60 * MINUTE)[1] == ()
    ledger.end_notice(page.id, why="recovered", now=NOW, by="watch")
    again, held = told(ledger, rollout_id, after=61 * MINUTE)
    assert (again.id != page.id, len(held)) == (True, 2)


def test_what_is_not_settled_falls_due_again_and_is_taken_by_one_only(ledger: Ledger) -> None:
    _, (chat, phone) = told(ledger, started(ledger)[0])
    ledger.settle_delivery(chat.id, delivered=True, reason="", tries=1, now=NOW)
    late = NOW + HELD + MINUTE
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: ledger.take_due_deliveries(late), range(4)))
    assert [one.id for some in taken for one in some] == [phone.id]
    ledger.settle_delivery(phone.id, delivered=False, reason="no answer", tries=3, now=late, due_at=late + MINUTE)
    assert ledger.take_due_deliveries(late) == ()
    (again,) = ledger.take_due_deliveries(late + MINUTE)
    assert (again.tries, again.reason) == (3, "no answer")
    ledger.settle_delivery(phone.id, delivered=False, reason="given up", tries=1, now=late)
    assert ledger.take_due_deliveries(late + 60 * MINUTE) == ()
    assert [one.delivered_at is not None for one in ledger.deliveries(chat.notice_id)] == [True, False]


def test_a_delivery_that_arrived_stays_delivered_whatever_a_slower_try_says(ledger: Ledger) -> None:
    _, (chat, _) = told(ledger, started(ledger)[0])
    ledger.settle_delivery(chat.id, delivered=True, reason="", tries=1, now=NOW)
    ledger.settle_delivery(chat.id, delivered=False, reason="no answer", tries=1, now=NOW, due_at=NOW)
    found = ledger.deliveries(chat.notice_id)[0]
    assert (found.delivered_at, found.due_at) == (NOW, None)


def test_a_step_of_the_escalation_is_taken_once(ledger: Ledger) -> None:
    page, _ = told(ledger, started(ledger)[0])
    asked = {"channels": ("lead",), "level": 1, "next_at": NOW + 30 * MINUTE, "now": NOW, "by": "watch"}
    escalated, held = ledger.escalate_notice(page, **asked)  # type: ignore[arg-type]
    assert (escalated.level, escalated.next_at, [one.channel for one in held]) == (1, NOW + 30 * MINUTE, ["lead"])
    assert ledger.escalate_notice(page, **asked)[1] == ()  # type: ignore[arg-type]
    ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    assert ledger.escalate_notice(escalated, **asked)[1] == ()  # type: ignore[arg-type]


def test_the_first_who_acknowledges_stands_and_everybody_told_hears_it_once(ledger: Ledger) -> None:
    page, _ = told(ledger, started(ledger)[0])
    mine, held = ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    assert (mine.acknowledged_by, mine.next_at) == ("nadia", None)
    assert [(one.channel, one.what) for one in held] == [("chat", "acknowledged"), ("phone", "acknowledged")]
    theirs, again = ledger.acknowledge_notice(page.id, by="omar", now=NOW)
    assert (theirs.acknowledged_by, again) == ("nadia", ())


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_page_ends_once_and_says_so_where_somebody_had_it(ledger: Ledger, acknowledged: bool) -> None:
    page, _ = told(ledger, started(ledger)[0])
    if acknowledged:
        ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    over, held = ledger.end_notice(page.id, why="recovered", now=NOW, by="watch")
    assert [one.what for one in held] == ["ended", "ended"] * acknowledged
    assert (over.ended_why, ledger.open_pages()) == ("recovered", ())
    assert ledger.end_notice(page.id, why="again", now=NOW, by="watch")[1] == ()


def test_what_is_no_page_or_is_over_cannot_be_acknowledged(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    news, _ = told(ledger, rollout_id, severity="info")
    with pytest.raises(LedgerError, match="only a page is acknowledged"):
        ledger.acknowledge_notice(news.id, by="nadia", now=NOW)
    page, _ = told(ledger, rollout_id, key="page")
    ledger.end_notice(page.id, why="recovered", now=NOW, by="watch")
    with pytest.raises(LedgerError, match="is over: recovered"):
        ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    with pytest.raises(LedgerError, match="has no notice 999"):
        ledger.acknowledge_notice(999, by="nadia", now=NOW)
    with pytest.raises(UnknownRollout):
        told(ledger, "none-1")


def test_who_was_told_and_who_acknowledged_is_in_the_audit(ledger: Ledger) -> None:
    page, _ = told(ledger, started(ledger)[0])
    ledger.escalate_notice(page, channels=("lead",), level=1, next_at=None, now=NOW, by="watch")
    ledger.acknowledge_notice(page.id, by="nadia", now=NOW)
    ledger.end_notice(page.id, why="recovered", now=NOW, by="watch")
    mine = [(one.actor, one.action) for one in ledger.audit(subject=page.rollout_id) if "notice" in one.action]
    assert mine == [
        ("flow-1", "notice_told"),
        ("watch", "notice_escalated"),
        ("nadia", "notice_acknowledged"),
        ("watch", "notice_ended"),
    ]
    assert ledger.verify_audit() == []
