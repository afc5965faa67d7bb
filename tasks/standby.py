"""The watch's second pair of eyes: while the ledger is out of reach it goes on measuring, judging and making safe.

It remembers what the last look at the ledger showed: which rollouts are guarded, by which triggers, and how far each
trigger was. Nothing is raised, counted or ended from memory; only what is safe is done. What was done goes to the local
spool before it is done, and into the ledger when that is back, also by another watch on this machine.

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
from typing import Any, NoReturn, Protocol, cast
from uuid import uuid4

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerError, LedgerUnavailable, SickerSide
from chrysalis.ledger import Baseline, Guarded, Lease, Ledger
from chrysalis.plan.parts import ManualSource
from chrysalis.targets.base import Stamp
from gates.response import Firing, ReduceWeight, RollBack, SetValue, StepDown, SwitchOff, Throttle
from gates.trigger import Trigger
from tasks.healthier import page, require_healthier
from tasks.judging import Judgement, States, armed, asked_for, judge_triggers
from tasks.ladders import Ladders
from tasks.lifecycle import take_over
from tasks.notify import tell
from tasks.responses import changes_of, tell_of
from tasks.rolling_back import ask
from tasks.safety import make_safe
from tasks.spool import Spool, Spooled
from tasks.step import log
from tasks.values import ACTOR, remember, set_values
from tasks.workspace import FROM_MEMORY, Workspace, written_from_memory

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
class Recollection:
    """Stands in for the ledger: what can be answered from memory is, what is to be recorded goes to the spool."""

    kept: tuple[Baseline, ...]
    spool: Spool
    unwritten: list[Spooled]
    """What the spool could not take either."""
    key: str = ""
    asks: str | None = None
    to_percent: int | None = None
    rollback: str | None = None

    def baselines(self, _: str) -> tuple[Baseline, ...]:
        return self.kept

    def record_action(self, rollout_id: str, token: int | None, *, now: datetime, **action: Any) -> None:
        self._add(self._entry(rollout_id, now, **action, done=True))
        # A second record of the same response is another action.
        self.key += "+"

    def tell_notice(self, rollout_id: str, **_: Any) -> NoReturn:
        """People are told without the ledger's queue."""
        raise LedgerUnavailable(f"{rollout_id}: the ledger is out of reach")

    def announce(self, rollout_id: str, action: str, cause: str) -> None:
        """Write down what is about to be done."""
        self.key = f"{rollout_id}:{uuid4().hex}"
        self._add(self._entry(rollout_id, utc_now(), actor=ACTOR, action=action, before={}, after={}, cause=cause))

    def _entry(self, rollout_id: str, at: datetime, **action: Any) -> Spooled:
        return Spooled(
            key=self.key,
            rollout_id=rollout_id,
            at=at.isoformat(),
            asks=self.asks,
            to_percent=self.to_percent,
            rollback=self.rollback,
            **action,
        )

    def _add(self, entry: Spooled) -> None:
        try:
            self.spool.add(entry)
        except OSError as error:
            # Safe first: what cannot be written down is done all the same, and kept here and in this log.
            self.unwritten.append(entry)
            log().error("%s cannot be spooled (%s): %s", self.spool.path, error, entry)


class FromMemory(Workspace):
    """A workspace that writes half a step ahead of the token that was seen last, and half a step behind the next."""

    def stamp(self, step_id: str) -> Stamp:
        seen = super().stamp(f"{FROM_MEMORY}{step_id}")
        return replace(seen, token=seen.token + 1)


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


@dataclass
class Standby:
    """What one watch remembers. `look` may run in a thread of its own beside the ticks (`on_duty`)."""

    spool: Spool
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
        if self._paged:
            self._tell("info", "the ledger is back", "what was done meanwhile is journaled; the watch goes on as before")
        self._away_since_s, self._paged = None, False

    def forget(self) -> None:
        """Another watch has taken over, or this one ends: nothing is done from memory any more."""
        with self._turn:
            self._seen, self._away, self._last_tick_s = {}, "", time.monotonic()

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
                if self.due:
                    self.look(utc_now())

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
            _journal(ledger, entry)
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
        recollection = Recollection(kept.get(row.id, ()), self.spool, self._unwritten)
        ledger = cast(Ledger, recollection)
        workspace = FromMemory(ledger, row, row.token, one.workspace.plan, one.workspace.settings)
        return _Remembered(one.guarded, workspace, recollection, one.states)

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
            case ReduceWeight():
                self._require_healthier(one)
                memory.asks = "pause"
                memory.announce(row.id, "make_safe", said)
                now_percent = max((router.read().canary_percent for router in workspace.routers().values()), default=0)
                make_safe(workspace, response.weight_after(now_percent), actor=ACTOR, cause=said)
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
        now_s = time.monotonic()
        if self._away_since_s is None:
            self._away_since_s = self._last_tick_s if not self._away else now_s
            log().error("the ledger is out of reach, watching from memory: %s", self._away or "no answer")
        if not self._paged and now_s - self._away_since_s >= PAGE_AFTER.total_seconds():
            self._paged = True
            names = ", ".join(sorted(self._seen))
            body = f"{names}: held where they are and still watched; no weight goes up. {self._away}".strip()
            self._tell("page", "the ledger is out of reach", body)

    def _tell(self, severity: Any, title: str, body: str) -> None:
        one = next(iter(list(self._seen.values())), None)
        if one is None:
            log().error("%s: %s", title, body)
        else:
            tell(one.workspace, severity, title, body)

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


def _journal(ledger: Ledger, entry: Spooled) -> None:
    """Write down an action that was taken from memory, make its stamp the ledger's own, and ask for what follows."""
    row = ledger.get(entry.rollout_id)
    if row.active:
        # Whoever works for it was not told of the action: from here on its token is stale.
        workspace = Workspace.open(row.id, take_over(row.id))
        if entry.asks is not None:
            try:
                why, to_percent = str(entry.cause), entry.to_percent
                ask(row.id, entry.asks, by=entry.actor, reason=why, to_percent=to_percent, rollback=entry.rollback)
            except LedgerUnavailable:
                raise
            except LedgerError as error:
                log().warning("%s: %s", row.id, error)
        _adopt(workspace, str(entry.cause))
    after = entry.after if entry.done else {"not seen": "the watch ended before it could write down what came of it"}
    at = datetime.fromisoformat(entry.at)
    ledger.record_action(
        row.id,
        None,
        actor=entry.actor,
        action=entry.action,
        before=entry.before,
        after=after,
        cause=entry.cause,
        now=at,
        key=entry.key,
    )
    log().info("%s: journaled what was done while the ledger was out of reach: %s", row.id, entry.action)


def _adopt(workspace: Workspace, cause: str) -> None:
    """Write the weight that was set from memory once more, under a token of the ledger: it may go up again from there."""
    weights = []
    for name, router in workspace.routers().items():
        try:
            split = router.read()
            weights.append(split.canary_percent)
            if split.stamp is not None and written_from_memory(split.stamp):
                router.write(split.canary_percent, workspace.stamp(f"safe.{name}"))
        except ChrysalisError as error:
            log().warning("%s: %s", name, error)
    row = workspace.rollout
    weight = max(weights, default=row.weight_percent)
    workspace.ledger.set_position(
        row.id, workspace.token, phase=row.phase, weight_percent=weight, status_text=cause, now=utc_now()
    )
