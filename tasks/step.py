"""How every step runs: journaled before and after, fenced, safe to repeat; a Prefect task around one effect.

A step is begun in the ledger with what stood before its effect, so that it can be undone after any crash. A target out of
reach is not a failure of the release: the step is tried again, then waits, and the rollout holds where it is.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError

from chrysalis import secrets
from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable, StaleToken, StepFailed, TargetUnavailable
from chrysalis.ledger import JournalEntry, StepOutcome, Wait, WaitKind
from chrysalis.plan import PlannedStep, describe
from chrysalis.plan.steps import Step
from tasks.windows import must_wait
from tasks.workspace import Workspace

PATIENCE_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses between tries at a target that is out of reach; after the last the step waits, and is tried again later."""

RETRY_AFTER_S = 10.0
"""Real seconds after which a step that waits for an unreachable target is tried again."""


@dataclass(frozen=True, slots=True)
class Done:
    """The step's effect has come about and was verified."""

    summary: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The step is begun and cannot end yet. `wait_id` is the ledger's wait that ends it; `kind` as in the ledger."""

    kind: str
    reason: str
    wait_id: int


Before = Mapping[str, Any]
SpecT = TypeVar("SpecT", bound=Step)
Body = Callable[[Workspace, PlannedStep, Any, Before], Done | Waiting]
ReadBefore = Callable[[Workspace, PlannedStep, Any], Before]
Undo = Callable[[Workspace, PlannedStep, Any, Before], str]


@dataclass(frozen=True, slots=True)
class StepKind:
    """A kind of step: its Prefect task, and how what it did is taken back (None: there is nothing to take back)."""

    name: str
    task: Task[..., Any]
    body: Body
    before: ReadBefore | None
    """Reads what stands before the effect, for the undo."""
    undo: Undo | None
    always: bool
    """Runs in a dry run, too: it looks and changes nothing."""


def step_task(
    name: str,
    body: Callable[[Workspace, PlannedStep, SpecT, Before], Done | Waiting],
    *,
    before: Callable[[Workspace, PlannedStep, SpecT], Before] | None = None,
    undo: Callable[[Workspace, PlannedStep, SpecT, Before], str] | None = None,
    always: bool = False,
) -> StepKind:
    """The Prefect task of a kind. Its run is named after the step, so that the run tree reads as the plan does."""

    def run(rollout_id: str, step_id: str, token: int, title: str) -> Done | Waiting:
        return perform(name, body, before, rollout_id=rollout_id, step_id=step_id, token=token, always=always)

    run.__doc__ = body.__doc__
    run.__name__ = name
    decorate = task(name=name, task_run_name="{title}", persist_result=False, cache_policy=NO_CACHE)
    return StepKind(name, decorate(run), body, before, undo, always)


def run_name(planned: PlannedStep) -> str:
    """A step as the run tree shows it: kind and name, such as `soak: at 30`; a name that says its kind stands alone."""
    kind, title = planned.kind.replace("_", " "), planned.title.replace("_", " ")
    return title if title.startswith(kind) else f"{kind}: {title}"


def perform(
    name: str, body: Body, before: ReadBefore | None, *, rollout_id: str, step_id: str, token: int, always: bool
) -> Done | Waiting:
    """Run one step under its token.

    Raises StepFailed when it cannot come about, StaleToken when somebody newer holds the rollout, LedgerUnavailable.
    """
    workspace = Workspace.open(rollout_id, token)
    planned = workspace.plan.step(step_id)
    earlier = workspace.ledger.journal(rollout_id, step_id=step_id)
    stood = stood_before(earlier)
    if stood is None:
        stood = before(workspace, planned, planned.spec) if before else {}
    if not _goes_on_waiting(workspace, earlier):
        detail = {"before": dict(stood), "does": describe(planned)}
        workspace.ledger.begin_step(rollout_id, token, step_id=step_id, kind=name, detail=detail, now=utc_now())
    if workspace.rollout.dry_run and not always:
        said = f"dry run: would {describe(planned)}"
        _end(workspace, step_id, "skipped", {"summary": said})
        return Done(said)
    if (closed := must_wait(workspace, planned, dict(stood))) is not None:
        return _wait_for_window(workspace, planned, *closed)
    try:
        outcome = _patiently(body, workspace, planned, stood)
    except (StaleToken, LedgerUnavailable):
        raise
    except TargetUnavailable as error:
        return retry_later(workspace, planned, str(error))
    except ChrysalisError as error:
        reason = f"{planned.phase}, step {planned.index} ({planned.title}): {error}"
        _end(workspace, step_id, "failed", {"reason": reason, **_details_of(error)})
        raise StepFailed(reason) from error
    except Exception as error:
        secrets.cleanse(error)  # Prefect shows what any exception says
        raise
    if isinstance(outcome, Done):
        _end(workspace, step_id, "done", secrets.redacted({"summary": outcome.summary, **outcome.detail}))
        log().info("%s: %s", step_id, outcome.summary)
    return outcome


def retry_later(workspace: Workspace, planned: PlannedStep, reason: str) -> Waiting:
    """Hold where we are, and try this step again when the watch says so."""
    wait = open_wait(workspace, planned, "retry", needed_s=None, detail={"reason": reason, "after_s": RETRY_AFTER_S})
    log().warning("%s holds: %s; tried again in %.0f s", planned.id, reason, RETRY_AFTER_S)
    return Waiting("retry", reason, wait.id)


def _wait_for_window(workspace: Workspace, planned: PlannedStep, reason: str, after_s: float) -> Waiting:
    wait = open_wait(workspace, planned, "retry", needed_s=None, detail={"reason": reason, "after_s": after_s})
    log().info("%s holds: %s", planned.id, reason)
    return Waiting("retry", reason, wait.id)


def open_wait(
    workspace: Workspace, planned: PlannedStep, kind: WaitKind, *, needed_s: float | None, detail: Mapping[str, Any]
) -> Wait:
    """The wait of this step's current attempt; it may come back closed, then the waiting is over. Raises StaleToken."""
    return workspace.ledger.open_wait(
        workspace.rollout.id,
        workspace.token,
        step_id=planned.id,
        kind=kind,
        needed_s=needed_s,
        detail=detail,
        now=utc_now(),
    )


def _end(workspace: Workspace, step_id: str, outcome: StepOutcome, detail: Mapping[str, Any]) -> None:
    for wait in workspace.ledger.waits(workspace.rollout.id):
        if wait.step_id == step_id and wait.is_open:
            workspace.ledger.close_wait(wait.id, outcome, now=utc_now(), token=workspace.token)
    workspace.ledger.end_step(
        workspace.rollout.id, workspace.token, step_id=step_id, outcome=outcome, detail=detail, now=utc_now()
    )


def _patiently(body: Body, workspace: Workspace, planned: PlannedStep, stood: Before) -> Done | Waiting:
    for pause_s in PATIENCE_S:
        try:
            return body(workspace, planned, planned.spec, stood)
        except TargetUnavailable as error:
            log().warning("%s: %s; tried again in %.1f s", planned.id, error, pause_s)
            time.sleep(pause_s)
    return body(workspace, planned, planned.spec, stood)


def stood_before(entries: Sequence[JournalEntry]) -> Before | None:
    """What stood before the step's first effect, as it was journaled; None when it was never begun."""
    begun = next((entry for entry in entries if entry.event == "begun"), None)
    return None if begun is None else begun.detail.get("before") or {}


def effect_key(workspace: Workspace, planned: PlannedStep) -> str:
    """A name for this run of the step: the same after a crash, another one once the step was done and runs again."""
    earlier = workspace.ledger.journal(workspace.rollout.id, step_id=planned.id)
    return f"{workspace.rollout.id}/{planned.id}/{1 + sum(entry.event == 'done' for entry in earlier)}"


def _goes_on_waiting(workspace: Workspace, entries: Sequence[JournalEntry]) -> bool:
    """Whether the newest attempt at the step opened a wait and has not ended; it is gone on with, not begun anew."""
    if not entries or entries[-1].event != "begun":
        return False
    newest = entries[-1]
    return any(
        wait.step_id == newest.step_id and wait.attempt == newest.attempt and wait.kind != "retry"
        for wait in workspace.ledger.waits(workspace.rollout.id)
    )


def _details_of(error: ChrysalisError) -> dict[str, Any]:
    return {"rejected": True} if getattr(error, "rejected", False) else {}


def log() -> Any:
    """Prefect's logger of the current run, or Python's own outside of one."""
    try:
        return get_run_logger()
    except MissingContextError:
        import logging

        return logging.getLogger("chrysalis")
