"""The triggers of one rollout at one tick: every one judged, its state moved on, and the responses that are due now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chrysalis.ledger import Guarded
from gates.condition import Condition
from gates.observation import Observations, Selector, Series, Unavailable
from gates.response import Firing, Made, due
from gates.trigger import Trigger, TriggerState, step, truth_of
from gates.verdict import Finding
from gates.window import Missing, newest
from tasks.workspace import Measured, Workspace

MADE = "responses made"
CHANGED = "values changed"
LADDERS = "mode ladders"
KNOWN = "known before"
KEPT = (MADE, CHANGED, LADDERS, KNOWN)
"""Entries of the saved states beside the triggers' own, which no trigger can be named: what was answered already, the
values that were changed for triggers that may recover, where each ladder stands, and which triggers had data
once: their series are there, and one that is missing is missed. They outlive a change of phase."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the triggers say now. `states` is what is saved for the next tick."""

    due: tuple[Firing, ...]
    findings: Mapping[str, Finding]
    states: dict[str, Any]
    now_s: float

    def having_made(self, firing: Firing) -> None:
        """Note that a response was made, so that it is not repeated while it settles."""
        made = {
            "trigger": firing.trigger,
            "rank": list(firing.response.rank),
            "made_s": self.now_s,
            "settle_s": firing.settle_s,
        }
        self.states[MADE] = [*self.states.get(MADE, []), made][-50:]


def armed(workspace: Workspace, guarded: Guarded) -> dict[str, Trigger]:
    """The triggers that the rollout's guard was armed with."""
    phase = guarded.rollout.phase or workspace.plan.phase_names[0]
    watched = workspace.plan.triggers_at(phase)
    return {name: watched[name] for name in guarded.triggers if name in watched}


def asked_for(triggers: Mapping[str, Trigger]) -> list[Condition]:
    """The conditions that have to be measured."""
    recoveries = [trigger.recover.when for trigger in triggers.values() if trigger.recover is not None]
    return [trigger.when for trigger in triggers.values() if trigger.when is not None] + recoveries


def judge_triggers(
    triggers: Mapping[str, Trigger],
    guarded: Guarded,
    measured: Measured,
    *,
    workspace: Workspace,
    now_s: float,
    max_gap_s: float,
    set_off: frozenset[str],
) -> Judgement:
    """Move every trigger's state on to `now_s` (plan time). `set_off` are the manual ones that a person set off."""
    states: dict[str, Any] = {name: guarded.trigger_states[name] for name in KEPT if name in guarded.trigger_states}
    findings: dict[str, Finding] = {}
    firing: list[Firing] = []
    for name, trigger in triggers.items():
        kept = guarded.trigger_states.get(name)
        before = TriggerState.from_json(kept) if kept else TriggerState()
        finding = _breach(trigger, measured, now_s)
        truth = name in set_off if trigger.manual else truth_of(finding)
        after = step(trigger, before, truth, now_s, max_gap_s, recovered=_recovered(trigger, measured, now_s))
        states[name], findings[name] = after.as_json(), finding
        if after.firing:
            since_s = after.firing_since_s if after.firing_since_s is not None else now_s
            firing.append(Firing(name, trigger.respond, since_s, trigger.settle.total_seconds()))
    history = states.setdefault(MADE, [])
    known = {name for name, found in findings.items() if truth_of(found) is not None}
    states[KNOWN] = sorted(known | set(states.get(KNOWN, [])))
    answers = due(firing, [_made(one) for one in history], now_s, decision_tree=workspace.plan.decision_tree)
    return Judgement(answers, findings, states, now_s)


def _breach(trigger: Trigger, measured: Measured, now_s: float) -> Finding:
    return trigger.judge({} if trigger.when is None else measured.of(trigger.when), now_s)


def _recovered(trigger: Trigger, measured: Measured, now_s: float) -> bool | None:
    return None if trigger.recover is None else trigger.recovered(measured.of(trigger.recover.when), now_s)


def _made(kept: Mapping[str, Any]) -> Made:
    severity, more = kept["rank"]
    return Made(kept["trigger"], (int(severity), float(more)), float(kept["made_s"]), float(kept["settle_s"]))


def blindness(triggers: Mapping[str, Trigger], measured: Measured, judgement: Judgement, *, exposed: bool) -> str:
    """Why the rollout was not really watched at this tick. Empty when it was.

    It was not when a source could not be asked, when the newest sample is stale, or, while somebody is `exposed` to the
    canary, when a series that was there before is missing. A canary that nobody uses yet has no series to miss.
    """
    known = set(judgement.states[KNOWN])
    for name, trigger in triggers.items():
        if trigger.when is None:
            continue
        unknown = truth_of(judgement.findings[name]) is None
        for need in trigger.when.needs():
            if need.selector.baseline is not None:
                continue
            found = measured.of(trigger.when).get(need.selector)
            if isinstance(found, Unavailable):
                return f"trigger {name}: {found.reason}"
            missing = _missing(measured.of(trigger.when), need.selector, judgement.now_s)
            stale = isinstance(found, Series) and len(found) > 0
            if unknown and missing and (stale or (exposed and name in known)):
                return f"trigger {name}: {missing}"
    return ""


def _missing(observations: Observations, selector: Selector, now_s: float) -> str:
    seen = newest(observations, selector, now_s=now_s, stale_after_s=None)
    return seen.reason if isinstance(seen, Missing) else ""
