"""Pages go on to the next people until somebody has them; nothing waits for a receiver, and nothing is ever lost."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerUnavailable
from chrysalis.ledger import Ledger, ToldNotice
from chrysalis.ledger.notices import HELD
from chrysalis.plan.parts import Channel, EscalationStep, Notifications
from tasks import notify
from tasks.escalation import Courier, look_after
from tasks.late_pages import LEDGER
from tasks.notify import tell
from tasks.recollection import write_down
from tasks.spool import SPOOL, Spool
from tasks.workspace import plan_of
from tests.metrics.servers import Reply, serving
from tests.stack import until
from tests.tasks.conftest import TEXT, Bench, begin, rollout, with_plan

NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
CHANNELS = """
channels:
  chat: {url: "${CHAT_URL}"}
  phone: {url: "${PHONE_URL}"}
  lead: {url: "${LEAD_URL}"}
notifications:
  routes: {info: [chat], page: [chat]}
  escalation:
    - {after: 0s, to: [phone]}
    - {after: 15m, to: [lead]}
    - {after: 30m, to: [phone, lead]}
"""


@dataclass(frozen=True)
class Town:
    """A rollout whose channels are files; what arrived where."""

    bench: Bench
    home: Path

    def arrived(self, channel: str) -> list[str]:
        path = self.home / f"{channel}.jsonl"
        return [json.loads(line)["title"] for line in path.read_text().splitlines()] if path.exists() else []

    def await_arrived(self, channel: str, count: int) -> list[str]:
        return until(lambda: found if len(found := self.arrived(channel)) >= count else None, f"{count} at {channel}")

    def look(self, after: timedelta) -> None:
        look_after(self.bench.ledger, utc_now() + after)

    def await_carried(self) -> None:
        """Until the ledger has what became of the page everywhere; before that, much later, it would be due again."""
        until(lambda: all(one.due_at is None for one in self.bench.ledger.deliveries(self.page.id)), "all to be carried")

    @property
    def page(self) -> ToldNotice:
        (page,) = self.bench.ledger.open_pages()
        return page


@pytest.fixture
def town(home: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    for name in ("chat", "phone", "lead"):
        monkeypatch.setenv(f"{name.upper()}_URL", f"file:{home / name}.jsonl")
    return Town(rollout(TEXT + CHANNELS), home)


def test_a_page_goes_to_its_route_and_the_first_step_at_once_and_on_until_somebody_has_it(town: Town) -> None:
    tell(town.bench, "page", "errors fires", "3 % > 2 %", wait_s=5)
    assert (len(town.arrived("chat")), len(town.arrived("phone")), town.arrived("lead")) == (1, 1, [])
    town.await_carried()
    town.look(14 * MINUTE)
    assert town.page.level == 1
    town.await_carried()
    town.look(16 * MINUTE)
    assert town.await_arrived("lead", 1) == ["nobody has it yet: [quick-1] errors fires"]
    town.await_carried()
    town.look(16 * MINUTE)
    assert (town.page.level, len(town.arrived("lead"))) == (2, 1)
    town.await_carried()
    town.look(35 * MINUTE)
    town.await_arrived("lead", 2)
    town.await_carried()
    town.look(55 * MINUTE)
    town.await_arrived("lead", 3)
    town.await_carried()
    town.bench.ledger.acknowledge_notice(town.page.id, by="nadia", now=utc_now())
    town.look(500 * MINUTE)
    assert town.await_arrived("lead", 4)[3:] == ["nadia has it: [quick-1] errors fires"]
    assert town.page.level == 4


def test_an_escalation_goes_on_in_another_process(town: Town) -> None:
    """All it needs is in the ledger."""
    tell(town.bench, "page", "errors fires", "", wait_s=5)
    with Ledger.open(town.bench.settings.ledger_url) as other:
        plan_of.cache_clear()
        look_after(other, utc_now() + 16 * MINUTE)
    assert len(town.await_arrived("lead", 1)) == 1


def test_the_same_within_the_settling_time_is_told_once(town: Town) -> None:
    for _ in range(3):
        tell(town.bench, "info", "still at 30 %", "", wait_s=5)
    assert len(town.arrived("chat")) == 1
    (kept,) = town.bench.ledger.notices(town.bench.rollout.id)
    assert kept.repeats == 2


def test_a_notice_that_was_lost_is_tried_again_until_it_arrives(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = iter([Reply(404), Reply(204)])
    with serving(lambda _: next(replies)) as server:
        monkeypatch.setenv("CHAT_URL", server.url)
        (lost,) = tell(town.bench, "info", "at 30 %", "", wait_s=5)
        assert (lost.delivered, "answered 404" in lost.reason) == (False, True)
        town.look(timedelta(seconds=9))
        assert len(server.asked) == 1
        town.look(timedelta(seconds=11))
        (kept,) = town.bench.ledger.notices(town.bench.rollout.id)
        until(lambda: town.bench.ledger.deliveries(kept.id)[0].delivered_at, "the second try")
        town.look(60 * MINUTE)
        assert len(server.asked) == 2


def test_a_notice_of_a_process_that_died_is_carried_by_the_watch(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "post", lambda *_: [])
    with pytest.raises(ValueError, match="zip"):  # the stand-in for a kill between the ledger and the first try
        tell(town.bench, "info", "at 30 %", "")
    assert town.arrived("chat") == []
    town.look(HELD + MINUTE)
    assert town.await_arrived("chat", 1) == ["[quick-1] at 30 %"]


def test_one_given_up_after_a_day_says_so(town: Town, monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("CHAT_URL", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setattr("tasks.post.utc_now", lambda: utc_now() + timedelta(hours=25))
    tell(town.bench, "info", "at 30 %", "", wait_s=30)
    (kept,) = town.bench.ledger.notices(town.bench.rollout.id)
    (delivery,) = town.bench.ledger.deliveries(kept.id)
    assert (delivery.due_at, delivery.delivered_at) == (None, None)
    assert "ConnectError" in delivery.reason


def test_neither_who_tells_nor_a_tick_waits_for_a_receiver_that_hangs(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both return while the receiver still holds the request; that they do is an event, not a time."""
    release, courier = threading.Event(), Courier()
    with serving(lambda _: Reply(wait=release)) as server:
        monkeypatch.setenv("CHAT_URL", server.url)
        began = monotonic()
        (waited,) = tell(town.bench, "info", "at 30 %", "")
        courier.go(town.bench.ledger, utc_now() + MINUTE)
        courier.go(town.bench.ledger, utc_now() + 2 * MINUTE)
        assert waited.reason == "on its way"
        until(lambda: server.asked, "the receiver to be asked")
        assert not release.is_set()
        assert monotonic() - began < 60
        release.set()
    courier.close()


def test_a_ledger_that_is_out_of_reach_does_not_keep_people_from_being_told(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LedgerUnavailable("the ledger is gone")

    monkeypatch.setattr(Ledger, "tell_notice", fail)
    (told, also) = tell(town.bench, "page", "errors fires", "", wait_s=5)
    assert (told.delivered, also.delivered) == (True, True)
    assert town.arrived("phone") == ["[quick-1] errors fires"]


def test_a_page_that_the_ledger_could_not_take_is_opened_when_it_is_back_and_goes_on_to_the_next_people(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told twice meanwhile it is one page; nobody who was told is told again; what is about the ledger is over."""

    def fail(*_: object, **__: object) -> None:
        raise LedgerUnavailable("the ledger is gone")

    began = utc_now()
    with monkeypatch.context() as away:
        away.setattr(Ledger, "tell_notice", fail)
        for _ in range(2):
            tell(town.bench, "page", "errors fires", "3 %", wait_s=5)
        tell(town.bench, "page", "the ledger is out of reach", "", cause=LEDGER, wait_s=5)
        tell(town.bench, "info", "going on", "", wait_s=5)
    spool = Spool(town.home / SPOOL)
    for _ in range(2):
        for entry in spool.entries():
            write_down(town.bench.ledger, entry)
    assert (town.page.title, town.page.level, began < town.page.told_at) == ("[quick-1] errors fires", 1, True)
    town.look(14 * MINUTE)
    assert town.arrived("lead") == []
    town.look(16 * MINUTE)
    assert town.await_arrived("lead", 1) == ["nobody has it yet: [quick-1] errors fires"]
    assert town.arrived("phone").count("[quick-1] errors fires") == 2


def ends_with_its_rollout(town: Town) -> str | None:
    town.bench.ledger.set_state(town.bench.rollout.id, town.bench.token, state="ended", outcome="rolled_back", now=utc_now())
    return None


def ends_with_its_trigger(town: Town) -> str | None:
    bench = town.bench
    bench.ledger.arm_guard(bench.rollout.id, bench.token, triggers={"errors": {}}, now=utc_now())
    states = {bench.rollout.id: {"errors": {"phase": "firing"}}}
    bench.ledger.save_trigger_states(states, utc_now())
    tell(bench, "page", "errors fires", "", cause="trigger:errors", wait_s=5)
    town.look(NOW)
    assert town.page.ended_at is None
    bench.ledger.save_trigger_states({bench.rollout.id: {"errors": {"phase": "inactive"}}}, utc_now())
    return "trigger:errors"


def ends_with_its_wait(town: Town) -> str | None:
    bench = town.bench
    begin(bench, "some.05.sign_off", "sign_off")
    wait = bench.ledger.open_wait(
        bench.rollout.id, bench.token, step_id="some.05.sign_off", kind="sign_off", needed_s=None, detail={}, now=utc_now()
    )
    tell(bench, "page", "errors fires", "", cause=f"wait:{wait.id}", wait_s=5)
    town.look(NOW)
    assert town.page.ended_at is None
    bench.ledger.close_wait(wait.id, "done", now=utc_now())
    return f"wait:{wait.id}"


def ends_when_it_is_seen_again(town: Town) -> str | None:
    bench = town.bench
    tell(bench, "page", "errors fires", "", cause="blind", wait_s=5)
    bench.ledger.beat("watch", detail={"blind": [bench.rollout.id]}, now=utc_now())
    town.look(NOW)
    assert town.page.ended_at is None
    bench.ledger.beat("watch", detail={"blind": []}, now=utc_now())
    return "blind"


@pytest.mark.parametrize(
    ("end", "why"),
    [
        pytest.param(ends_with_its_rollout, "quick-1 ended rolled back", id="its rollout"),
        pytest.param(ends_with_its_trigger, "errors no longer fires", id="its trigger"),
        pytest.param(ends_with_its_wait, "some.05.sign_off: done", id="what it waited for"),
        pytest.param(ends_when_it_is_seen_again, "it can be watched again", id="the blindness"),
    ],
)
def test_an_acknowledged_page_ends_once_with(town: Town, end: Callable[[Town], str | None], why: str) -> None:
    cause = end(town) if end is not ends_with_its_rollout else None
    if cause is None:
        tell(town.bench, "page", "errors fires", "", wait_s=5)
    town.bench.ledger.acknowledge_notice(town.page.id, by="nadia", now=utc_now())
    if end is ends_with_its_rollout:
        end(town)
    before = len(town.arrived("chat"))
    town.look(NOW)
    town.look(NOW)
    assert town.await_arrived("chat", before + 1)[before:] == ["over: [quick-1] errors fires"]
    assert town.await_arrived("phone", before + 1)[before:] == ["over: [quick-1] errors fires"]
    (page, *_) = town.bench.ledger.notices(town.bench.rollout.id)
    assert (page.ended_why or "").startswith(why)


def test_a_channel_whose_variable_is_not_set_is_written_to_the_log(home: Path) -> None:
    bench = with_plan(
        rollout(),
        channels={"chat": Channel(url="${NOBODY_SET_THIS}")},
        notifications=Notifications(routes={"info": ("chat",)}),
    )
    (told,) = tell(bench, "info", "at 30 %", "", wait_s=5)
    assert told.delivered


def test_a_plan_may_name_severities_by_priority() -> None:
    found = Notifications.model_validate({"routes": {"P0": ["phone"], "P2": ["chat"]}})
    assert found.routes == {"page": ("phone",), "info": ("chat",)}
    assert EscalationStep.model_validate({"after": "15m", "to": ["lead"]}).after == 15 * MINUTE


@pytest.fixture
def closed_port() -> Iterator[int]:
    from tests.metrics.servers import closed_port as closed

    with closed() as port:
        yield port
