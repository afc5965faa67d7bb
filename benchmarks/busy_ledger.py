"""A ledger in which many rollouts soak under guard, written straight into its tables: starting 10,000 takes minutes."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from benchmarks.many_services import service
from chrysalis.ledger import Ledger, schema
from chrysalis.plan import parse_plan

TOKEN = 1


def soak(ledger: Ledger, text: str, numbers: Sequence[int], now: datetime, *, fast: bool = False) -> None:
    """Have one rollout per number soak, each of a service of its own, all by the same plan, guarded by its triggers.

    `fast` includes the triggers of the phase, which look at the router's counters.
    """
    plan = parse_plan(text, "benchmark").plan
    step = next(planned.id for planned in plan.itinerary if planned.kind == "soak")
    phase = plan.phase_names[0]
    triggers: dict[str, Any] = {name: {} for name in (plan.triggers_at(phase) if fast else plan.triggers)}
    rollouts, waits, guards = [], [], []
    for number in numbers:
        rollout_id = f"{plan.name}-{number}"
        rollouts.append(
            {
                "id": rollout_id,
                "serial": number + 1_000,
                "plan_name": plan.name,
                "service": service(number),
                "version": "2",
                "plan_hash": "h",
                "text_hash": plan.name,
                "idempotency_key": rollout_id,
                "started_by": "bench",
                "reason": "",
                "speed": 1.0,
                "dry_run": False,
                "parameters": {},
                "state": "waiting",
                "outcome": None,
                "phase": phase,
                "weight_percent": 50,
                "status_text": "soaking",
                "token": TOKEN,
                "holder": "bench",
                "flow_run_id": f"run-{number}",
                "started_at": now,
                "updated_at": now,
                "ended_at": None,
            }
        )
        waits.append(
            {
                "rollout_id": rollout_id,
                "step_id": step,
                "attempt": 1,
                "kind": "soak",
                "needed_s": 30 * 86400.0,
                "watched_s": 0.0,
                "detail": {},
                "observed": None,
                "pauses": 0,
                "opened_at": now,
                "ticked_at": None,
                "closed_at": None,
                "outcome": None,
            }
        )
        guards.append({"rollout_id": rollout_id, "armed_at": now, "triggers": triggers, "trigger_states": {}})
    with ledger._database.exclusive(unhurried=True) as connection:
        connection.execute(insert(schema.plan_texts), {"text_hash": plan.name, "plan_text": text})
        connection.execute(insert(schema.rollouts), rollouts)
        connection.execute(insert(schema.waits), waits)
        connection.execute(insert(schema.guards), guards)
        connection.execute(update(schema.serials).values(value=max(numbers, default=0) + 2_000))


def plan_text(name: str) -> str:
    """A benchmark's plan."""
    return (Path(__file__).parent / "plans" / name / "plan.yaml").read_text()
