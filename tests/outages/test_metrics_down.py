"""The measurements gone in five ways: 30 scaled minutes without a rollback, without a promotion, with exactly one page."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from chrysalis.clock import utc_now
from chrysalis.sandbox.sandbox import Sandbox
from tasks.step import Waiting
from tests.outages.scene import PLAN, Scene, Watch, begin, until

SPEED = 600.0
HALF_AN_HOUR = timedelta(minutes=30) / SPEED
PAGES_AFTER = timedelta(seconds=1)
OVER_A_TABLE = PLAN.replace(
    "triggers:\n",
    """  coherence:
    source: database
    unit: ratio
    direction: higher_is_better
    interval: 1m
    query: SELECT at, value FROM readings ORDER BY at DESC LIMIT 1
triggers:
  incoherent:
    when: {threshold: {metric: coherence, side: all, below: 0.2}}
    respond: roll_back
""",
)


class Recorder:
    """Writes a healthy reading into the sandbox's PostgreSQL five times a second, until it is told to stop."""

    def __init__(self, url: str) -> None:
        self.url, self.writes = url, threading.Event()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Recorder"]:
        self.writes.set()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS readings (at timestamptz, value double precision)")
            connection.execute("TRUNCATE readings")
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _write(self) -> None:
        while not self._over.wait(0.2):
            if not self.writes.is_set():
                continue
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    connection.execute("INSERT INTO readings VALUES (now(), 0.7)")
            except psycopg.Error:
                continue


@contextmanager
def part_stopped(sandbox: Sandbox, part: str) -> Iterator[None]:
    sandbox.stop_part(part)
    try:
        yield
    finally:
        sandbox.start_part(part)


@contextmanager
def prometheus_frozen(sandbox: Sandbox) -> Iterator[None]:
    sandbox.freeze_part("prometheus")
    try:
        yield
    finally:
        sandbox.thaw_part("prometheus")


@contextmanager
def no_requests(sandbox: Sandbox) -> Iterator[None]:
    sandbox.set_load(rate_rps=0)
    try:
        yield
    finally:
        sandbox.set_load(rate_rps=60)


@contextmanager
def rows_grow_old(recorder: Recorder) -> Iterator[None]:
    recorder.writes.clear()
    try:
        yield
    finally:
        recorder.writes.set()


def outage(sandbox: Sandbox, recorder: Recorder, how: str) -> AbstractContextManager[None]:
    match how:
        case "down":
            return part_stopped(sandbox, "prometheus")
        case "slow":
            return prometheus_frozen(sandbox)
        case "one of two sources":
            return part_stopped(sandbox, "postgres")
        case "a series that was there":
            return no_requests(sandbox)
        case _:
            return rows_grow_old(recorder)


@pytest.mark.parametrize("how", ["down", "slow", "one of two sources", "a series that was there", "old timestamps"])
def test_half_an_hour_without_measurements_changes_nothing_and_pages_once(sandbox: Sandbox, home: Path, how: str) -> None:
    with Recorder(sandbox.state.postgres["uri"]).running() as recorder:
        scene = begin(sandbox, home, text=OVER_A_TABLE, speed=SPEED)
        with Watch.of(scene.ledger, blind_pages_after=PAGES_AFTER).running():
            until(lambda: scene.soak.watched_s > 300 and not blind(scene), "everything to be measured")
            with outage(sandbox, recorder, how):
                until(lambda: blind(scene), "the watch to see that it does not see")
                until(scene.told, "a page")
                counted_s = scene.soak.watched_s
                pass_by(scene, HALF_AN_HOUR)
                held = scene.raise_weight()
                assert scene.soak.watched_s == counted_s
            assert isinstance(held, Waiting)
            assert "the watch cannot see" in held.reason
            until(lambda: scene.soak.watched_s > counted_s, "the soak to go on when it is over")
            until(lambda: scene.told("info"), "the end of it to be told")
        assert scene.told() == ["[outages-1] cannot be watched"]
        assert scene.told("info") == ["[outages-1] is watched again"]
        assert (scene.weight, scene.asked, scene.actions) == (30, [], ())


def blind(scene: Scene) -> bool:
    beat = scene.ledger.last_beat("watch")
    return beat is not None and scene.rollout_id in beat.detail.get("blind", ())


def pass_by(scene: Scene, span: timedelta) -> None:
    """Until the watch has looked for so long."""
    began = utc_now()
    until(lambda: (beat := scene.ledger.last_beat("watch")) and beat.at - began >= span, "the watch to look on")
