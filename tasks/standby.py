"""The watch's second pair of eyes: while the ledger is out of reach it goes on measuring, judging and making safe.

It remembers what the last look at the ledger showed: which rollouts are guarded, by which triggers, and how far each
trigger was; a watch that starts while the ledger is down begins with what the last one knew (`last_known.py`). Nothing is
raised, counted or ended from memory; only what is safe is done. What was done goes to the local spool before it is done, and
into the ledger when that is back, also by another watch on this machine.

Fencing without a ledger: a token counts two in a stamp (`Workspace.stamp`), and what is written from memory is stamped one
above the token that was seen last. So the process that holds that token can no longer raise what was made safe, and whoever
takes the next token, which needs the ledger, can.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, SickerSide
from chrysalis.ledger import Baseline, Guarded, Lease, Ledger
from chrysalis.plan import Plan
from chrysalis.plan.parts import ManualSource
from gates.response import Firing, ReduceWeight, RollBack, SetValue, StepDown, SwitchOff, Throttle
from gates.trigger import Trigger
from tasks.healthier import page, require_healthier
from tasks.judging import Judgement, States, armed, asked_for, judge_triggers
from tasks.ladders import Ladders
from tasks.last_known import Kept, Known, LastKnown
from tasks.late_pages import LEDGER
from tasks.notify import tell
from tasks.recollection import FromMemory, Recollection, write_down
from tasks.responses import changes_of, tell_of
from tasks.safety import make_safe
from tasks.spool import Spool, Spooled
from tasks.step import log
from tasks.values import ACTOR, remember, set_values
from tasks.workspace import Workspace, settings

LATE_TICKS = 5
LATE_AT_LEAST_S = 2.0
"""A tick that is not over after so long is taken for stuck in the ledger."""
PAGE_AFTER = timedelta(seconds=10)
MOST_GAP_S = 10.0
RECORDED_FOR_S = 30.0
"""How old a recorded or entered series may be in memory."""


class Seen(Protocol):
    """What a tick saw of one rollout."""

    @property
    def guarded(self) -> Guarded: ...

    @property
    def workspace(self) -> Workspace: ...

    @property
    def states(self) -> States: ...


@dataclass
class _Remembered:
    """One rollout as it was last seen, and its triggers as they are since."""

    guarded: Guarded
    workspace: FromMemory
    recollection: Recollection
    states: States
    sick: bool = False
    """Whether somebody was paged because its stable side is worse off."""
    looked: bool = False
    """Whether the triggers have moved since the ledger was last seen."""

    @property
    def kept(self) -> Kept:
        return Kept(self.guarded, self.recollection.kept, self.recollection.split_at)


@dataclass
class Standby:
    """What one watch remembers. `look` may run in a thread of its own beside the ticks (`on_duty`)."""

    spool: Spool
    last_known: LastKnown
    interval_s: float
    _unwritten: list[Spooled] = field(default_factory=list)
    _seen: dict[str, _Remembered] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _last_tick_s: float = field(default_factory=time.monotonic)
    _recorded_at_s: float = field(default_factory=time.monotonic)
    _away: str = ""
    _away_since_s: float | None = None
    _paged: bool = False

    def __post_init__(self) -> None:
        try:
            self.spool.reserve()
        except OSError as error:
            log().error("%s cannot be made, so the watch would keep what it does in memory: %s", self.spool.path, error)

    def remember(self, seen: Sequence[Seen], ledger: Ledger) -> None:
        """The ledger was reached and this is what stands in it. Raises LedgerUnavailable."""
        kept = self._recorded(seen, ledger)
        with self._turn:
            self._seen = {one.guarded.rollout.id: self._of(one, kept) for one in seen}
            self._last_tick_s = time.monotonic()
            self._away = ""
        self.last_known.keep([one.kept for one in self._seen.values()], ledger)
        if self._paged:
            self._tell("info", "the ledger is back", "what was done meanwhile is journaled; the watch goes on as before")
        self._away_since_s, self._paged = None, False

    def recall(self, reason: str) -> None:
        """The watch starts and the ledger is out of reach: begin with what the last watch here knew."""
        known = self.last_known.known()
        with self._turn:
            self._seen = {one.kept.guarded.rollout.id: self._recalled(one) for one in known}
        log().error("watching %d rollouts as they were last known: %s", len(known), reason)
        self.begin(reason)

    def forget(self, *, taken_over: bool = False) -> None:
        """Another watch has taken over, or this one ends: nothing is done from memory any more."""
        with self._turn:
            self._seen, self._away, self._last_tick_s = {}, "", time.monotonic()
        if taken_over:
            self.last_known.forget()

    def begin(self, reason: str) -> None:
        """The ledger is known to be out of reach: do not wait until the tick is late."""
        self._away = reason

    @property
    def due(self) -> bool:
        """Whether it is time to look from memory."""
        limit_s = max(LATE_AT_LEAST_S, LATE_TICKS * self.interval_s)
        return bool(self._seen) and (bool(self._away) or time.monotonic() - self._last_tick_s > limit_s)

    @contextmanager
    def on_duty(self) -> Iterator[None]:
        """While inside, a thread looks every `interval_s` whenever that is due."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(self.interval_s):
                try:
                    if self.due:
                        self.look(utc_now())
                except Exception:
                    # Nobody would look any more: the thread lives as long as the watch.
                    log().exception("the look from memory failed, and is tried again")

        thread = threading.Thread(target=watch, name="standby", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self, now: datetime) -> None:
        """Measure, judge and make safe every rollout that is remembered. Never raises."""
        self._note_absence()
        for rollout_id, one in list(self._seen.items()):
            try:
                self._look(one, now)
            except Exception:
                # One rollout must not keep the others from being watched.
                log().exception("%s could not be looked at from memory", rollout_id)

    def hand_over(self, ledger: Ledger, lease: Lease | None, now: datetime) -> Mapping[str, States]:
        """The ledger is back: journal what was done, and how far the triggers are, which is returned by rollout.

        Raises LedgerUnavailable, StaleToken.
        """
        journaled, unwritten = self._entries(), tuple(self._unwritten)
        for entry in {one.key: one for one in (*journaled, *unwritten)}.values():
            write_down(ledger, entry)
        del self._unwritten[: len(unwritten)]
        if journaled:
            self.spool.clear(journaled)
        with self._turn:
            moved = {name: one for name, one in self._seen.items() if one.looked}
            states = {name: one.states for name, one in moved.items()}
        if states:
            ledger.save_trigger_states({name: one.as_json() for name, one in states.items()}, now, lease=lease)
        for one in moved.values():
            one.looked = False
        return states

    def _recorded(self, seen: Sequence[Seen], ledger: Ledger) -> dict[str, tuple[Baseline, ...]]:
        """The recorded series of those whose triggers look at some; read anew now and then, since people enter them."""
        now_s = time.monotonic()
        fresh = now_s - self._recorded_at_s < RECORDED_FOR_S
        kept = {}
        for one in seen:
            rollout_id, earlier = one.guarded.rollout.id, self._seen.get(one.guarded.rollout.id)
            if fresh and earlier is not None:
                kept[rollout_id] = earlier.recollection.kept
            elif _looks_at_records(one):
                kept[rollout_id] = ledger.baselines(rollout_id)
        if not fresh:
            self._recorded_at_s = now_s
        return kept

    def _of(self, one: Seen, kept: Mapping[str, tuple[Baseline, ...]]) -> _Remembered:
        row, earlier = one.guarded.rollout, self._seen.get(one.guarded.rollout.id)
        if earlier is not None and earlier.looked and earlier.guarded.rollout.token == row.token:
            # Looked at from memory during this very tick: what was judged then is newer.
            return earlier
        found = Kept(one.guarded, kept.get(row.id, ()), one.workspace.last_split_at)
        return self._remembered(found, one.workspace.plan, one.states)

    def _recalled(self, one: Known) -> _Remembered:
        return self._remembered(one.kept, one.plan, one.states)

    def _remembered(self, kept: Kept, plan: Plan, states: States) -> _Remembered:
        guarded, row = kept.guarded, kept.guarded.rollout
        recollection = Recollection(kept.baselines, self.spool, self._unwritten, kept.split_at)
        workspace = FromMemory(cast(Ledger, recollection), row, row.token, plan, settings())
        return _Remembered(guarded, workspace, recollection, states)

    def _look(self, one: _Remembered, now: datetime) -> None:
        workspace, guarded = one.workspace, one.guarded
        triggers = armed(workspace, guarded)
        judgement = judge_triggers(
            triggers,
            one.states,
            workspace.observe(asked_for(triggers), now),
            workspace=workspace,
            now_s=workspace.clock.to_plan(now.timestamp()),
            max_gap_s=max(MOST_GAP_S, LATE_TICKS * self.interval_s) * workspace.clock.speed,
            set_off=frozenset(),
        )
        states = judgement.states
        for firing in judgement.due:
            try:
                states = self._respond(one, firing, judgement, states, triggers)
            except ChrysalisError as error:
                log().error("%s: %s could not be answered, tried again: %s", guarded.rollout.id, firing.trigger, error)
                continue
            states = judgement.having_made(states, firing)
            self.last_known.note(one.kept, states)
        one.states = states
        one.looked = True

    def _respond(
        self, one: _Remembered, firing: Firing, judgement: Judgement, states: States, triggers: Mapping[str, Trigger]
    ) -> States:
        """Do what is safe; returns the states with what was changed."""
        workspace, memory, response = one.workspace, one.recollection, firing.response
        row = workspace.rollout
        cause = f"{firing.trigger}: {judgement.findings[firing.trigger].reason}"
        said = f"{cause} (seen while the ledger was out of reach)"
        memory.asks, memory.to_percent, memory.rollback = None, None, None
        match response:
            case RollBack():
                self._require_healthier(one)
                memory.asks, memory.to_percent, memory.rollback = "roll_back", response.weight_percent or None, response.use
                memory.announce(row.id, "make_safe", said)
                make_safe(workspace, response.weight_percent, actor=ACTOR, cause=said)
                memory.split_at = utc_now()
            case ReduceWeight():
                self._require_healthier(one)
                memory.asks = "pause"
                memory.announce(row.id, "make_safe", said)
                now_percent = max((router.read().canary_percent for router in workspace.routers().values()), default=0)
                make_safe(workspace, response.weight_after(now_percent), actor=ACTOR, cause=said)
                memory.split_at = utc_now()
            case SwitchOff() | Throttle() | SetValue():
                memory.announce(row.id, f"set {response.target}", said)
                changed = set_values(workspace, response.target, changes_of(response), said)
                if triggers[firing.trigger].recover is not None:
                    states = replace(states, changed=remember(states.changed, firing.trigger, changed))
            case StepDown():
                memory.announce(row.id, f"ladder {response.ladder}", said)
                ladders = Ladders.of(workspace, states.as_json(), judgement.now_s)
                ladders.step_down(response.ladder, response.to, said)
                states = replace(states, ladders=ladders.as_json())
            case _:
                pass
        tell_of(workspace, firing, said)
        log().warning("%s: %s → %s, from memory", row.id, cause, response.kind)
        return states

    def _require_healthier(self, one: _Remembered) -> None:
        try:
            require_healthier(one.workspace, utc_now())
        except SickerSide as error:
            if not one.sick:
                page(one.workspace, error)
            one.sick = True
            raise

    def _note_absence(self) -> None:
        now_s, since_s = time.monotonic(), self._away_since_s
        if since_s is None:
            self._away_since_s = since_s = self._last_tick_s if not self._away else now_s
            log().error("the ledger is out of reach, watching from memory: %s", self._away or "no answer")
        if not self._paged and now_s - since_s >= PAGE_AFTER.total_seconds():
            self._paged = True
            names = ", ".join(sorted(self._seen))
            body = f"{names}: held where they are and still watched; no weight goes up. {self._away}".strip()
            self._tell("page", "the ledger is out of reach", body)

    def _tell(self, severity: Any, title: str, body: str) -> None:
        one = next(iter(list(self._seen.values())), None)
        if one is None:
            log().error("%s: %s", title, body)
        else:
            tell(one.workspace, severity, title, body, cause=LEDGER)

    def _entries(self) -> tuple[Spooled, ...]:
        try:
            return self.spool.entries()
        except OSError as error:
            log().error("%s cannot be read: %s", self.spool.path, error)
            return ()


def _looks_at_records(one: Seen) -> bool:
    plan = one.workspace.plan
    by_hand = {name for name, source in plan.sources.items() if isinstance(source, ManualSource)}
    selectors = [need.selector for condition in asked_for(armed(one.workspace, one.guarded)) for need in condition.needs()]
    return any(
        selector.baseline is not None or plan.metrics[selector.metric].source in by_hand
        for selector in selectors
        if selector.metric in plan.metrics
    )
