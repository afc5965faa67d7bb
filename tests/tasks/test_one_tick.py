"""A tick over many rollouts asks the ledger as often as one over few, and keeps no more than it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks.busy_ledger import plan_text, soak
from chrysalis.ledger import Ledger
from tasks.sentry import Sentry
from tasks.workspace import open_ledger
from tests.metrics.servers import Asked, Reply, serving
from tests.tasks.conftest import NOW


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Asked]]:
    """What a Prometheus is asked that knows none of the services."""
    empty = b'{"status": "success", "data": {"resultType": "vector", "result": []}}'
    monkeypatch.setenv("ENVOY_ADMIN_URL", "http://127.0.0.1:9")
    with serving(lambda _: Reply(body=empty)) as server:
        monkeypatch.setenv("PROMETHEUS_URL", server.url)
        yield server.asked


@contextmanager
def statements(ledger: Ledger) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(ledger._database._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(ledger._database._engine, "before_cursor_execute", note)


def test_the_number_of_rollouts_does_not_change_how_often_anybody_is_asked(home: Path, prometheus: list[Asked]) -> None:
    ledger, text = open_ledger(), plan_text("soak")
    soak(ledger, text, range(2), NOW)
    asked: list[tuple[int, int]] = []
    for count in (2, 40):
        sentry = Sentry(ledger, lambda run, nudge: False, "watch", 1.0)
        while len(sentry.roster.posts) < count:
            sentry.tick(NOW)
        prometheus.clear()
        with statements(ledger) as seen:
            assert sentry.tick(NOW) == count
        asked.append((len(seen), len(prometheus)))
        sentry.close()
        if count == 2:
            soak(ledger, text.replace("name: soak", "name: more"), range(2, 40), NOW)
    assert asked[0] == asked[1]
    assert asked[0][1] == 4, "plans that differ in their name alone share their four questions"


def test_a_service_that_prometheus_does_not_know_is_not_known_to_be_healthy(home: Path, prometheus: list[Asked]) -> None:
    soak(open_ledger(), plan_text("soak"), range(3), NOW)
    sentry = Sentry(open_ledger(), lambda run, nudge: False, "watch", 1.0)
    sentry.tick(NOW)
    found = {finding.verdict.name for post in sentry.roster.posts for finding in post.findings.values()}
    assert found == {"INCONCLUSIVE"}
    sentry.close()


def test_one_rollout_whose_source_cannot_be_built_keeps_no_other_from_being_seen(
    home: Path, prometheus: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = plan_text("soak")
    broken = text.replace("name: soak", "name: broken").replace("${PROMETHEUS_URL}", "${NOT_SET}")
    soak(open_ledger(), broken, range(1), NOW)
    soak(open_ledger(), text, range(1, 3), NOW)
    sentry = Sentry(open_ledger(), lambda run, nudge: False, "watch", 1.0)
    sentry.tick(NOW)
    assert {post.id: len(post.findings) for post in sentry.roster.posts} == {"broken-0": 0, "soak-1": 4, "soak-2": 4}
    sentry.close()


def test_what_has_ended_is_forgotten(home: Path, prometheus: list[Asked]) -> None:
    ledger = open_ledger()
    soak(ledger, plan_text("soak"), range(2), NOW)
    sentry = Sentry(ledger, lambda run, nudge: False, "watch", 1.0)
    sentry.tick(NOW)
    ledger.set_state("soak-0", 1, state="ended", outcome="aborted", now=NOW)
    sentry.tick(NOW)
    assert [post.id for post in sentry.roster.posts] == ["soak-1"]
    sentry.close()
