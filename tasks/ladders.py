"""The plan's mode ladders, driven by the watch: down on a breach, up again after it was stable, anywhere by a person.

Where a ladder stands, with its clocks and with the values that stood before it first moved, is kept with the trigger states
in the ledger, so that neither a restart nor a new phase forgets it. A move counts once the target reads back the values of
the rung; one that failed is made again at the next look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable, NotAllowed, SettingsError
from chrysalis.ledger import Request
from chrysalis.plan import Plan
from chrysalis.plan.parts import Severity
from gates.combine import judge_one
from gates.condition import Condition
from gates.ladder import Ladder, LadderLook, LadderState, move_by_person, move_down, step_ladder, values_at
from gates.trigger import truth_of
from gates.verdict import Finding
from tasks.judging import LADDERS
from tasks.notify import tell
from tasks.permission import require
from tasks.step import log
from tasks.values import ACTOR, set_values
from tasks.workspace import Measured, Workspace, require_known

SET_MODE = "set_mode"
"""The kind of the request in the ledger by which a person moves a ladder; the watch answers it at its next look."""


def asked_for(plan: Plan) -> list[Condition]:
    """The conditions that have to be measured."""
    crossings = [one for ladder in plan.ladders.values() for rung in ladder.rungs for one in (rung.enter, rung.recover)]
    return [crossing.when for crossing in crossings if crossing is not None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one ladder stands, and the target's values from before it first moved (empty on the best rung)."""

    state: LadderState = field(default_factory=LadderState)
    stood: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> "Standing":
        return cls() if kept is None else cls(LadderState.from_json(kept["state"]), dict(kept["stood"]))

    def as_json(self) -> dict[str, Any]:
        return {"state": self.state.as_json(), "stood": dict(self.stood)}


@dataclass
class Ladders:
    """The ladders of one rollout during one look."""

    workspace: Workspace
    now_s: float
    standings: dict[str, Standing]

    @classmethod
    def of(cls, workspace: Workspace, states: Mapping[str, Any], now_s: float) -> "Ladders":
        """As the ledger has them; `now_s` in plan time."""
        kept = states.get(LADDERS, {})
        return cls(workspace, now_s, {name: Standing.from_json(kept.get(name)) for name in workspace.plan.ladders})

    def as_json(self) -> dict[str, Any]:
        """What is saved for the next look."""
        return {name: standing.as_json() for name, standing in self.standings.items()}

    def look(self, measured: Measured, max_gap_s: float) -> None:
        """Judge every ladder, and move those whose time has come. A move that fails is tried again at the next look."""
        for name, ladder in self.workspace.plan.ladders.items():
            standing = self.standings[name]
            enter, recover = _findings(ladder, measured, self.now_s)
            seen = LadderLook(_truths(enter), _truths(recover))
            after = step_ladder(ladder, standing.state, seen, self.now_s, max_gap_s)
            leading = enter if after.rung > standing.state.rung else recover
            mode = ladder.modes[max(after.rung, standing.state.rung)]
            reason = leading[mode].reason if mode in leading else ""
            try:
                self._move(name, after, reason)
            except LedgerUnavailable:
                raise
            except ChrysalisError as error:
                log().error("%s: ladder %s could not move, tried again: %s", self.workspace.rollout.id, name, error)
                clocks = replace(after, rung=standing.state.rung, recovering=standing.state.recovering)
                self.standings[name] = Standing(clocks, standing.stood)

    def step_down(self, name: str, to: str | None, cause: str) -> None:
        """Down one rung, or to the mode `to`, as a trigger asks. Raises TargetError."""
        ladder = self.workspace.plan.ladders[name]
        self._move(name, move_down(ladder, self.standings[name].state, to=to), cause)

    def answer(self, requests: list[Request]) -> None:
        """Move as people asked. What the target refuses stays asked for."""
        for request in requests:
            name, mode = str(request.arguments["ladder"]), str(request.arguments["mode"])
            state = move_by_person(self.workspace.plan.ladders[name], self.standings[name].state, mode)
            try:
                self._move(name, state, f"by {request.by}: {request.reason}", actor=request.by)
            except LedgerUnavailable:
                raise
            except ChrysalisError as error:
                log().error("%s: ladder %s could not move, tried again: %s", self.workspace.rollout.id, name, error)
                continue
            self.workspace.ledger.settle_request(request.id, f"{name} is {mode}", now=utc_now(), by=ACTOR)

    def _move(self, name: str, after: LadderState, cause: str, *, actor: str = ACTOR) -> None:
        ladder, standing = self.workspace.plan.ladders[name], self.standings[name]
        before, stood = standing.state, standing.stood
        if after.rung != before.rung:
            if ladder.value_names:
                if not stood:
                    now = self.workspace.switchboard(ladder.target).read()
                    stood = {one: now[one] for one in sorted(ladder.value_names) if one in now}
                set_values(self.workspace, ladder.target, values_at(ladder, after.rung, stood), cause, actor=actor)
            self._told(name, ladder, before.rung, after.rung, cause=cause, actor=actor)
        self.standings[name] = Standing(after, stood if after.rung else {})

    def _told(self, name: str, ladder: Ladder, before: int, after: int, *, cause: str, actor: str) -> None:
        left, mode = ladder.modes[before], ladder.modes[after]
        rollout_id = self.workspace.rollout.id
        self.workspace.ledger.record_action(
            rollout_id, None, actor=actor, action=f"ladder {name}", before=left, after=mode, cause=cause, now=utc_now()
        )
        last = after == len(ladder.rungs) - 1
        out = f"only a person leads out of it: `chrysalis mode {rollout_id} {ladder.modes[after - 1]}`"
        body = f"{cause}\n{out}" if last and ladder.last_rung_needs_a_person else cause
        severity: Severity = "info" if after < before else "page" if last else "warning"
        tell(self.workspace, severity, f"{name}: {left} → {mode}", body)
        log().warning("%s: ladder %s: %s → %s: %s", rollout_id, name, left, mode, cause)


def ask_for_mode(rollout_id: str, mode: str, *, ladder: str, by: str, reason: str) -> str:
    """Ask the watch to move a ladder to a mode, from whatever rung; says what follows. An empty `ladder` is the only one.

    Raises SettingsError for a ladder or mode that the plan has not, NotAllowed when the rollout has ended.
    """
    require("operate", by, rollout_id)
    workspace = Workspace.open(rollout_id, 0)
    ladders = workspace.plan.ladders
    name = ladder or (next(iter(ladders)) if len(ladders) == 1 else "")
    if not name:
        raise SettingsError(
            f"{workspace.plan.name} has {len(ladders)} ladders; say --ladder: {', '.join(ladders) or 'none'}"
        )
    require_known(workspace.plan, name, ladders, "ladder")
    if mode not in ladders[name].modes:
        raise SettingsError(f"ladder {name} of {rollout_id} has no mode {mode!r}; it has: {', '.join(ladders[name].modes)}")
    if not workspace.rollout.active:
        raise NotAllowed(f"{rollout_id} ended {workspace.rollout.outcome}; nothing of it is watched any more")
    request_mode(workspace, name, mode, by=by, reason=reason)
    guarded = any(one.rollout.id == rollout_id and one.armed_at is not None for one in workspace.ledger.guarded())
    return f"{name} goes to {mode} " + ("at the watch's next look" if guarded else "once it can reach anybody")


def request_mode(workspace: Workspace, ladder: str, mode: str, *, by: str, reason: str) -> None:
    """Write down for the watch that a ladder is to be moved; of two wishes the later one counts."""
    ledger, rollout_id = workspace.ledger, workspace.rollout.id
    for earlier in ledger.open_requests(rollout_id):
        if earlier.kind == SET_MODE and earlier.arguments["ladder"] == ladder:
            ledger.settle_request(earlier.id, f"{by} asks for {mode} instead", now=utc_now(), by=by)
    asked = {"ladder": ladder, "mode": mode}
    ledger.request(rollout_id, SET_MODE, by=by, reason=reason, arguments=asked, now=utc_now())


def modes_now(rollout_id: str) -> dict[str, str]:
    """Ladder to the mode it stands on. The best one where the watch has not looked yet."""
    ledger, plan = (workspace := Workspace.open(rollout_id, 0)).ledger, workspace.plan
    states = next((one.trigger_states for one in ledger.guarded() if one.rollout.id == rollout_id), {})
    ladders = Ladders.of(workspace, states, 0.0).standings
    return {name: plan.ladders[name].modes[standing.state.rung] for name, standing in ladders.items()}


def _findings(ladder: Ladder, measured: Measured, now_s: float) -> tuple[dict[str, Finding], dict[str, Finding]]:
    def judged(condition: Condition) -> Finding:
        return judge_one(condition, measured.of(condition), now_s)

    enter = {rung.mode: judged(rung.enter.when) for rung in ladder.rungs if rung.enter is not None}
    recover = {rung.mode: judged(rung.recover.when) for rung in ladder.rungs if rung.recover is not None}
    return enter, recover


def _truths(findings: Mapping[str, Finding]) -> dict[str, bool | None]:
    return {mode: truth_of(finding) for mode, finding in findings.items()}
