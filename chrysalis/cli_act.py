"""What people do to a rollout that is on: sign, take back, stop, hold, operate, measure. Each ends in the same functions as
the UI does, and says in one line what came of it."""

from typing import Annotated

import typer

from chrysalis.cli_common import By, Json, Reason, RolloutId, acting, answer, print_json, wake
from chrysalis.clock import utc_now
from chrysalis.errors import TargetError
from gates.progress import Outcome
from tasks import ladders, operations, rolling_back, triggers
from tasks import measure as measurements
from tasks.healthier import require_healthier
from tasks.lifecycle import end, take_over
from tasks.safety import make_safe
from tasks.workspace import Workspace

Force = Annotated[bool, typer.Option("--force", help="Also when the stable side is worse off than the canary.")]
ASKED_HERE = "asked for on the command line"


def rollback(
    rollout_id: RolloutId,
    to: Annotated[int, typer.Option(min=0, max=99, help="Only lower the weight to this percentage, and hold.")] = 0,
    reason: Reason = ASKED_HERE,
    force: Force = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Take it back: the traffic now, from here; everything else by the rollout's own run."""
    _require_healthier(rollout_id, force)
    rolling_back.ask_as(acting(by), rollout_id, "roll_back", reason=reason, to_percent=to or None, force=force)
    _make_safe(rollout_id, to, reason, acting(by), ends=Outcome.ROLLED_BACK, as_json=as_json)


def abort(
    rollout_id: RolloutId, reason: Reason = ASKED_HERE, force: Force = False, by: By = "", as_json: Json = False
) -> None:
    """Stop it: the traffic off the canary now, and nothing else undone."""
    _require_healthier(rollout_id, force)
    rolling_back.ask_as(acting(by), rollout_id, "abort", reason=reason, force=force)
    _make_safe(rollout_id, 0, reason, acting(by), ends=Outcome.ABORTED, as_json=as_json)


def _require_healthier(rollout_id: str, force: bool) -> None:
    """Raises SickerSide, and nothing was asked, when the traffic is better off where it is."""
    workspace = Workspace.open(rollout_id, 0)
    if not force and workspace.rollout.active and workspace.rollout.weight_percent:
        require_healthier(workspace, utc_now())


def _make_safe(rollout_id: str, percent: int, reason: str, who: str, *, ends: Outcome, as_json: bool) -> None:
    workspace = Workspace.open(rollout_id, take_over(rollout_id))
    if workspace.rollout.flow_run_id is None and not workspace.ledger.journal(rollout_id):
        end(rollout_id, workspace.token, ends, f"{reason}; it had not begun")
        answer(rollout_id, f"{ends.value.replace('_', ' ')}; it had not begun", as_json, weights={})
        return
    try:
        after = make_safe(workspace, percent, actor=who, cause=reason)
    except TargetError as error:
        raise TargetError(f"{rollout_id}: it is recorded and will be tried again, but now: {error}") from error
    finally:
        wake(workspace.rollout, reason)
    weights = ", ".join(f"{name} {weight} %" for name, weight in after.items()) or "no traffic to move"
    answer(rollout_id, f"{weights}, read back; the rest follows, see `chrysalis show {rollout_id}`", as_json, weights=after)


def pause(rollout_id: RolloutId, reason: Reason = ASKED_HERE, by: By = "", as_json: Json = False) -> None:
    """Hold after the step that runs now; the watch goes on watching."""
    rolling_back.ask_as(acting(by), rollout_id, "pause", reason=reason)
    answer(rollout_id, "holds after its current step", as_json)


def resume(rollout_id: RolloutId, by: By = "", as_json: Json = False) -> None:
    """Go on: after a pause, a partial way back, or a way back that got stuck."""
    workspace = Workspace.open(rollout_id, 0)
    settled = rolling_back.resume(workspace, acting(by))
    wake(workspace.rollout, f"resumed by {acting(by)}")
    answer(rollout_id, settled, as_json)


def operate(
    rollout_id: RolloutId,
    operation: Annotated[str, typer.Argument(help="Name of one of the plan's operations, such as legacy_mode.")],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Run one of the plan's own operations now."""
    did = list(operations.run(rollout_id, operation, acting(by)))
    answer(rollout_id, "; ".join(did), as_json, operation=operation, steps=did)


def measure(
    rollout_id: RolloutId,
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="A metric of the plan whose source is manual.")],
    value: Annotated[float, typer.Argument(metavar="VALUE", help="In the metric's unit; a share of 80 % is 0.8.")],
    by: By = "",
    as_json: Json = False,
) -> None:
    """Enter a measurement that people make: a survey, a review, a count of incidents."""
    unit = measurements.enter(rollout_id, metric, value, by=acting(by))
    answer(rollout_id, f"{metric} is {value:g} {unit}".rstrip() + f", entered by {acting(by)}", as_json)


def trigger(
    rollout_id: RolloutId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A manual trigger of the plan.")],
    reason: Reason = ASKED_HERE,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Set off a manual trigger, such as for a vulnerability that was reported; the watch answers it."""
    answer(rollout_id, triggers.set_off(rollout_id, name, by=acting(by), reason=reason), as_json)


def mode(
    rollout_id: RolloutId,
    to: Annotated[str, typer.Argument(metavar="[MODE]", help="The mode to go to; left out: show where it stands.")] = "",
    ladder: Annotated[str, typer.Option(help="Which ladder, where the plan has several.")] = "",
    reason: Reason = ASKED_HERE,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Move a mode ladder by hand, also out of its last rung; without MODE, show where the plan's ladders stand."""
    if to:
        said = ladders.ask_for_mode(rollout_id, to, ladder=ladder, by=acting(by), reason=reason)
        answer(rollout_id, said, as_json)
        return
    modes = ladders.modes_now(rollout_id)
    if as_json:
        print_json(modes)
    else:
        print("\n".join(f"{name}: {now}" for name, now in modes.items()) or f"{rollout_id}: its plan has no ladder")
