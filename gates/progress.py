"""What a rollout does next: a pure function of the plan's steps, the journal, and what people and the watch asked for.

The same function decides in a fresh process after a crash, in rehearsal and in tests; whoever holds the rollout only does
what it says. It never looks at a clock: time is in the journal, because a wait ends by an entry that the watch wrote.

Order of precedence, first that applies:
  1. a way back that was begun is finished, whatever else is asked, and after it nothing goes forward again;
  2. an abort, then a way back asked for (by a person, the watch, or a step that failed);
  3. a rollout that was told to pause holds;
  4. the first step that is not done runs; a step that was begun and not ended is run again (every step may be repeated);
  5. nothing left: the rollout is complete.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a rollout ends."""

    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"


class Event(StrEnum):
    """What the journal says of one attempt at a step."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNDONE = "undone"
    ABANDONED = "abandoned"


_SETTLED = frozenset({Event.DONE, Event.SKIPPED})


@dataclass(frozen=True, slots=True)
class Stop:
    """A step at its place in the plan."""

    id: str
    phase: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry, as far as it matters here."""

    step_id: str
    event: Event
    reason: str = ""
    rejected: bool = False
    """The step failed because somebody who may refuse did."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something asked of the rollout that has not been settled. `to_percent` None is the rollback's own weight."""

    kind: str
    """`roll_back`, `abort` or `pause`."""
    by: str
    reason: str
    to_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Run this step; `again` when an earlier attempt was begun and its end is not known."""

    step_id: str
    phase: str
    again: bool


@dataclass(frozen=True, slots=True)
class RollBack:
    """Go back. `to_percent` above 0 is a partial way back, after which the rollout holds until it is told to resume."""

    reason: str
    by: str
    to_percent: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing until somebody says otherwise."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The rollout is over."""

    outcome: Outcome
    reason: str


Action = Run | RollBack | Hold | Finish

ROLLBACK_STEP = "rollback"
"""The journal's own step for the way back as a whole: begun before its first effect, done after its last check."""


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The newest entry of each step."""
    return {entry.step_id: entry for entry in entries}


def next_action(stops: Sequence[Stop], entries: Sequence[Entry], wishes: Sequence[Wish]) -> Action:
    """What to do next. `entries` oldest first; `wishes` only those not settled.

    Raises ValueError for a plan without steps: it could only complete without having done anything.
    """
    if not stops:
        raise ValueError("a plan without steps has nothing to do")
    status = latest(entries)
    return _way_back(stops, status, wishes) or _forward(stops, status, wishes)


def _way_back(stops: Sequence[Stop], status: dict[str, Entry], wishes: Sequence[Wish]) -> Action | None:
    whole = status.get(ROLLBACK_STEP)
    if whole is not None and whole.event is Event.FAILED:
        return Hold(f"the way back could not be finished: {whole.reason}")
    aborts = [wish for wish in wishes if wish.kind == "abort"]
    if aborts:
        return RollBack(aborts[0].reason, aborts[0].by, 0, Outcome.ABORTED)
    asked = [wish for wish in wishes if wish.kind == "roll_back"]
    if asked:
        deepest = min(asked, key=lambda wish: wish.to_percent or 0)
        return RollBack(deepest.reason, deepest.by, deepest.to_percent, Outcome.ROLLED_BACK)
    for stop in stops:
        entry = status.get(stop.id)
        if entry is not None and entry.event is Event.FAILED:
            outcome = Outcome.REJECTED if entry.rejected else Outcome.ROLLED_BACK
            return RollBack(entry.reason, "chrysalis", None, outcome)
    if whole is not None and whole.event is Event.DONE:
        return Finish(Outcome.ROLLED_BACK, whole.reason)
    if whole is not None and whole.event is Event.BEGUN:
        return RollBack(whole.reason, "chrysalis", None, Outcome.ROLLED_BACK)
    return None


def _forward(stops: Sequence[Stop], status: dict[str, Entry], wishes: Sequence[Wish]) -> Action:
    for wish in wishes:
        if wish.kind == "pause":
            return Hold(f"paused by {wish.by}: {wish.reason}")
    for stop in stops:
        entry = status.get(stop.id)
        if entry is None or entry.event not in _SETTLED:
            again = entry is not None and entry.event is Event.BEGUN
            return Run(stop.id, stop.phase, again)
    return Finish(Outcome.COMPLETED, f"all {len(stops)} steps are done")


def undo_order(stops: Sequence[Stop], entries: Sequence[Entry]) -> tuple[str, ...]:
    """The steps to take back, newest first: done, or begun with an end that is not known."""
    status = latest(entries)
    touched = {Event.DONE, Event.BEGUN, Event.FAILED}
    return tuple(stop.id for stop in reversed(stops) if stop.id in status and status[stop.id].event in touched)
