"""What the watch does for waits: adds to soaks, judges gates and checkpoints, notices deadlines, and closes what is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from chrysalis.errors import ChrysalisError, LedgerUnavailable, StaleToken
from chrysalis.ledger import UNCHANGED, Ledger, Tick, Wait
from chrysalis.plan import PlannedStep
from chrysalis.plan.steps import Checklist, Gate, SignOff, Soak
from gates.combine import judge_one
from gates.condition import Condition
from gates.signoff import expired, reminders_due
from gates.units import format_duration
from gates.verdict import Finding, Verdict, worst
from tasks import approve, checklist
from tasks.notify import tell
from tasks.seen import look_again, shown_conditions
from tasks.step import log
from tasks.workspace import NOTHING_MEASURED, Measured, Workspace

LOOK_AGAIN_AFTER = timedelta(seconds=30)
"""How often, by the real clock, what a pending sign-off was given for is judged again."""
ANSWER_AGAIN_AFTER = timedelta(seconds=2)
"""The same where everybody has signed and only an answer is missing."""
CHECK_AGAIN_AT_LEAST_S = 30.0
"""Real seconds between two runs of a checklist that holds, however fast the plan's clock runs."""
Measure = Callable[[Sequence[tuple[Workspace, Sequence[Condition]]]], Sequence[Measured | None]]
"""What each rollout's conditions need; None for one whose sources cannot be built."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Glance:
    """One wait at one tick, and what it belongs to. `measured` is what `looked_for` asked for: the triggers come first."""

    workspace: Workspace
    wait: Wait
    blind: str
    now: datetime
    measured: Measured = NOTHING_MEASURED

    @property
    def step(self) -> PlannedStep:
        """Raises KeyError for a wait of the way back, which is no step of the plan."""
        return self.workspace.plan.step(self.wait.step_id)

    @property
    def waited_s(self) -> float:
        """Plan seconds since the wait was opened."""
        return (self.now - self.wait.opened_at).total_seconds() * self.workspace.clock.speed


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a wait: what to add to a soak that goes on, or that it is over."""

    tick: Tick | None = None
    over: bool = False


def settle_all(
    ledger: Ledger, glances: Sequence[tuple[Glance, float]], measure: Measure, give_way: Callable[[], None]
) -> tuple[list[Tick], set[int]]:
    """Settle all waits of a tick, each with the real seconds that were watched of it: what to add to those that go on, and
    those that are over. What all of them need is measured at once; `give_way` is called between two of them."""
    none: Sequence[Condition] = ()
    needs = [isolated(glance, partial(looked_for, glance, watched_s), none) for glance, watched_s in glances]
    due = [(index, conditions) for index, conditions in enumerate(needs) if conditions]
    seen = measure([(glances[index][0].workspace, conditions) for index, conditions in due])
    measured = {index: found for (index, _), found in zip(due, seen, strict=True)}
    ticks: list[Tick] = []
    over: set[int] = set()
    for index, (glance, watched_s) in enumerate(glances):
        give_way()
        if (found := measured.get(index, NOTHING_MEASURED)) is None and glance.wait.kind != "sign_off":
            continue
        look = glance if found is None else replace(glance, measured=found)
        settled = isolated(glance, partial(settle, ledger, look, watched_s), Settled())
        if settled.tick is not None:
            ticks.append(settled.tick)
        if settled.over:
            over.add(glance.wait.id)
    return ticks, over


def isolated(glance: Glance, look: Callable[[], T], otherwise: T) -> T:
    """One look at one rollout: a fault of ours in it must not blind the watch for all the others.

    Raises LedgerUnavailable and StaleToken, which are about all of them.
    """
    try:
        return look()
    except (LedgerUnavailable, StaleToken):
        raise
    except ChrysalisError as error:
        log().error("%s could not be looked at: %s", glance.wait.rollout_id, error)
    except Exception:
        log().exception("%s could not be looked at", glance.wait.rollout_id)
    return otherwise


def settle(ledger: Ledger, glance: Glance, watched_real_s: float) -> Settled:
    """Close the wait if it is over."""
    wait = glance.wait
    match wait.kind:
        case "soak":
            return _soak(ledger, glance, watched_real_s)
        case "gate":
            return Settled(over=_gate(ledger, glance))
        case "retry":
            since_s = (glance.now - wait.opened_at).total_seconds()
            # One that was opened in the future was opened before the clock was set back.
            if since_s < 0 or since_s >= float(wait.detail.get("after_s", 0.0)):
                ledger.close_wait(wait.id, "try again", now=glance.now, by="watch")
                return Settled(over=True)
        case "window":
            return Settled(over=_moment(ledger, glance))
        case "sign_off":
            _sign_off(glance)
        case "checklist":
            return Settled(over=_checklist(ledger, glance))
        case _:
            pass
    return Settled()


def looked_for(glance: Glance, watched_real_s: float) -> Sequence[Condition]:
    """The conditions that `settle` will judge: measured for all waits of a tick together."""
    if glance.wait.kind not in ("gate", "soak", "sign_off"):
        return ()
    match glance.step.spec:
        case Gate() as spec:
            return spec.conditions
        case Soak() as spec if _checkpoint_due(glance, spec, watched_real_s):
            return spec.checkpoint
        case SignOff() as spec if _look_due(glance, spec) and _signed(glance):
            return shown_conditions(glance.workspace, glance.step)
        case _:
            return ()


def _soak(ledger: Ledger, glance: Glance, watched_real_s: float) -> Settled:
    wait = glance.wait
    watched_s = _watched_s(glance, watched_real_s)
    observed = _checkpoint(ledger, glance, watched_real_s)
    tick = Tick(wait.id, watched_s, observed)
    if wait.needed_s is None or wait.watched_s + watched_s < wait.needed_s:
        return Settled(tick)
    ledger.tick_waits([tick], glance.now)
    ledger.close_wait(wait.id, "finished", now=glance.now, by="watch")
    return Settled(over=True)


def _watched_s(glance: Glance, watched_real_s: float) -> float:
    """Plan seconds that were watched since the last tick."""
    return 0.0 if glance.blind else watched_real_s * glance.workspace.clock.speed


def _checkpoint_due(glance: Glance, spec: Soak, watched_real_s: float) -> bool:
    watched_s = glance.wait.watched_s + _watched_s(glance, watched_real_s)
    return bool(spec.checkpoint) and watched_s >= float((glance.wait.observed or {}).get("next_s", 0.0))


def _checkpoint(ledger: Ledger, glance: Glance, watched_real_s: float) -> Any:
    """Judge the soak's checkpoint when it is due; what is seen is recorded, and told when it fails."""
    spec, wait = glance.step.spec, glance.wait
    if not isinstance(spec, Soak) or not _checkpoint_due(glance, spec, watched_real_s):
        return UNCHANGED
    seen = dict(wait.observed or {})
    every_s = spec.every.total_seconds() if spec.every else 0.0
    watched_s = wait.watched_s + _watched_s(glance, watched_real_s)
    findings = judged(glance, spec.checkpoint)
    ledger.record_findings(
        wait.rollout_id, wait.step_id, findings=[one.as_json() for one in findings], now=glance.now, by="watch"
    )
    failed = [one.reason for one in findings if one.verdict is Verdict.FAIL]
    if failed and not seen.get("failed"):
        tell(glance.workspace, "warning", f"checkpoint of {glance.step.title} fails", "; ".join(failed))
    return {"next_s": watched_s + every_s, "failed": bool(failed), "verdict": worst(findings).name}


def _gate(ledger: Ledger, glance: Glance) -> bool:
    spec = glance.step.spec
    if not isinstance(spec, Gate):
        return False
    verdict = worst(judged(glance, spec.conditions))
    if verdict is Verdict.PASS or (verdict is Verdict.FAIL and spec.on_fail == "roll_back"):
        ledger.close_wait(glance.wait.id, verdict.name, now=glance.now, by="watch")
        return True
    if spec.within is not None and glance.waited_s > spec.within.total_seconds():
        _late(glance, f"gate {glance.step.title} is not decided after {format_duration(spec.within)}")
    return False


def _moment(ledger: Ledger, glance: Glance) -> bool:
    """Close a wait for a moment of the plan's clock once it has come."""
    if glance.workspace.clock.to_plan(glance.now.timestamp()) < float(glance.wait.detail["until_s"]):
        return False
    ledger.close_wait(glance.wait.id, "reached", now=glance.now, by="watch")
    return True


def _look_due(glance: Glance, spec: SignOff) -> bool:
    """Whether what a sign-off was given for is to be judged again: now and then; soon, where only an answer is missing; and
    no more once its time is over."""
    opened, limit_s = approve.opened_at(glance.wait), approve.within_s(glance.workspace.plan.sign_offs[spec.rule])
    after = ANSWER_AGAIN_AFTER if (glance.wait.observed or {}).get(approve.UNANSWERED) else LOOK_AGAIN_AFTER
    return not expired(opened, glance.now, limit_s) and glance.now - (glance.wait.ticked_at or opened) >= after


def _signed(glance: Glance) -> bool:
    signed = glance.workspace.ledger.sign_offs(glance.wait.rollout_id, glance.wait.step_id)
    return any(one.void is None for one in signed)


def _sign_off(glance: Glance) -> None:
    """Remind, page when the time is over, and void what was signed for findings that have got worse.

    Where that leaves nothing to wait for, `tasks.decided` sees it at the next tick.
    """
    spec = glance.step.spec
    if not isinstance(spec, SignOff):
        return
    rule, opened = glance.workspace.plan.sign_offs[spec.rule], approve.opened_at(glance.wait)
    limit_s = approve.within_s(rule)
    if expired(opened, glance.now, limit_s):
        within = format_duration(limit_s or 0)
        _late(glance, f"sign-off {glance.step.title} is not complete after {within}; it holds and takes no approval")
        return
    due = reminders_due(opened, glance.now, rule.remind.total_seconds() if rule.remind else None, limit_s)
    if due > int((glance.wait.observed or {}).get("reminded", 0)):
        missing = approve.count(glance.workspace, glance.step, spec).missing
        title, said = f"sign-off {glance.step.title} waits", f"still needed: {', '.join(missing)}"
        tell(glance.workspace, "warning", title, said, key=f"{glance.wait.rollout_id}:{glance.wait.id}:reminder {due}")
        _note(glance, reminded=due)
    elif _look_due(glance, spec):
        noted = {}
        if glance.measured is not NOTHING_MEASURED:
            look_again(glance.workspace, glance.step, partial(judged, glance))
            noted[approve.UNANSWERED] = approve.count(glance.workspace, glance.step, spec).unanswered
        _note(glance, **noted)


def _checklist(ledger: Ledger, glance: Glance) -> bool:
    """Have it checked anew once what is attested is complete, or it was checked a while ago; the step itself decides."""
    spec = glance.step.spec
    if not isinstance(spec, Checklist):
        return False
    over = True
    if complete := checklist.attested_since(glance.workspace, glance.wait):
        ledger.close_wait(glance.wait.id, complete, now=glance.now, by="watch")
    elif glance.waited_s > max(spec.again.total_seconds(), CHECK_AGAIN_AT_LEAST_S * glance.workspace.clock.speed):
        ledger.close_wait(glance.wait.id, "check again", now=glance.now, by="watch")
    else:
        over = False
    if spec.within is not None:
        _page_late_checklist(ledger, glance, spec.within)
    return over


def _page_late_checklist(ledger: Ledger, glance: Glance, within: timedelta) -> None:
    """Each new look opens a new wait, so the time is counted from the step's first one, and paged once for all."""
    mine = [one for one in ledger.waits(glance.wait.rollout_id) if one.step_id == glance.wait.step_id]
    waited_s = (glance.now - mine[0].opened_at).total_seconds() * glance.workspace.clock.speed
    if waited_s > within.total_seconds() and not any((one.observed or {}).get("late") for one in mine):
        _late(glance, f"checklist {glance.step.title} is not complete after {format_duration(within)}; it goes on waiting")


def _late(glance: Glance, said: str) -> None:
    """Page once for a wait that is over its time. It holds; time never grants anything."""
    if not (glance.wait.observed or {}).get("late"):
        body = str(glance.wait.detail.get("said") or glance.wait.detail.get("reason") or "")
        tell(glance.workspace, "page", said, body, cause=f"wait:{glance.wait.id}")
        _note(glance, late=True)


def _note(glance: Glance, **seen: object) -> None:
    observed = {**(glance.wait.observed or {}), **seen}
    glance.workspace.ledger.tick_wait(glance.wait.id, 0.0, observed=observed, now=glance.now)


def judged(glance: Glance, conditions: Sequence[Condition]) -> list[Finding]:
    """A finding per condition, measured at this tick."""
    measured = glance.measured
    now_s = glance.workspace.clock.to_plan(glance.now.timestamp())
    return [judge_one(condition, measured.of(condition), now_s) for condition in conditions]
