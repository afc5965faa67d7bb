"""Commands about rollouts. Each reads the ledger; those that change something end in the same functions as the UI does."""

import getpass
import json
import os
import sys
import time
from typing import Annotated, Any

import typer

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, NotAllowed, TargetError
from chrysalis.ledger import Rollout
from gates.progress import Outcome
from tasks import approve as sign_offs
from tasks import operations, prefect_api, rolling_back
from tasks.lifecycle import register, take_over
from tasks.report import report, report_markdown
from tasks.safety import make_safe
from tasks.step import log
from tasks.workspace import Workspace, open_ledger

EXIT_CODES = {
    Outcome.COMPLETED: 0,
    Outcome.SKIPPED: 0,
    Outcome.ROLLED_BACK: 10,
    Outcome.REJECTED: 11,
    Outcome.ABORTED: 12,
    Outcome.FAILED: 13,
}
STILL_WAITING = 14
POLL_S = 0.5

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RolloutId = Annotated[str, typer.Argument(metavar="ID", help="The rollout, such as crystal-7.")]
By = Annotated[str, typer.Option("--as", help="Your name as the plan knows it; else CHRYSALIS_USER or the login name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the record.")]


def start(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Folder below deployments/.")],
    version: Annotated[str, typer.Option("--version", help="What is rolled out.")],
    reason: Reason = "",
    by: By = "",
    speed: Annotated[float, typer.Option(help="Makes the plan's clock run faster; for sandboxes.")] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Walk through every step and change nothing.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Once more, after an earlier rollout of this version ended.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; the exit code says which.")] = False,
    timeout: Annotated[float, typer.Option(help="With --wait: give up waiting after this many seconds; 0 never.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Start a rollout; the same release again is the same rollout."""
    who = _name(by)
    rollout, created = register(plan, version, reason=reason, started_by=who, speed=speed, dry_run=dry_run, again=again)
    if rollout.active and rollout.flow_run_id is None:
        parameters = {
            "plan": plan,
            "version": version,
            "reason": reason,
            "started_by": who,
            "speed": speed,
            "dry_run": dry_run,
        }
        prefect_api.start_run(f"rollout/{plan}", parameters, rollout.id, [rollout.id, f"plan:{plan}"])
    if not as_json:
        print(f"{rollout.id}: {'started' if created else _state(rollout)}")
    ended = _wait(rollout.id, timeout) if wait else rollout
    if as_json:
        _print_json({**_row(ended), "created": created})
    if not wait:
        return
    if ended.outcome is None:
        raise typer.Exit(STILL_WAITING)
    if not as_json:
        print(f"{ended.id}: {ended.outcome}: {ended.status_text}")
    raise typer.Exit(EXIT_CODES[Outcome(ended.outcome)])


def status(as_json: Json = False) -> None:
    """Every rollout that is not over."""
    rows = [_row(rollout) for rollout in open_ledger().active()]
    beat = open_ledger().last_beat("watch")
    age = None if beat is None else round((utc_now() - beat.at).total_seconds(), 1)
    if as_json:
        _print_json({"rollouts": rows, "watch_seen_s_ago": age})
        return
    for row in rows:
        print(f"{row['id']:<16} {row['version']:<12} {row['weight_percent'] or 0:>3} %  {row['state']:<12} {row['status']}")
    if not rows:
        print("no rollout is active")
    print(f"watch: {'never seen' if age is None else f'seen {age} s ago'}")


def show(rollout_id: RolloutId, as_json: Json = False) -> None:
    """Everything recorded of one rollout."""
    workspace = Workspace.open(rollout_id, 0)
    if as_json:
        _print_json(report(workspace))
    else:
        print(report_markdown(workspace))


def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    as_json: Json = False,
) -> None:
    """The newest rollouts and how they ended."""
    rows = [_row(rollout) for rollout in open_ledger().history(limit, service)]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        print(
            f"{row['id']:<16} {row['version']:<12} {row['started_at'][:16]}  "
            f"{row['outcome'] or row['state']:<12} {row['status']}"
        )


def approve(
    rollout_id: RolloutId,
    by: By = "",
    comment: Annotated[str, typer.Option(help="Why; it stays in the record.")] = "",
    role: Annotated[str | None, typer.Option(help="Sign in one of your roles only.")] = None,
) -> None:
    """Sign the pending sign-off."""
    _sign(rollout_id, "approve", by, comment, role)


def reject(
    rollout_id: RolloutId,
    by: By = "",
    comment: Annotated[str, typer.Option(help="Why; it stays in the record.")] = "",
    role: Annotated[str | None, typer.Option(help="Sign in one of your roles only.")] = None,
) -> None:
    """Refuse the pending sign-off: the rollout goes back and ends as rejected."""
    _sign(rollout_id, "reject", by, comment, role)


def _sign(rollout_id: str, decision: Any, by: str, comment: str, role: str | None) -> None:
    workspace = Workspace.open(rollout_id, 0)
    planned, _ = sign_offs.pending(workspace)
    who = _name(by)
    signed = sign_offs.sign(workspace, planned.id, who, decision=decision, comment=comment, door="cli", role=role)
    _wake(workspace.rollout, f"{who} signed")
    print(f"{rollout_id}: {planned.title}: {decision} by {who} as {', '.join(one.role for one in signed)}")


def rollback(
    rollout_id: RolloutId,
    to: Annotated[int, typer.Option(min=0, max=99, help="Only lower the weight to this percentage, and hold.")] = 0,
    reason: Reason = "asked for on the command line",
    by: By = "",
) -> None:
    """Take it back: the traffic now, from here; everything else by the rollout's own run."""
    rolling_back.ask(rollout_id, "roll_back", by=_name(by), reason=reason, to_percent=to or None)
    _make_safe(rollout_id, to, reason, _name(by))


def abort(rollout_id: RolloutId, reason: Reason = "asked for on the command line", by: By = "") -> None:
    """Stop it: the traffic off the canary now, and nothing else undone."""
    rolling_back.ask(rollout_id, "abort", by=_name(by), reason=reason)
    _make_safe(rollout_id, 0, reason, _name(by))


def _make_safe(rollout_id: str, percent: int, reason: str, who: str) -> None:
    workspace = Workspace.open(rollout_id, take_over(rollout_id))
    try:
        after = make_safe(workspace, percent, actor=who, cause=reason)
    except TargetError as error:
        raise TargetError(f"{rollout_id}: it is recorded and will be tried again, but now: {error}") from error
    finally:
        _wake(workspace.rollout, reason)
    weights = ", ".join(f"{name} {weight} %" for name, weight in after.items()) or "no traffic to move"
    print(f"{rollout_id}: {weights}, read back; the rest follows, see `chrysalis show {rollout_id}`")


def pause(rollout_id: RolloutId, reason: Reason = "asked for on the command line", by: By = "") -> None:
    """Hold after the step that runs now; the watch goes on watching."""
    rolling_back.ask(rollout_id, "pause", by=_name(by), reason=reason)
    print(f"{rollout_id}: holds after its current step")


def resume(rollout_id: RolloutId, by: By = "") -> None:
    """Go on: after a pause, a partial way back, or a way back that got stuck."""
    workspace = Workspace.open(rollout_id, 0)
    settled = rolling_back.resume(workspace, _name(by))
    _wake(workspace.rollout, f"resumed by {_name(by)}")
    print(f"{rollout_id}: {settled}")


def operate(
    rollout_id: RolloutId,
    operation: Annotated[str, typer.Argument(help="Name of one of the plan's operations, such as legacy_mode.")],
    by: By = "",
) -> None:
    """Run one of the plan's own operations now."""
    for line in operations.run(rollout_id, operation, _name(by)):
        print(f"{rollout_id}: {line}")


def _wake(rollout: Rollout, note: str) -> None:
    if rollout.flow_run_id is None:
        return
    try:
        prefect_api.wake(rollout.flow_run_id, note)
    except ChrysalisError as error:
        log().warning("the watch will wake it: %s", error)


def _wait(rollout_id: str, timeout_s: float) -> Rollout:
    deadline = time.monotonic() + timeout_s
    said = ""
    while (rollout := open_ledger().get(rollout_id)).active and (not timeout_s or time.monotonic() < deadline):
        now = f"{rollout.weight_percent or 0} %, {rollout.status_text or rollout.state}"
        if now != said:
            sys.stderr.write(f"{rollout_id}: {now}\n")
            said = now
        time.sleep(POLL_S)
    return rollout


def _name(given: str) -> str:
    name = given or os.environ.get("CHRYSALIS_USER") or getpass.getuser()
    if not name.strip():
        raise NotAllowed("nobody: say who you are with --as NAME or CHRYSALIS_USER")
    return name


def _state(rollout: Rollout) -> str:
    return f"{rollout.outcome or rollout.state} already, {rollout.weight_percent or 0} %: {rollout.status_text}"


def _row(rollout: Rollout) -> dict[str, Any]:
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


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
