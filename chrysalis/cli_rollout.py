"""Commands that start a rollout and look at rollouts. They read the ledger; only `start` asks Prefect for anything."""

import sys
import time
from typing import Annotated

import typer

from chrysalis.cli_common import By, Json, Reason, RolloutId, acting, print_json, row_of
from chrysalis.clock import utc_now
from chrysalis.ledger import Rollout
from gates.progress import Outcome
from tasks import prefect_api
from tasks.lifecycle import checked, register
from tasks.report import report, report_markdown
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
    who = acting(by)
    checked(plan, version, speed)
    prefect_api.deployment_id(f"rollout/{plan}")  # without it nothing is begun that nobody would carry on
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
        run_id = prefect_api.start_run(f"rollout/{plan}", parameters, rollout.id, [rollout.id, f"plan:{plan}"])
        open_ledger().attach_flow_run(rollout.id, run_id, now=utc_now())
    if not as_json:
        print(f"{rollout.id}: {'started' if created else _state(rollout)}")
    ended = _wait(rollout.id, timeout) if wait else rollout
    if as_json:
        print_json({**row_of(ended), "created": created})
    if not wait:
        return
    if ended.outcome is None:
        raise typer.Exit(STILL_WAITING)
    if not as_json:
        print(f"{ended.id}: {ended.outcome}: {ended.status_text}")
    raise typer.Exit(EXIT_CODES[Outcome(ended.outcome)])


def status(as_json: Json = False) -> None:
    """Every rollout that is not over."""
    rows = [row_of(rollout) for rollout in open_ledger().active()]
    beat = open_ledger().last_beat("watch")
    age = None if beat is None else round((utc_now() - beat.at).total_seconds(), 1)
    if as_json:
        print_json({"rollouts": rows, "watch_seen_s_ago": age})
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
        print_json(report(workspace))
    else:
        print(report_markdown(workspace))


def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    as_json: Json = False,
) -> None:
    """The newest rollouts and how they ended."""
    rows = [row_of(rollout) for rollout in open_ledger().history(limit, service)]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(
            f"{row['id']:<16} {row['version']:<12} {row['started_at'][:16]}  "
            f"{row['outcome'] or row['state']:<12} {row['status']}"
        )


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


def _state(rollout: Rollout) -> str:
    return f"{rollout.outcome or rollout.state} already, {rollout.weight_percent or 0} %: {rollout.status_text}"
