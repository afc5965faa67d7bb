"""The triggers of one rollout at one tick: every one judged, its state moved on, and the responses that are due now."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chrysalis.ledger import Guarded
from gates.condition import Condition
from gates.observation import Observations, Selector, Series, Unavailable
from gates.response import Firing, Made, due
from gates.trigger import Trigger, TriggerState, step, truth_of
from gates.verdict import Finding, Verdict
from gates.window import Missing, newest
from tasks.workspace import Measured, Workspace

MADE = "responses made"
CHANGED = "values changed"
LADDERS = "mode ladders"
KNOWN = "known before"
KEPT = (MADE, CHANGED, LADDERS, KNOWN)
"""Entries of the saved states beside the triggers' own, which no trigger can be named: what was answered already, the
values that were changed for triggers that may recover, where each ladder stands, and which triggers had data once: their
series are there, and one that is missing is missed. They outlive a change of phase."""
MOST_MADE = 50
_FRESH = TriggerState()
_QUIET = Finding(Verdict.FAIL, "no breach")
"""Of a trigger that is inactive and plainly stays so: its words are never read, and thousands of them take time."""


@dataclass(frozen=True, slots=True)
class States:
    """How far each trigger of a rollout is, which responses were made lately (at most `MOST_MADE`), and what was changed."""

    triggers: Mapping[str, TriggerState] = field(default_factory=dict)
    made: tuple[Made, ...] = ()
    changed: Mapping[str, Any] = field(default_factory=dict)
    """Values that were changed for triggers that may recover, as `tasks/values.py` keeps them."""
    ladders: Mapping[str, Any] = field(default_factory=dict)
    """Where each mode ladder stands, as `tasks/ladders.py` keeps it."""
    known: frozenset[str] = frozenset()
    """The triggers that had data once."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger; `from_json` takes it back."""
        made = [
            {"trigger": one.trigger, "rank": list(one.rank), "made_s": one.made_s, "settle_s": one.settle_s}
            for one in self.made
        ]
        kept = {CHANGED: dict(self.changed), LADDERS: dict(self.ladders), KNOWN: sorted(self.known)}
        return {**{name: state.as_json() for name, state in self.triggers.items()}, MADE: made, **kept}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "States":
        """What `as_json` gave; nothing kept is a beginning. Raises ValueError on anything else."""
        triggers = {name: TriggerState.from_json(state) for name, state in kept.items() if name not in KEPT}
        made = tuple(_made(one) for one in kept.get(MADE, []))
        return cls(triggers, made, kept.get(CHANGED, {}), kept.get(LADDERS, {}), frozenset(kept.get(KNOWN, ())))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the triggers say now. `states` is what the next look goes on from."""

    due: tuple[Firing, ...]
    findings: Mapping[str, Finding]
    states: States
    now_s: float
    moved: bool
    """Whether a state changed in anything that a watch has to know that takes over."""

    def having_made(self, states: States, firing: Firing) -> States:
        """`states` with a response noted that was made, so that it is not repeated while it settles."""
        made = Made(firing.trigger, firing.response.rank, self.now_s, firing.settle_s)
        return replace(states, made=(*states.made, made)[-MOST_MADE:])


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
    states: States,
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
    others = others or {}
    after = {name: states.triggers[name] for name in others if name in states.triggers}
    findings: dict[str, Finding] = {}
    moved = False
    quiet = TriggerState(last_s=now_s)
    for name, trigger in triggers.items():
        before = states.triggers.get(name, _FRESH)
        if trigger.when is not None and trigger.is_quiet(before, measured.of(trigger.when), now_s):
            after[name], findings[name] = quiet, _QUIET
            continue
        finding = _breach(trigger, measured, now_s)
        truth = name in set_off if trigger.manual else truth_of(finding)
        state = step(trigger, before, truth, now_s, max_gap_s, recovered=_recovered(trigger, measured, now_s))
        # An inactive trigger's last look says nothing that counts later.
        moved = moved or before.phase != "inactive" or state.phase != "inactive"
        after[name], findings[name] = state, finding
    firing = [
        Firing(
            name,
            trigger.respond,
            _since_s(after[name], now_s),
            trigger.settle.total_seconds(),
        )
        for watched in (others, triggers)
        for name, trigger in watched.items()
        if name in after and after[name].firing
    ]
    answers = due(firing, states.made, now_s, decision_tree=workspace.plan.decision_tree) if firing else ()
    known = states.known | {name for name, found in findings.items() if truth_of(found) is not None}
    moved = moved or known != states.known
    return Judgement(answers, findings, replace(states, triggers=after, known=known), now_s, moved)


def _since_s(state: TriggerState, now_s: float) -> float:
    return now_s if state.firing_since_s is None else state.firing_since_s


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
    known = judgement.states.known
    for name, trigger in triggers.items():
        if trigger.when is None or judgement.findings[name] is _QUIET:
            continue
        unknown = truth_of(judgement.findings[name]) is None
        for need in trigger.when.needs():
            if need.selector.baseline is not None:
                continue
            found = measured.of(trigger.when).get(need.selector)
            if isinstance(found, Unavailable):
                return f"trigger {name}: {found.reason}"
            stale = isinstance(found, Series) and len(found) > 0
            if unknown and (stale or (exposed and name in known)):
                missing = _missing(measured.of(trigger.when), need.selector, judgement.now_s)
                if missing:
                    return f"trigger {name}: {missing}"
    return ""


def _missing(observations: Observations, selector: Selector, now_s: float) -> str:
    seen = newest(observations, selector, now_s=now_s, stale_after_s=None)
    return seen.reason if isinstance(seen, Missing) else ""
