"""A breach that the router's counters show, answered between the ticks: real Envoy, real load, real ledger."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from chrysalis.clock import utc_now
from chrysalis.ledger import NewRollout, schema
from chrysalis.plan import parse_plan
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.sandbox.settings import SandboxSettings
from chrysalis.targets.envoy_routes import Routing
from tasks.fast_looks import looking_fast
from tasks.lifecycle import arm
from tasks.safety import make_safe
from tasks.sentry import Sentry
from tasks.workspace import Workspace, open_ledger
from tests.sandbox.fixtures import until

_SERIALS = itertools.count(1)
"""Rollouts of one router have ascending serials, in whichever ledger they are; an older one is refused."""
PLAN = """
chrysalis: 1
name: fast
service: maia
targets:
  traffic: {envoy: {admin_url: "${ENVOY_ADMIN_URL}", route_file: "${ENVOY_ROUTE_FILE}", header: "x-canary: on"}}
sources:
  router: {envoy: {admin_url: "${ENVOY_ADMIN_URL}", min_requests: 10}}
metrics:
  errors_now:
    source: router
    unit: ratio
    interval: 1s
    rate_over: 1s
    query: "cluster.{side}.upstream_rq_5xx / cluster.{side}.upstream_rq_completed"
triggers:
  errors: {when: {threshold: {metric: errors_now, above: 5%}}, respond: roll_back}
  vulnerability: {when: manual, respond: roll_back}
phases:
  - name: all
    steps:
      - set_weight: 50%
      - soak: 1d
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One of its own: the tokens of rollouts are higher than those that other tests write with."""
    settings = SandboxSettings(rate_rps=60, header_share=0.2)
    with Sandbox.start(tmp_path_factory.mktemp("sandbox"), settings=settings) as running:
        yield running


@pytest.fixture
def rollout(sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A rollout that soaks at 50 %, guarded."""
    monkeypatch.setenv("ENVOY_ADMIN_URL", sandbox.state.urls["envoy_admin"])
    monkeypatch.setenv("ENVOY_ROUTE_FILE", sandbox.state.paths["route_file"])
    sandbox.clear_faults("canary")
    ledger, loaded = open_ledger(), parse_plan(PLAN, "fast")
    with ledger._database.exclusive() as connection:
        connection.execute(update(schema.serials).values(value=next(_SERIALS)))
    new = NewRollout(
        plan_name="fast", service="maia", version="1", plan_text=PLAN, plan_hash=loaded.sha256,
        idempotency_key="fast:1", started_by="ci", reason="test",
    )  # fmt: skip
    made, _ = ledger.start_rollout(new, utc_now())
    workspace = Workspace.open(made.id, ledger.take_token(made.id, "test", now=utc_now()))
    ledger.set_state(made.id, workspace.token, state="running", now=utc_now())
    for router in workspace.routers().values():
        router.write(50, workspace.stamp("weight"))
    arm(made.id, workspace.token, loaded.plan.phases[0])
    step = loaded.plan.itinerary[1].id
    ledger.begin_step(made.id, workspace.token, step_id=step, kind="soak", detail={}, now=utc_now())
    ledger.open_wait(made.id, workspace.token, step_id=step, kind="soak", needed_s=86400.0, detail={}, now=utc_now())
    return workspace


def test_a_breach_is_made_safe_between_two_ticks(sandbox: Sandbox, rollout: Workspace) -> None:
    ledger = rollout.ledger
    sentry = Sentry(ledger, lambda run, nudge: False, "watch", 3600.0)
    with looking_fast(sentry, 0.1), sandbox.router() as router:
        sentry.tick(utc_now())
        (post,) = sentry.roster.posts
        until(lambda: post.looked_fast_at is not None and not post.blind_fast)
        assert router.read().canary_percent == 50
        sandbox.fault("canary", error_rate=0.5)
        until(lambda: router.read().canary_percent == 0)
        assert router.read_routing().overrides == ()
        until(lambda: bool(ledger.open_requests(rollout.rollout.id)))
    (asked,) = ledger.open_requests(rollout.rollout.id)
    assert asked.kind == "roll_back"
    assert "errors: errors_now" in asked.reason
    sentry.close()
    (guarded,) = ledger.guarded()
    assert guarded.trigger_states["errors"]["phase"] == "firing"
    assert [one["trigger"] for one in guarded.trigger_states["responses made"]] == ["errors"]


def test_a_soak_is_not_counted_while_nobody_looks_at_the_counters(rollout: Workspace) -> None:
    sentry = Sentry(rollout.ledger, lambda run, nudge: False, "watch", 0.1)

    def watched_s() -> float:
        sentry.tick(utc_now())
        (wait,) = rollout.ledger.open_waits()
        return wait.watched_s

    assert [watched_s() for _ in range(3)] == [0.0] * 3
    with looking_fast(sentry, 0.05):
        until(lambda: watched_s() > 0.0)
    sentry.close()


def test_without_the_lease_nobody_looks_fast(rollout: Workspace) -> None:
    first, second = (Sentry(rollout.ledger, lambda run, nudge: False, name, 1.0) for name in ("one", "two"))
    first.tick(utc_now())
    second.tick(utc_now())
    assert (first.look_fast(utc_now()), second.look_fast(utc_now())) == (1, 0)
    for watch in (first, second):
        watch.close()


def test_a_rollout_that_is_being_answered_is_left_to_the_next_look(rollout: Workspace) -> None:
    sentry = Sentry(rollout.ledger, lambda run, nudge: False, "watch", 1.0)
    sentry.tick(utc_now())
    (post,) = sentry.roster.posts
    with post.lock:
        busy = threading.Thread(target=sentry.look_fast, args=(utc_now(),))
        busy.start()
        busy.join(10)
        assert not busy.is_alive()
        assert post.looked_fast_at is None
    sentry.look_fast(utc_now())
    assert post.looked_fast_at is not None
    sentry.close()


def test_a_canary_for_a_header_alone_is_made_safe_as_well(sandbox: Sandbox, rollout: Workspace) -> None:
    """The weight is 0 already; what still reaches the canary is the header's route, which the real router forgets."""
    (router,) = rollout.routers().values()
    router.write_routing(Routing(0, router.overrides), rollout.stamp("staff"))

    def side() -> str:
        return str(httpx.get(sandbox.state.urls["service"] + "/work", headers={"x-canary": "on"}).headers["x-side"])

    assert (router.read().bypassed, side()) == (True, "canary")
    make_safe(rollout, 0, actor="watch", cause="errors")
    assert (router.read().reaches_canary, side()) == (False, "stable")
