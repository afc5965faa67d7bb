"""The triggers of one rollout at one tick: every one judged, its state moved on, and the responses that are due now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chrysalis.ledger import Guarded
from gates.condition import Condition
from gates.observation import Unavailable
from gates.response import Firing, Made, due
from gates.trigger import Trigger, TriggerState, step, truth_of
from gates.verdict import Finding
from tasks.workspace import Measured, Workspace

MADE = "responses made"
"""The entry of the saved states that holds what was answered already; no trigger can have this name."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the triggers say now. `states` is what is saved for the next tick."""

    due: tuple[Firing, ...]
    findings: Mapping[str, Finding]
    states: dict[str, Any]
    now_s: float
    moved: bool
    """Whether a state changed in anything that a watch has to know that takes over."""

    def having_made(self, firing: Firing) -> None:
        """Note in `states` that a response was made, so that it is not repeated while it settles."""
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
    states: Mapping[str, Any],
    measured: Measured,
    *,
    workspace: Workspace,
    now_s: float,
    max_gap_s: float,
    set_off: frozenset[str],
    others: Mapping[str, Trigger] | None = None,
) -> Judgement:
    """Move every trigger's state on to `now_s` (plan time), from `states` as they were kept.

    `set_off` are the manual ones that a person set off. `others` are judged elsewhere: they count for what is due, as far
    as they fire, and stay as they are.
    """
    after: dict[str, Any] = {name: states[name] for name in others or {} if name in states}
    findings: dict[str, Finding] = {}
    moved = False
    for name, trigger in triggers.items():
        kept = states.get(name)
        before = TriggerState.from_json(kept) if kept else TriggerState()
        finding = _breach(trigger, measured, now_s)
        truth = name in set_off if trigger.manual else truth_of(finding)
        state = step(trigger, before, truth, now_s, max_gap_s, recovered=_recovered(trigger, measured, now_s))
        # An inactive trigger's last look says nothing that counts later.
        moved = moved or before.phase != "inactive" or state.phase != "inactive"
        after[name], findings[name] = state.as_json(), finding
    history = states.get(MADE, [])
    after[MADE] = history
    firing = [
        Firing(name, trigger.respond, _since_s(after[name], now_s), trigger.settle.total_seconds())
        for name, trigger in {**(others or {}), **triggers}.items()
        if name in after and after[name]["phase"] == "firing"
    ]
    answers = (
        due(firing, [_made(one) for one in history], now_s, decision_tree=workspace.plan.decision_tree) if firing else ()
    )
    return Judgement(answers, findings, after, now_s, moved)


def _since_s(state: Mapping[str, Any], now_s: float) -> float:
    since_s = state["firing_since_s"]
    return now_s if since_s is None else float(since_s)


def _breach(trigger: Trigger, measured: Measured, now_s: float) -> Finding:
    return trigger.judge({} if trigger.when is None else measured.of(trigger.when), now_s)


def _recovered(trigger: Trigger, measured: Measured, now_s: float) -> bool | None:
    return None if trigger.recover is None else trigger.recovered(measured.of(trigger.recover.when), now_s)


def _made(kept: Mapping[str, Any]) -> Made:
    severity, more = kept["rank"]
    return Made(kept["trigger"], (int(severity), float(more)), float(kept["made_s"]), float(kept["settle_s"]))


def blindness(triggers: Mapping[str, Trigger], measured: Measured) -> str:
    """Why the rollout was not really watched at this tick: a source could not be asked. Empty when it was."""
    if not measured.troubled:
        return ""
    for name, trigger in triggers.items():
        if trigger.when is None:
            continue
        for need in trigger.when.needs():
            found = measured.of(trigger.when).get(need.selector)
            if isinstance(found, Unavailable) and need.selector.baseline is None:
                return f"trigger {name}: {found.reason}"
    return ""
