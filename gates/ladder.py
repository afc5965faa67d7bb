"""A mode ladder: full, lite, fallback, baseline. Down on a breach, up again only after it has been stable.

Down goes as far as the worst rung whose breach has lasted, at once. Up goes one rung at a time: the recovery of the rung it
stands on must have been true for its own `for`, and the breach that leads onto that rung must be over; each move starts the
clocks anew, so a ladder does not flutter. The last rung only a person may leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite
from typing import Any, Self

from pydantic import Field, model_validator

from gates.combine import judge_one
from gates.condition import MetricFacts, Spec
from gates.conditions import AnyCondition
from gates.hold import Hold, advance, finite
from gates.observation import Need, Observations
from gates.trigger import truth_of
from gates.units import Duration


class Crossing(Spec):
    """A condition that has been true for `for`."""

    when: AnyCondition
    for_: Duration = Field(default=timedelta(0), alias="for")


class Rung(Spec):
    """One mode: what leads down onto it (`enter`), what leads up from it (`recover`), and the values that make it so.

    The values of the better modes stand where this one does not name its own (`values_at`).
    """

    mode: str = Field(min_length=1)
    enter: Crossing | None = None
    recover: Crossing | None = None
    values: dict[str, Any] = Field(default_factory=dict)


class Ladder(Spec):
    """Modes from best to last; the first is where it starts. `target` takes the values of the rung it stands on."""

    rungs: tuple[Rung, ...] = Field(min_length=2)
    target: str = ""
    last_rung_needs_a_person: bool = True

    @model_validator(mode="after")
    def _climbable(self) -> Self:
        modes = [rung.mode for rung in self.rungs]
        if len(set(modes)) != len(modes):
            raise ValueError(f"rungs: {', '.join(modes)}: each mode once")
        if self.rungs[0].enter is not None or self.rungs[0].recover is not None:
            raise ValueError(f"rungs: {modes[0]} is the best mode, nothing leads down onto it or up from it")
        if self.last_rung_needs_a_person and self.rungs[-1].recover is not None:
            raise ValueError(f"rungs: {modes[-1]} is the last rung, only a person may leave it: take recover away")
        return self

    @property
    def modes(self) -> tuple[str, ...]:
        """Their names, best first."""
        return tuple(rung.mode for rung in self.rungs)

    @property
    def value_names(self) -> frozenset[str]:
        """Every value of the target that some rung sets."""
        return frozenset(name for rung in self.rungs for name in rung.values)

    def needs(self) -> tuple[Need, ...]:
        """Every series that moves lead by."""
        return tuple(need for crossing in self._crossings() for need in crossing.when.needs())

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        """What does not fit the metrics."""
        return [problem for crossing in self._crossings() for problem in crossing.when.problems(metrics)]

    def look(self, observations: Observations, now_s: float) -> "LadderLook":
        """What the conditions of all rungs say at `now_s`."""

        def truths(name: str) -> dict[str, bool | None]:
            crossings = {rung.mode: getattr(rung, name) for rung in self.rungs}
            return {
                mode: truth_of(judge_one(crossing.when, observations, now_s))
                for mode, crossing in crossings.items()
                if crossing is not None
            }

        return LadderLook(truths("enter"), truths("recover"))

    def _crossings(self) -> list[Crossing]:
        both = [crossing for rung in self.rungs for crossing in (rung.enter, rung.recover)]
        return [crossing for crossing in both if crossing is not None]


@dataclass(frozen=True, slots=True)
class LadderLook:
    """The truth by mode of what leads down onto it and up from it; None or absent is no data."""

    enter: Mapping[str, bool | None] = field(default_factory=dict)
    recover: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LadderState:
    """The rung (0 is the best) and the clocks of the moves that may come."""

    rung: int = 0
    last_s: float | None = None
    entering: Mapping[str, Hold] = field(default_factory=dict)
    recovering: Hold | None = None

    def as_json(self) -> dict[str, object]:
        """For the ledger; `from_json` takes it back."""
        return {
            "rung": self.rung,
            "last_s": self.last_s,
            "entering": {mode: hold.as_json() for mode, hold in self.entering.items()},
            "recovering": self.recovering.as_json() if self.recovering else None,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> "LadderState":
        """What `as_json` gave. Raises ValueError on anything else."""
        rung, entering = kept.get("rung"), kept.get("entering")
        if isinstance(rung, bool) or not isinstance(rung, int) or rung < 0 or not isinstance(entering, Mapping):
            raise ValueError(f"rung {rung!r} and entering {entering!r} are no state of a ladder")
        holds = {str(mode): Hold.from_json(hold) for mode, hold in entering.items()}
        return cls(
            rung,
            None if kept.get("last_s") is None else finite(kept, "last_s"),
            {mode: hold for mode, hold in holds.items() if hold is not None},
            Hold.from_json(kept.get("recovering")),
        )


def step_ladder(ladder: Ladder, state: LadderState, look: LadderLook, now_s: float, max_gap_s: float) -> LadderState:
    """The state after an evaluation at `now_s`. No data moves nothing."""
    if not isfinite(now_s):
        return state
    rung = min(state.rung, len(ladder.rungs) - 1)
    entering: dict[str, Hold] = {}
    lowest = rung
    for index, spec in enumerate(ladder.rungs):
        if spec.enter is None:
            continue
        truth = look.enter.get(spec.mode)
        before = state.entering.get(spec.mode)
        hold = advance(before, truth, now_s=now_s, last_s=state.last_s, max_gap_s=max_gap_s)
        if hold is None:
            continue
        entering[spec.mode] = hold
        if truth and hold.reached(spec.enter.for_.total_seconds(), now_s):
            lowest = max(lowest, index)
    if lowest > rung:
        return LadderState(lowest, now_s, entering)
    here = ladder.rungs[rung]
    breached = here.mode in entering
    truth = False if breached else look.recover.get(here.mode)
    recovering = advance(state.recovering, truth, now_s=now_s, last_s=state.last_s, max_gap_s=max_gap_s)
    ready = truth and here.recover and recovering and recovering.reached(here.recover.for_.total_seconds(), now_s)
    if ready and may_leave(ladder, rung):
        return LadderState(rung - 1, now_s, entering)
    return LadderState(rung, now_s, entering, recovering)


def values_at(ladder: Ladder, rung: int, stood: Mapping[str, Any]) -> dict[str, Any]:
    """The target's values on a rung, whatever way led there: what `stood` before the ladder first moved, and over it the
    values of every rung from the best down to this one. What a better mode switched off stays off further down."""
    values = {name: stood[name] for name in ladder.value_names if name in stood}
    for passed in ladder.rungs[: rung + 1]:
        values |= passed.values
    return values


def may_leave(ladder: Ladder, rung: int) -> bool:
    """Whether the ladder may go up from this rung by itself."""
    return rung > 0 and not (ladder.last_rung_needs_a_person and rung == len(ladder.rungs) - 1)


def move_down(ladder: Ladder, state: LadderState, *, to: str | None = None) -> LadderState:
    """Down one rung, or to the mode `to` when that is lower; never up. Raises ValueError on an unknown mode."""
    rung = min(state.rung + 1, len(ladder.rungs) - 1) if to is None else max(state.rung, place_of(ladder, to))
    return LadderState(rung, state.last_s, state.entering)


def move_by_person(ladder: Ladder, state: LadderState, to: str) -> LadderState:
    """To any mode, from any rung, the last one included. All clocks start anew. Raises ValueError on an unknown mode."""
    return LadderState(place_of(ladder, to), state.last_s)


def place_of(ladder: Ladder, mode: str) -> int:
    """The rung of a mode. Raises ValueError."""
    if mode not in ladder.modes:
        raise ValueError(f"unknown mode {mode!r}; the ladder has {', '.join(ladder.modes)}")
    return ladder.modes.index(mode)
