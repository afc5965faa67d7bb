"""The ledger's database stopped and frozen under a rollout at 30 %: it holds, a breach is made safe, nothing is lost."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import LedgerUnavailable, StaleToken
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.settings import CHECKOUT
from tasks import standby
from tasks.last_known import BELIEVED_FOR, LastKnown
from tasks.late_pages import PAGED
from tasks.sentry import LAST_KNOWN
from tasks.spool import SPOOL, Spool, Spooled
from tasks.step import Done, Waiting
from tests.outages.conftest import at_home
from tests.outages.scene import PLAN, LedgerServer, Watch, begin, frozen, until

SINCE_THE_SPLIT = """\
triggers:
  differs:
    when: {sequential: {metric: error_rate, over: 1h}}
    respond: notify
"""


@pytest.fixture
def server(ledger_server: LedgerServer) -> LedgerServer:
    return ledger_server


@pytest.fixture
def home(sandbox: Sandbox, server: LedgerServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder whose ledger is a fresh database of the server."""
    name = f"t_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield from at_home(sandbox, tmp_path / "home", monkeypatch, server.url.replace("/postgres?", f"/{name}?"))


@contextmanager
def stopped(server: LedgerServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def watching(home: Path) -> Iterator[None]:
    """The flow `watch` in a process of its own, killed at the end."""
    with (home / "watch.log").open("ab") as log:
        command = [sys.executable, "-c", "from flows.watch import watch; watch.fn(hours=1.0)"]
        process = subprocess.Popen(command, cwd=CHECKOUT, env=dict(os.environ), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def outage(server: LedgerServer, how: str) -> AbstractContextManager[None]:
    return stopped(server) if how == "stopped" else frozen(server.pid)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_breach_is_made_safe_and_journaled_when_the_ledger_is_back(
    sandbox: Sandbox, home: Path, server: LedgerServer, how: str
) -> None:
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.5, "the soak to be watched")
        with outage(server, how):
            sandbox.fault("canary", error_rate=0.6)
            until(lambda: scene.weight == 0, "the watch to take the traffic off from memory")
        until(lambda: "roll_back" in scene.asked, "the way back to be asked for", timeout_s=40)
        until(lambda: scene.actions, "the action in the journal")
    (action,) = scene.actions
    assert (action.actor, action.action, action.before, action.after) == (
        "watch",
        "make_safe",
        {"traffic": 30},
        {"traffic": 0},
    )
    assert "seen while the ledger was out of reach" in action.cause
    until(lambda: "[outages-1] errors fires: roll back" in scene.told(), "the trigger's notice")
    assert scene.row.weight_percent == 0
    assert "[outages-1] errors fires: roll back" in [page.title for page in scene.ledger.notices(scene.rollout_id)]
    assert scene.ledger.verify_audit() == []


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_without_a_breach_it_holds_and_goes_on_afterwards(
    sandbox: Sandbox, home: Path, server: LedgerServer, how: str
) -> None:
    """No weight goes up and no soak is counted meanwhile; afterwards the step to 60 % runs as if nothing had been."""
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running() as watch:
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        with outage(server, how):
            until(lambda: watch.sentry.standby.due, "the watch to know that it is alone")
            if how == "stopped":
                with pytest.raises(LedgerUnavailable):
                    scene.raise_weight()
        assert scene.weight == 30
        watched_s = scene.soak.watched_s
        until(lambda: scene.soak.watched_s > watched_s, "the soak to go on", timeout_s=40)
        assert isinstance(scene.raise_weight(), Done)
    assert (scene.weight, scene.actions, scene.asked, scene.told()) == (60, (), [], [])


def test_what_was_made_safe_from_memory_is_not_raised_by_the_process_that_holds_the_token(
    sandbox: Sandbox, home: Path, server: LedgerServer
) -> None:
    """Its token is older than the watch's half step; the next token is newer, and waits until the action is journaled."""
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        server.stop()
        sandbox.fault("canary", error_rate=0.6)
        until(lambda: scene.weight == 0, "the watch to take the traffic off from memory")
    server.start()
    scene.ledger.beat("watch", detail={}, now=utc_now())
    sandbox.clear_faults("canary")
    held = scene.raise_weight()
    assert isinstance(held, Waiting)
    assert "it journals that first" in held.reason
    with sandbox.router() as router, pytest.raises(StaleToken, match=r"standby\.safe\.traffic"):
        router.write(60, scene.workspace().stamp("late"))
    with Watch.of(scene.ledger, "another watch on this machine").running():
        until(lambda: scene.actions, "the next watch to journal what the first one did")
    assert (scene.weight, scene.asked) == (0, ["roll_back"])
    assert scene.row.token == scene.token + 1


def test_the_watch_ends_between_the_safe_weight_and_its_record(sandbox: Sandbox, home: Path) -> None:
    """What was about to be done is on the disk before it is done; what came of it is said to be not known."""
    scene = begin(sandbox, home)
    spool = Spool(home / SPOOL)
    at = utc_now().isoformat()
    spool.add(
        Spooled(
            key="k", rollout_id=scene.rollout_id, actor="watch", action="make_safe", before={}, after={}, cause="errors",
            at=at, asks="roll_back",
        )
    )  # fmt: skip
    for _ in range(2):
        with Watch.of(scene.ledger).running():
            until(lambda: spool.entries() == (), "the spool to be journaled")
    (action,) = scene.actions
    assert (action.after, action.at.isoformat()) == (
        {"not seen": "the watch ended before it could write down what came of it"},
        at,
    )
    assert scene.asked == ["roll_back"]


def test_an_outage_that_lasts_is_paged_once_and_its_end_is_told(
    sandbox: Sandbox, home: Path, server: LedgerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "PAGE_AFTER", timedelta(seconds=0.5))
    scene = begin(sandbox, home)
    with Watch.of(scene.ledger).running():
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        with stopped(server):
            until(scene.told, "a page")
        until(lambda: scene.told("info"), "the end of it")
    assert (scene.told(), scene.told("info")) == (
        ["[outages-1] the ledger is out of reach"],
        ["[outages-1] the ledger is back"],
    )


def test_a_watch_that_starts_while_the_ledger_is_down_guards_by_what_the_last_one_knew(
    sandbox: Sandbox, home: Path, server: LedgerServer
) -> None:
    """Killed once more after it has acted, the third one does not act again."""
    scene = begin(sandbox, home)
    with watching(home):
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched", timeout_s=120)
    with stopped(server):
        sandbox.fault("canary", error_rate=0.6)
        with watching(home):
            until(lambda: scene.weight == 0, "the second watch to take the traffic off", timeout_s=120)
            acted = until(lambda: [one for one in Spool(home / SPOOL).entries() if one.done], "it to be written down")
        with watching(home):
            until(lambda: (home / "watch.log").read_text().count("as they were last known") == 2, "a third", timeout_s=120)
            until(lambda: "the ledger is out of reach" in str(scene.told()), "it to have looked for a while", timeout_s=120)
            kept = [one.key for one in Spool(home / SPOOL).entries() if one.action != PAGED]
            assert kept == [one.key for one in acted if one.action != PAGED]
    with Watch.of(scene.ledger, "another").running():
        until(lambda: scene.actions, "the action in the journal")
    assert [one.action for one in scene.actions] == ["make_safe"]
    assert (scene.asked, scene.row.weight_percent) == (["roll_back"], 0)


def test_what_compares_the_sides_since_the_last_change_of_the_weight_is_judged_from_memory_too(
    sandbox: Sandbox, home: Path, server: LedgerServer
) -> None:
    """By a watch that knows it by itself, and by one that starts meanwhile; and no other trigger waits for the ledger."""
    scene = begin(sandbox, home, text=PLAN.replace("triggers:\n", SINCE_THE_SPLIT))
    changed_at = scene.workspace().split_at()
    assert changed_at is not None
    with Watch.of(scene.ledger).running() as watch:
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        until(LastKnown(home / LAST_KNOWN).known, "it to be kept")
        with stopped(server):
            until(lambda: watch.sentry.standby.due, "the watch to know that it is alone")
            (known,) = LastKnown(home / LAST_KNOWN).known()
            assert known.kept.split_at == changed_at
            sandbox.fault("canary", error_rate=0.6)
            until(lambda: scene.weight == 0, "the watch to take the traffic off from memory")
        until(lambda: scene.actions, "the action in the journal")
    assert scene.workspace().split_at() > changed_at


def test_what_was_known_too_long_ago_or_before_another_watch_took_over_is_not_acted_on(sandbox: Sandbox, home: Path) -> None:
    scene, last_known = begin(sandbox, home), LastKnown(home / LAST_KNOWN)
    with Watch.of(scene.ledger).running() as watch:
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched")
        (known,) = last_known.known()
        guarded = known.kept.guarded
        assert (guarded.rollout, set(guarded.triggers)) == (scene.row, set(known.plan.triggers))
        lease = watch.sentry.lease
        assert lease is not None
        scene.ledger.release_lease(lease, now=utc_now())
        other = scene.ledger.acquire_lease("watch", "on another machine", ttl_s=60, now=utc_now())
        until(lambda: last_known.known() == () or other is None, "it to forget what it knew")
    assert other is not None
    scene.ledger.release_lease(other, now=utc_now())
    with Watch.of(scene.ledger).running():
        until(last_known.known, "it to be kept again")
    long_ago = time.time() - BELIEVED_FOR.total_seconds() - 60
    os.utime(home / LAST_KNOWN / "seen", (long_ago, long_ago))
    assert last_known.known() == ()
