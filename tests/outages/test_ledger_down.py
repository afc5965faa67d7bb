"""The ledger's database stopped and frozen under a rollout at 30 %: it holds, a breach is made safe, nothing is lost."""

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
from tasks import standby
from tasks.sentry import SPOOL
from tasks.spool import Spool, Spooled
from tasks.step import Done, Waiting
from tests.outages.conftest import at_home
from tests.outages.scene import LedgerServer, Watch, begin, frozen, until


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
