"""What the commands about rollouts share: options, who acts, and how an answer is printed."""

import getpass
import json
import os
from typing import Annotated, Any

import typer

from chrysalis.errors import ChrysalisError, NotAllowed
from chrysalis.ledger import Rollout
from tasks import prefect_api
from tasks.step import log
from tasks.workspace import open_ledger

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RolloutId = Annotated[str, typer.Argument(metavar="ID", help="The rollout, such as crystal-7.")]
By = Annotated[str, typer.Option("--as", help="Your name as the plan knows it; else CHRYSALIS_USER or the login name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the record.")]


def acting(given: str) -> str:
    """Who acts: the name given, else CHRYSALIS_USER, else the login name. Raises NotAllowed for nobody."""
    name = given or os.environ.get("CHRYSALIS_USER") or getpass.getuser()
    if not name.strip():
        raise NotAllowed("nobody: say who you are with --as NAME or CHRYSALIS_USER")
    return name


def row_of(rollout: Rollout) -> dict[str, Any]:
    """A rollout as programs read it."""
    return {
        "id": rollout.id,
        "plan": rollout.plan_name,
        "service": rollout.service,
        "version": rollout.version,
        "state": rollout.state,
        "outcome": rollout.outcome,
        "phase": rollout.phase,
        "weight_percent": rollout.weight_percent,
        "status": rollout.status_text,
        "started_by": rollout.started_by,
        "started_at": rollout.started_at.isoformat(),
        "ended_at": rollout.ended_at.isoformat() if rollout.ended_at else None,
        "flow_run_id": rollout.flow_run_id,
    }


def print_json(value: Any) -> None:
    """Two spaces deep, times as ISO 8601."""
    print(json.dumps(value, indent=2, default=str))


def answer(rollout_id: str, did: str, as_json: bool, **more: Any) -> None:
    """What a command did to a rollout: a line, or with --json the rollout as it stands now and what was done."""
    if as_json:
        print_json({**row_of(open_ledger().get(rollout_id)), "did": did, **more})
    else:
        print(f"{rollout_id}: {did}")


def wake(rollout: Rollout, note: str) -> None:
    """Have the rollout's run go on at once; where that fails the watch does it."""
    if rollout.flow_run_id is None:
        return
    try:
        prefect_api.wake(rollout.flow_run_id, prefect_api.Nudge(note, cancelled=True))
    except ChrysalisError as error:
        log().warning("the watch will wake it: %s", error)
