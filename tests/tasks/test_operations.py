"""Operations that an alert starts, and rollbacks that are asked for by name."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed
from chrysalis.ledger import Request
from tasks import approve, operations
from tasks.chosen_rollback import Took, asked_by_name, begins, rollback_name, took
from tasks.lifecycle import arm
from tasks.playbooks import Playbooks
from tasks.prefect_api import PrefectUnavailable
from tasks.rolling_back import ask, enter
from tasks.sentry import Sentry
from tasks.workspace import Workspace, open_ledger
from tests.metrics.servers import Reply, serving
from tests.tasks.stepping import Stepped

PLAN = """
chrysalis: 1
name: answered
service: answered
sources: {people: {manual: {}}}
metrics: {epsilon: {source: people, unit: x, query: epsilon}}
people: {nadia: {roles: [ops]}}
sign_offs: {sure: {roles: [ops], starter_may_sign: true, proof: none}}
triggers:
  down: {when: {threshold: {metric: epsilon, below: 1.0x}}, respond: page, severity: page}
  worse: {when: {threshold: {metric: epsilon, below: 0.5x}}, respond: {roll_back: {use: deep}}}
operations:
  mend: {title: Mend it, when: down, automatic: true, limit: 5m, steps: [{notify: {name: mended, message: mended}}]}
  look: {title: Look at it, when: down, steps: [{notify: looked}]}
  ask: {title: Ask it, steps: [{smoke_test: {requests: [{url: "${SERVICE_URL}/health"}]}}]}
  go_deep: {title: All the way, rollback: deep}
  restore: {title: Put it back, steps: [{sign_off: {rule: sure, question: "Really?"}}, {notify: restored}]}
rollbacks: {full: {}, deep: {limit: 30m, steps: [{notify: deep}]}}
phases:
  - name: only
    steps: [{notify: first}, {notify: second}]
"""
pytestmark = pytest.mark.usefixtures("home")


def no_prefect(request: Request, attempt: int) -> None:
    raise PrefectUnavailable("it is down")


def watched(stepped: Stepped, start: Callable[[Request, int], None] = no_prefect) -> Sentry:
    workspace = Workspace.open(stepped.id, stepped.token)
    ledger = open_ledger()
    ledger.set_position(stepped.id, stepped.token, phase="only", weight_percent=1, status_text="", now=utc_now())
    arm(stepped.id, stepped.token, workspace.plan.phase("only"))
    return Sentry(ledger, lambda run, nudge: False, "watch", 0.1, playbooks=Playbooks(start))


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def enter_epsilon(stepped: Stepped, value: float) -> None:
    from tasks.measure import enter as enter_measured

    enter_measured(stepped.id, "epsilon", value, by="nadia")


def test_an_alert_starts_its_operation_also_while_prefect_is_down_and_says_how_long_it_took() -> None:
    stepped = Stepped(PLAN)
    sentry = watched(stepped)
    enter_epsilon(stepped, 0.8)
    sentry.tick(utc_now())
    until(lambda: not open_ledger().open_requests(stepped.id) or sentry.tick(utc_now()) is None)
    did = {one.action: one for one in open_ledger().actions(stepped.id)}
    assert did["operation mend"].actor == "watch"
    assert did["operation mend"].after["over_its_limit"] is False
    page = next(one for one in open_ledger().notices(stepped.id) if one.title.endswith("down fires: page"))
    assert "mend starts by itself" in page.body
    assert f"`chrysalis operate {stepped.id} look`" in page.body
    sentry.close()


def test_one_request_is_started_once_and_its_run_is_the_same_for_a_watch_that_takes_over() -> None:
    stepped = Stepped(PLAN)
    started: list[tuple[int, int]] = []
    sentry = watched(stepped, lambda request, attempt: started.append((request.id, attempt)))
    enter_epsilon(stepped, 0.8)
    for _ in range(4):
        sentry.tick(utc_now())
    until(lambda: started)
    (request,) = open_ledger().open_requests(stepped.id)
    assert started == [(request.id, 1)]
    Playbooks(lambda request, attempt: started.append((request.id, attempt))).look([request])
    until(lambda: len(started) == 2)
    assert started[0] == started[1]
    sentry.close()


def test_a_trigger_takes_back_by_the_rollback_it_names() -> None:
    stepped = Stepped(PLAN)
    sentry = watched(stepped, lambda request, attempt: None)
    enter_epsilon(stepped, 0.4)
    sentry.tick(utc_now())
    assert rollback_name(Workspace.open(stepped.id, stepped.token)) == "deep"
    sentry.close()


def test_the_way_back_that_was_begun_is_finished_whatever_is_asked_later() -> None:
    stepped = Stepped(PLAN)
    workspace = Workspace.open(stepped.id, stepped.token)
    assert rollback_name(workspace) == "full"
    enter(workspace, "rollback", begins(workspace, rollback_name(workspace)))
    list(operations.run(stepped.id, "go_deep", "ci"))
    workspace = Workspace.open(stepped.id, 0)
    assert asked_by_name(workspace, None) == "deep"
    assert rollback_name(workspace) == "full"


def test_an_operation_goes_on_when_it_is_signed_and_asks_anew_the_next_time() -> None:
    stepped = Stepped(PLAN)
    did: list[str] = []
    for _ in range(2):
        hand = threading.Thread(target=lambda: did.extend(operations.run(stepped.id, "restore", "nadia")), daemon=True)
        before = len(did)
        hand.start()
        until(lambda: [one for one in open_ledger().waits(stepped.id) if one.is_open])
        assert len(did) == before
        step = approve.pending(Workspace.open(stepped.id, 0))[0].id
        approve.sign(Workspace.open(stepped.id, 0), step, "nadia", decision="approve", comment="", door="cli")
        hand.join(20)
        assert [line.partition(":")[0] for line in did[before:]][1] == "notify"
    assert "operation restore waits for a signature" in open_ledger().notices(stepped.id)[0].title


def test_the_time_is_counted_from_when_it_was_asked_for() -> None:
    stepped = Stepped(PLAN)
    ask(stepped.id, "roll_back", by="nadia", reason="bad", rollback="deep")
    workspace = Workspace.open(stepped.id, stepped.token)
    (asked,) = open_ledger().open_requests(stepped.id)
    enter(workspace, "rollback", begins(workspace, "deep"))
    assert took(workspace, "rollback", None).seconds >= (utc_now() - asked.created_at).total_seconds() - 5
    assert begins(workspace, "deep")["asked_at"] == asked.created_at.isoformat()


@pytest.mark.parametrize(
    ("seconds", "said"), [(299.0, "within its limit of 5m"), (301.0, "OVER its limit of 5m")], ids=["in time", "late"]
)
def test_a_limit_is_said(seconds: float, said: str) -> None:
    assert str(Took(seconds, timedelta(minutes=5))).endswith(said)


def test_what_only_looks_may_be_run_after_the_end_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped = Stepped(PLAN)
    with serving(lambda _: Reply(body=b"{}")) as server:
        monkeypatch.setenv("SERVICE_URL", server.url)
        open_ledger().set_state(stepped.id, stepped.token, state="ended", outcome="rolled_back", now=utc_now())
        assert list(operations.run(stepped.id, "ask", "ci"))[-1].startswith("ask done in")
        with pytest.raises(NotAllowed, match="ended rolled_back"):
            list(operations.run(stepped.id, "look", "ci"))
