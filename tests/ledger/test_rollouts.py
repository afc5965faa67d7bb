"""Starting, finding and moving rollouts."""

from datetime import datetime

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from chrysalis.errors import LedgerError, LedgerUnavailable, ServiceBusy, StaleToken, UnknownRollout
from chrysalis.ledger import Ledger, schema
from tests.ledger.samples import LATER, NOW, new_rollout, started


def test_a_rollout_reads_back_as_it_was_started(ledger: Ledger) -> None:
    rollout, created = ledger.start_rollout(new_rollout(speed=60.0, dry_run=True, parameters={"segment": "beta"}), NOW)
    assert created
    assert rollout.id == "crystal-1"
    assert ledger.get("crystal-1") == rollout
    assert (rollout.speed, rollout.dry_run, rollout.parameters) == (60.0, True, {"segment": "beta"})
    assert (rollout.state, rollout.outcome, rollout.phase, rollout.weight_percent) == ("pending", None, None, None)
    assert rollout.started_at == NOW
    assert rollout.active


def test_serials_count_on_over_all_plans(ledger: Ledger) -> None:
    ids = [
        ledger.start_rollout(new_rollout(plan_name=name, service=name), NOW)[0].id for name in ("crystal", "memory", "triad")
    ]
    assert ids == ["crystal-1", "memory-2", "triad-3"]


def test_the_same_key_is_the_same_rollout(ledger: Ledger) -> None:
    first, _ = ledger.start_rollout(new_rollout(), NOW)
    again, created = ledger.start_rollout(new_rollout(reason="pressed twice"), LATER)
    assert (again, created) == (first, False)


def test_the_same_key_is_the_same_rollout_also_after_its_end(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.set_state(rollout_id, token, state="ended", outcome="completed", now=NOW)
    again, created = ledger.start_rollout(new_rollout(), LATER)
    assert (again.id, again.outcome, created) == (rollout_id, "completed", False)


def test_the_same_key_of_another_service_is_another_rollout(ledger: Ledger) -> None:
    ledger.start_rollout(new_rollout(idempotency_key="commit-1"), NOW)
    other, created = ledger.start_rollout(new_rollout(service="oracle", idempotency_key="commit-1"), NOW)
    assert (other.service, created) == ("oracle", True)


def test_a_busy_service_is_refused_with_the_active_id_and_no_serial_is_lost(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    with pytest.raises(ServiceBusy, match=rollout_id):
        ledger.start_rollout(new_rollout(idempotency_key="other"), NOW)
    ledger.set_state(rollout_id, token, state="ended", outcome="aborted", now=NOW)
    assert ledger.start_rollout(new_rollout(idempotency_key="other"), NOW)[0].id == "crystal-2"


def test_the_database_itself_refuses_two_active_rollouts_of_a_service(ledger: Ledger) -> None:
    rollout, _ = ledger.start_rollout(new_rollout(), NOW)
    with pytest.raises(LedgerUnavailable) as refused:
        insert_past_the_code(ledger, rollout.id)
    assert isinstance(refused.value.__cause__, IntegrityError)


def insert_past_the_code(ledger: Ledger, rollout_id: str) -> None:
    with ledger._database.write(NOW) as tx:
        row = tx.execute(select(schema.rollouts).where(schema.rollouts.c.id == rollout_id)).mappings().one()
        tx.execute(insert(schema.rollouts).values({**row, "id": "x-9", "serial": 9, "idempotency_key": "other"}))


def test_the_plan_is_kept_as_it_was_given(ledger: Ledger) -> None:
    ledger.start_rollout(new_rollout(plan_text="# with a comment\nservice: mäia\n"), NOW)
    ledger.start_rollout(new_rollout(service="b", plan_text="# with a comment\nservice: mäia\n"), NOW)
    assert ledger.plan_text("crystal-1") == ledger.plan_text("crystal-2") == "# with a comment\nservice: mäia\n"


def test_an_unknown_rollout_is_an_error_everywhere(ledger: Ledger) -> None:
    calls = (
        lambda: ledger.get("x-1"),
        lambda: ledger.plan_text("x-1"),
        lambda: ledger.take_token("x-1", "flow", now=NOW),
        lambda: ledger.check_token("x-1", 1),
        lambda: ledger.attach_flow_run("x-1", "run", now=NOW),
        lambda: ledger.request("x-1", "abort", by="kim", reason="", now=NOW),
        lambda: ledger.begin_step("x-1", 1, step_id="a", kind="k", detail={}, now=NOW),
        lambda: ledger.record_findings("x-1", "a", findings=[], now=NOW),
    )
    for call in calls:
        with pytest.raises(UnknownRollout, match="x-1"):
            call()


def test_a_flow_run_finds_its_rollout_also_when_another_has_taken_over(ledger: Ledger) -> None:
    rollout_id, _ = started(ledger)
    ledger.attach_flow_run(rollout_id, "run-1", now=NOW)
    ledger.attach_flow_run(rollout_id, "run-2", now=NOW)
    ledger.attach_flow_run(rollout_id, "run-2", now=NOW)
    assert ledger.get(rollout_id).flow_run_id == "run-2"
    for run in ("run-1", "run-2"):
        found = ledger.find_by_flow_run(run)
        assert found is not None
        assert found.id == rollout_id
    assert ledger.find_by_flow_run("run-3") is None


def test_a_flow_run_works_for_one_rollout_only(ledger: Ledger) -> None:
    first, _ = started(ledger)
    second, _ = started(ledger, service="other")
    ledger.attach_flow_run(first, "run-1", now=NOW)
    with pytest.raises(LedgerError, match=first):
        ledger.attach_flow_run(second, "run-1", now=NOW)


def test_history_is_newest_first_and_by_service(ledger: Ledger) -> None:
    for n in range(5):
        rollout_id, token = started(ledger, service=f"s{n % 2}", idempotency_key=str(n))
        ledger.set_state(rollout_id, token, state="ended", outcome="completed", now=NOW)
    assert [rollout.serial for rollout in ledger.history(3)] == [5, 4, 3]
    assert [rollout.serial for rollout in ledger.history(9, "s1")] == [4, 2]
    assert ledger.active() == ()


def test_tokens_count_up_and_the_latest_is_current(ledger: Ledger) -> None:
    rollout, _ = ledger.start_rollout(new_rollout(), NOW)
    assert [ledger.take_token(rollout.id, f"flow-{n}", now=NOW) for n in (1, 2, 3)] == [1, 2, 3]
    ledger.check_token(rollout.id, 3)
    assert ledger.get(rollout.id).holder == "flow-3"
    with pytest.raises(StaleToken, match="token 2 is stale, flow-3 holds 3"):
        ledger.check_token(rollout.id, 2)
    with pytest.raises(StaleToken, match="never given out"):
        ledger.check_token(rollout.id, 4)


def test_every_fenced_write_with_a_stale_token_changes_nothing(ledger: Ledger) -> None:
    rollout_id, stale = started(ledger)
    wait = ledger.open_wait(rollout_id, stale, step_id="s", kind="soak", needed_s=1, detail={}, now=NOW)
    ledger.begin_step(rollout_id, stale, step_id="a", kind="k", detail={}, now=NOW)
    ledger.take_token(rollout_id, "flow-2", now=NOW)
    before = (
        ledger.get(rollout_id),
        ledger.journal(rollout_id),
        ledger.waits(rollout_id),
        ledger.guarded(),
        ledger.audit_head(),
    )
    writes = (
        lambda: ledger.set_state(rollout_id, stale, state="running", now=LATER),
        lambda: ledger.set_position(rollout_id, stale, phase="p", weight_percent=30, status_text="", now=LATER),
        lambda: ledger.begin_step(rollout_id, stale, step_id="b", kind="k", detail={}, now=LATER),
        lambda: ledger.end_step(rollout_id, stale, step_id="a", outcome="done", detail={}, now=LATER),
        lambda: ledger.open_wait(rollout_id, stale, step_id="t", kind="soak", needed_s=1, detail={}, now=LATER),
        lambda: ledger.close_wait(wait.id, "passed", token=stale, now=LATER),
        lambda: ledger.arm_guard(rollout_id, stale, triggers={"e": {}}, now=LATER),
        lambda: ledger.disarm_guard(rollout_id, stale, now=LATER),
        lambda: ledger.record_action(
            rollout_id, stale, actor="a", action="set_weight", before=0, after=30, cause={}, now=LATER
        ),
    )
    for write in writes:
        with pytest.raises(StaleToken):
            write()
    after = (
        ledger.get(rollout_id),
        ledger.journal(rollout_id),
        ledger.waits(rollout_id),
        ledger.guarded(),
        ledger.audit_head(),
    )
    assert after == before


def test_an_ended_rollout_stays_as_it_ended(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    for _ in range(2):
        ledger.set_state(rollout_id, token, state="ended", outcome="rolled_back", now=LATER)
    with pytest.raises(LedgerError, match="ended rolled_back; it cannot become running"):
        ledger.set_state(rollout_id, token, state="running", now=LATER)
    with pytest.raises(LedgerError, match="cannot become completed"):
        ledger.set_state(rollout_id, token, state="ended", outcome="completed", now=LATER)
    assert ledger.get(rollout_id).ended_at == LATER


@pytest.mark.parametrize(
    ("state", "outcome", "says"),
    [
        pytest.param("paused", None, "'paused' is no state", id="unknown state"),
        pytest.param("ended", "fine", "'fine' is no outcome", id="unknown outcome"),
        pytest.param("ended", None, "ended has one", id="an end without outcome"),
        pytest.param("running", "completed", "others have none", id="an outcome without end"),
    ],
)
def test_states_and_outcomes_are_closed_sets(ledger: Ledger, state: str, outcome: str | None, says: str) -> None:
    rollout_id, token = started(ledger)
    with pytest.raises(LedgerError, match=says):
        ledger.set_state(rollout_id, token, state=state, outcome=outcome, now=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_outside_0_to_100_is_refused(ledger: Ledger, weight: int) -> None:
    rollout_id, token = started(ledger)
    with pytest.raises(LedgerError, match=f"not {weight}"):
        ledger.set_position(rollout_id, token, phase="p", weight_percent=weight, status_text="", now=NOW)


def test_the_audit_has_changes_of_weight_but_not_of_the_status_line(ledger: Ledger) -> None:
    rollout_id, token = started(ledger)
    ledger.set_position(rollout_id, token, phase="hybrid", weight_percent=30, status_text="soak 1 %", now=NOW)
    seq = ledger.audit_head().seq
    ledger.set_position(rollout_id, token, phase="hybrid", weight_percent=30, status_text="soak 2 %", now=NOW)
    assert ledger.get(rollout_id).status_text == "soak 2 %"
    assert ledger.audit_head().seq == seq


def test_a_time_without_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="has no time zone"):
        ledger.start_rollout(new_rollout(), datetime(2026, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_goes_nowhere_is_refused(ledger: Ledger, speed: float) -> None:
    with pytest.raises(LedgerError, match="speed"):
        ledger.start_rollout(new_rollout(speed=speed), NOW)


def test_text_that_no_database_keeps_is_stored_all_the_same(ledger: Ledger) -> None:
    rollout, _ = ledger.start_rollout(new_rollout(reason="a\0b\ud800c ' ; DROP TABLE rollouts --"), NOW)
    assert rollout.reason == "a\ufffdb\ufffdc ' ; DROP TABLE rollouts --"
    assert ledger.verify_audit() == []
