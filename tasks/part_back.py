"""A way back in part: the weight goes down, a rollback that was asked for by name does its own steps and is proven, and
the rollout holds. What was asked stays open until that holds it, so that a process that dies in between begins again."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, StaleToken, TargetError
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import SetWeight, SignOff
from gates.progress import undo_order
from gates.verdict import Verdict, worst
from tasks.artifacts import artifact_key, show_findings
from tasks.chosen_rollback import NAMED, asked_by_name, begins, took
from tasks.decide import entries, stops
from tasks.evaluate_gate import judge_until, said
from tasks.kinds import KINDS
from tasks.notify import tell
from tasks.rolling_back import ask, enter, leave, refuse_sicker, settle
from tasks.safety import make_safe
from tasks.step import Waiting, run_name
from tasks.workspace import Workspace

PARTIAL_STEP = "rollback.partial"


@task(name="weight", task_run_name="weight to {percent} %", persist_result=False, cache_policy=NO_CACHE)
def lower_in_part(rollout_id: str, token: int, percent: int, reason: str, by: str) -> str:
    """The weight goes down to `percent`; the steps that had raised it further are journaled as undone, so that a resumed
    rollout takes them again. Raises as `take_weight_down`."""
    workspace = Workspace.open(rollout_id, token)
    refuse_sicker(workspace)
    if not _under_way(workspace):
        name = asked_by_name(workspace, percent)
        named = begins(workspace, name) if name is not None else {}
        enter(workspace, PARTIAL_STEP, {"reason": reason, "percent": percent, "by": by, **named})
    after = make_safe(workspace, percent, actor=by, cause=reason)
    for step_id in _beyond(workspace, percent):
        for open_wait in (one for one in workspace.ledger.waits(rollout_id) if one.step_id == step_id and one.is_open):
            workspace.ledger.close_wait(open_wait.id, "undone", now=utc_now(), token=token)
        enter(workspace, step_id, {"reason": reason})
        leave(workspace, step_id, "undone", {"reason": reason})
    workspace.ledger.set_position(
        rollout_id,
        token,
        phase=workspace.rollout.phase,
        weight_percent=max(after.values(), default=percent),
        status_text=f"taken back to {percent} %: {reason}",
        now=utc_now(),
    )
    return f"weight {percent} %, read back"


def steps_in_part(rollout_id: str, token: int) -> tuple[PlannedStep, ...]:
    """The named rollback's own steps in order, those left out that this way back has done."""
    workspace = Workspace.open(rollout_id, token)
    name = _named(workspace)
    if name is None:
        return ()
    journal = workspace.ledger.journal(rollout_id)
    since = max(one.seq for one in journal if one.step_id == PARTIAL_STEP and one.event == "begun")
    done = {one.step_id for one in journal if one.seq > since and one.event == "done"}
    return tuple(step for step in workspace.plan.rollback_steps(name) if step.id not in done)


def run_in_part(rollout_id: str, token: int, planned: PlannedStep) -> str:
    """Run one of them. What fails is told and changes nothing: the weight is down, and it holds. Returns why it failed."""
    try:
        outcome = KINDS[planned.kind].task(rollout_id, planned.id, token, run_name(planned))
    except (StaleToken, TargetError):
        raise
    except ChrysalisError as error:
        return str(error)
    return outcome.reason if isinstance(outcome, Waiting) else ""


@task(name="verify", persist_result=False, cache_policy=NO_CACHE)
def finish_in_part(rollout_id: str, token: int, percent: int, reason: str, by: str, failed: str) -> str:
    """Prove the named rollback by its own conditions, say how long it took, and hold until somebody resumes."""
    workspace = Workspace.open(rollout_id, token)
    name = _named(workspace)
    spec = workspace.plan.rollbacks[name] if name is not None else None
    proven = failed
    if spec is not None and spec.verify and not failed:
        findings = judge_until(workspace, spec.verify, workspace.clock.real_span_s(spec.limit) if spec.limit else 0.0)
        show_findings(artifact_key(rollout_id, PARTIAL_STEP), findings, f"after rollback {name}")
        proven = "" if worst(findings) is Verdict.PASS else f"not proven: {said(findings)}"
    time_taken = took(workspace, PARTIAL_STEP, spec.limit if spec is not None else None)
    what = f"weight {percent} %, read back" + (f"; rollback {name} in {time_taken}" if name is not None else "")
    summary = f"{what}; {proven}" if proven else what
    # First what holds it, then what has been done: killed in between, it goes down again, never up.
    ask(rollout_id, "pause", by=by, reason=f"taken back to {percent} %: {reason}; `chrysalis resume {rollout_id}` goes on")
    leave(workspace, PARTIAL_STEP, "done", {"summary": summary, **time_taken.as_json()})
    settle(workspace, f"weight {percent} %", down_to=percent)
    tell(workspace, "page", f"taken back to {percent} %", f"{reason}\n{summary}")
    return summary


def _under_way(workspace: Workspace) -> bool:
    found = workspace.ledger.journal(workspace.rollout.id, step_id=PARTIAL_STEP)
    return bool(found) and found[-1].event == "begun"


def _named(workspace: Workspace) -> str | None:
    found = workspace.ledger.journal(workspace.rollout.id, step_id=PARTIAL_STEP)
    begun = [one for one in found if one.event == "begun"]
    return str(begun[-1].detail[NAMED]) if begun and NAMED in begun[-1].detail else None


def _beyond(workspace: Workspace, percent: int) -> list[str]:
    """The done steps from the first one that raised the weight above `percent`."""
    done = undo_order(stops(workspace.plan), entries(workspace.ledger, workspace.rollout.id))
    planned: list[PlannedStep] = [step for step in workspace.plan.itinerary if step.id in done]
    above = (at for at, step in enumerate(planned) if isinstance(step.spec, SetWeight) and step.spec.to > percent)
    first = next(above, len(planned))
    return [step.id for step in planned[first:] if not isinstance(step.spec, SignOff)]
