"""Many threads, each with its own kind of write, on the same few rollouts: nobody deadlocks, and the audit is one chain."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from chrysalis.ledger import Ledger, Tick
from tests.ledger.samples import NOW, sign_off, started

ROUNDS = 25


def test_writers_of_every_kind_at_once(ledger: Ledger) -> None:
    rollouts = [started(ledger, service=f"s{n}") for n in range(3)]
    waits = []
    for rollout_id, token in rollouts:
        ledger.arm_guard(rollout_id, token, triggers={"e": {}}, now=NOW)
        wait = ledger.open_wait(rollout_id, token, step_id="w", kind="soak", needed_s=1, detail={}, now=NOW)
        waits.append(wait)
    ids = [rollout_id for rollout_id, _ in rollouts]

    def worker(n: int) -> None:
        rollout_id, token = rollouts[n % 3]
        ledger.begin_step(rollout_id, token, step_id=f"s{n}", kind="k", detail={}, now=NOW)
        ledger.set_position(rollout_id, token, phase="p", weight_percent=n, status_text="", now=NOW)
        ledger.end_step(rollout_id, token, step_id=f"s{n}", outcome="done", detail={}, now=NOW)

    def watch(n: int) -> None:
        lease = ledger.acquire_lease("watch", f"w{n}", ttl_s=1, now=NOW + timedelta(seconds=n * 2))
        assert lease is not None
        ledger.tick_waits([Tick(wait.id, 1.0, n) for wait in reversed(waits)], NOW, lease=lease)
        ledger.save_trigger_states({rollout_id: {"e": n} for rollout_id in reversed(ids)}, NOW, lease=lease)
        ledger.record_action(ids[n % 3], None, actor="watch", action="x", before=1, after=0, cause=None, now=NOW)

    def sentry(n: int) -> None:
        ledger.tick_waits([Tick(wait.id, 1.0, n) for wait in waits], NOW)
        ledger.save_trigger_states({rollout_id: {"e": n} for rollout_id in ids}, NOW)
        ledger.beat("watch", detail={"n": n}, now=NOW)

    def person(n: int) -> None:
        asked = ledger.request(ids[n % 3], "pause", by="kim", reason="", now=NOW)
        ledger.record_sign_off(sign_off(ids[n % 3], comment=str(n)))
        ledger.settle_request(asked.id, "done", now=NOW)

    def gate(n: int) -> None:
        ledger.record_findings(ids[n % 3], "gate", findings=[n], now=NOW)
        ledger.record_baseline(ids[n % 3], "before", metric="p95", samples=[n], now=NOW)

    def rounds(act: Callable[[int], None]) -> None:
        for n in range(ROUNDS):
            act(n)

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(rounds, act) for act in (worker, watch, sentry, person, gate)]:
            done.result()
    assert [wait.watched_s for wait in ledger.open_waits()] == [2.0 * ROUNDS] * 3
    assert sum(len(ledger.journal(rollout_id)) for rollout_id in ids) == 2 * ROUNDS
    assert ledger.verify_audit() == []
