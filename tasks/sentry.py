"""The watch's eyes and hands: one look at every rollout, and the first, safe action where one is due.

A tick reads all guarded rollouts in one query, measures, judges with `gates/`, and then, in this order: acts, records,
counts the soaks, wakes the rollouts that can go on, and says that it is alive. It needs the ledger, the metrics and the
targets; Prefect is needed only to wake, so a breach is made safe while Prefect's server is down.

A soak is counted by what was watched: the time since the last tick, at most `MOST_TICKS` intervals of it, and none of it
when a source could not be asked. That time, and every silence, is measured by a steady clock: the wall clock may be set.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable, StaleToken
from chrysalis.ledger import Guarded, Lease, Ledger, Request, Rollout, Tick, Wait
from gates.response import Firing
from gates.trigger import Trigger
from tasks import ladders as mode_ladders
from tasks.escalation import Courier
from tasks.insist import Insistence
from tasks.judging import CHANGED, LADDERS, Judgement, armed, asked_for, blindness, judge_triggers
from tasks.ladders import Ladders
from tasks.lifecycle import LEASE_S
from tasks.notify import tell
from tasks.prefect_api import Nudge, RunCancelled
from tasks.responses import respond
from tasks.rolling_back import ask
from tasks.signs import Signs
from tasks.spool import Spool
from tasks.standby import Standby
from tasks.step import log
from tasks.values import put_back, remember
from tasks.waits import Glance, counted_s, settle
from tasks.workspace import Workspace, settings

MOST_TICKS = 10
"""A gap of more ticks than this was not watched, however short the tick."""
MOST_GAP_AT_LEAST_S = 2.0
WAKE_AGAIN_AFTER = timedelta(seconds=3)
SILENT_AFTER = timedelta(seconds=8)
"""Two missed signs of life: Prefect is asked whether the rollout's run has ended."""
DEAD_AFTER = timedelta(seconds=20)
"""A rollout whose process gave no sign of life for this long is started again, whatever Prefect says."""
LOOK_AFTER = timedelta(seconds=10)
"""How often Prefect is asked whether the run of a rollout that waits still sleeps."""
BLIND_PAGES_AFTER = timedelta(seconds=60)
LEASE_NAME = "watch"
SPOOL = "spool.jsonl"
"""In the home folder: what was done while the ledger was out of reach."""
LEASE_TICKS = 20
LEASE_AT_LEAST_S = 5.0
GOING_BACK = frozenset({"roll_back", "abort"})

Wake = Callable[[str, Nudge], bool]
"""Flow run id and why to whether the run was told to go on."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one tick saw of one rollout."""

    guarded: Guarded
    workspace: Workspace
    judgement: Judgement
    blind: str
    """Why it could not be watched; empty when it was."""

    @property
    def states(self) -> dict[str, Any]:
        """How far its triggers are."""
        return self.judgement.states


@dataclass
class Sentry:
    """One watch. It acts only while it holds the watch's lease, so that two never act at once."""

    ledger: Ledger
    wake: Wake
    holder: str
    interval_s: float
    blind_pages_after: timedelta = BLIND_PAGES_AFTER
    lease: Lease | None = None
    standby: Standby = field(init=False)
    """What goes on watching, in a thread of its own (`Standby.on_duty`), while the ledger is out of reach."""
    _insistence: Insistence = field(default_factory=Insistence)
    _signs: Signs = field(default_factory=Signs)
    _steady_s: float = 0.0
    _last_tick: datetime | None = None
    _counted: frozenset[int] = frozenset()
    """The waits that the last tick looked at."""
    _woken: dict[str, float] = field(default_factory=dict)
    _blind_since: dict[str, float] = field(default_factory=dict)
    _seeing_since: dict[str, float] = field(default_factory=dict)
    _blind_paged: set[str] = field(default_factory=set)
    _lookers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="look"))
    _courier: Courier = field(default_factory=Courier)
    _waker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="wake"))

    def __post_init__(self) -> None:
        self.standby = Standby(Spool(settings().home / SPOOL), self.interval_s)

    def tick(self, now: datetime, passed_s: float | None = None) -> int:
        """One look. Returns how many rollouts were looked at; 0 without the lease. Raises LedgerUnavailable.

        `passed_s` is the time since the last tick by a steady clock; without it, the wall clock's `now` is believed.
        """
        if passed_s is None:
            passed_s = 0.0 if self._last_tick is None else max(0.0, (now - self._last_tick).total_seconds())
        self._steady_s += passed_s
        if not self._holds_lease(now):
            self.standby.forget()
            return 0
        self.standby.hand_over(self.ledger, self.lease, now)
        guarded = [one for one in self.ledger.guarded() if one.rollout.active]
        asked = self.ledger.all_open_requests()
        looks = [look for look in self._lookers.map(lambda one: self._look(one, asked, now), guarded) if look is not None]
        states = {look.guarded.rollout.id: look.judgement.states for look in looks if look.guarded.armed_at is not None}
        self.ledger.save_trigger_states(states, now, lease=self.lease)
        self._settle_waits(looks, now, passed_s)
        self._wake_due(asked, now)
        self.standby.hand_over(self.ledger, self.lease, now)
        self._courier.go(self.ledger, now)
        self.ledger.beat(LEASE_NAME, detail={"watched": len(guarded), "blind": sorted(self._blind_since)}, now=now)
        self.standby.remember([look for look in looks if look.guarded.armed_at is not None], self.ledger)
        self._last_tick = now
        return len(guarded)

    def close(self) -> None:
        """Give the lease back, so that the next watch need not wait for it."""
        self.standby.forget()
        self._insistence.close()
        self._courier.close()
        self._lookers.shutdown()
        self._waker.shutdown(cancel_futures=True)
        if self.lease is not None:
            self.ledger.release_lease(self.lease, now=utc_now())
            self.lease = None

    @property
    def _most_gap_s(self) -> float:
        return max(MOST_TICKS * self.interval_s, MOST_GAP_AT_LEAST_S)

    def _holds_lease(self, now: datetime) -> bool:
        ttl_s = max(LEASE_AT_LEAST_S, LEASE_TICKS * self.interval_s)
        if self.lease is not None:
            try:
                self.lease = self.ledger.renew_lease(self.lease, ttl_s=ttl_s, now=now)
            except StaleToken:
                self.lease, self._last_tick = None, None
        if self.lease is None:
            self.lease = self.ledger.acquire_lease(LEASE_NAME, self.holder, ttl_s=ttl_s, now=now)
        return self.lease is not None

    def _look(self, guarded: Guarded, asked: tuple[Request, ...], now: datetime) -> Look | None:
        """Measure, judge and act for one rollout; its troubles never keep the others from being watched."""
        row = guarded.rollout
        try:
            workspace = Workspace.open(row.id, row.token)
            triggers = armed(workspace, guarded)
            stepping = mode_ladders.asked_for(workspace.plan) if guarded.armed_at is not None else []
            measured = workspace.observe([*asked_for(triggers), *stepping], now)
            mine = [request for request in asked if request.rollout_id == row.id]
            max_gap_s = self._most_gap_s * workspace.clock.speed
            judgement = judge_triggers(
                triggers,
                guarded,
                measured,
                workspace=workspace,
                now_s=workspace.clock.to_plan(now.timestamp()),
                max_gap_s=max_gap_s,
                set_off=frozenset(str(one.arguments.get("trigger")) for one in mine if one.kind == "set_off"),
            )
            back = [request for request in mine if request.kind in GOING_BACK]
            self._insistence.look(workspace, back)
            if row.state != "rolling_back" and not back:
                ladders = Ladders.of(workspace, judgement.states, judgement.now_s)
                self._respond(workspace, triggers, judgement, mine, ladders)
                if changed := judgement.states.get(CHANGED):
                    judgement.states[CHANGED] = put_back(workspace, triggers, judgement.states, changed)
                if guarded.armed_at is not None:
                    ladders.look(measured, max_gap_s)
                    ladders.answer([request for request in mine if request.kind == mode_ladders.SET_MODE])
                    judgement.states[LADDERS] = ladders.as_json()
            blind = blindness(triggers, measured, judgement, exposed=bool(row.weight_percent))
            self._note_blindness(workspace, blind)
            return Look(guarded, workspace, judgement, blind)
        except LedgerUnavailable:
            raise
        except ChrysalisError as error:
            log().error("%s could not be looked at: %s", row.id, error)
        except Exception:
            # A fault of ours in one rollout must not blind the watch for all the others.
            log().exception("%s could not be looked at", row.id)
        return None

    def _respond(
        self,
        workspace: Workspace,
        triggers: Mapping[str, Trigger],
        judgement: Judgement,
        asked: list[Request],
        ladders: Ladders,
    ) -> None:
        set_off = [request for request in asked if request.kind == "set_off"]
        for firing in judgement.due:
            try:
                changed = respond(workspace, firing, _why(firing, judgement, set_off), ladders)
            except LedgerUnavailable:
                raise
            except ChrysalisError as error:
                log().error(
                    "%s: the response to %s failed and is tried again: %s", workspace.rollout.id, firing.trigger, error
                )
                continue
            judgement.having_made(firing)
            if changed is not None and triggers[firing.trigger].recover is not None:
                kept = judgement.states.get(CHANGED, {})
                judgement.states[CHANGED] = remember(kept, firing.trigger, changed)
            for request in set_off:
                if request.arguments.get("trigger") == firing.trigger:
                    self.ledger.settle_request(request.id, f"answered: {firing.response.kind}", now=utc_now(), by="watch")

    def _note_blindness(self, workspace: Workspace, blind: str) -> None:
        """A source that cannot be asked never rolls back and never promotes; it pages once when it lasts."""
        rollout_id = workspace.rollout.id
        if not blind:
            self._blind_since.pop(rollout_id, None)
            if rollout_id in self._blind_paged:
                self._note_sight(workspace)
            return
        self._seeing_since.pop(rollout_id, None)
        since_s = self._blind_since.setdefault(rollout_id, self._steady_s)
        if self._steady_s - since_s >= self.blind_pages_after.total_seconds() and rollout_id not in self._blind_paged:
            self._blind_paged.add(rollout_id)
            holds = f"{blind}; it holds at {workspace.rollout.weight_percent or 0} %"
            tell(workspace, "page", "cannot be watched", holds, cause="blind")

    def _note_sight(self, workspace: Workspace) -> None:
        """Say that it is over once it has been over for as long as it took to page: a source that flutters pages once."""
        rollout_id = workspace.rollout.id
        since_s = self._seeing_since.setdefault(rollout_id, self._steady_s)
        if self._steady_s - since_s >= self.blind_pages_after.total_seconds():
            self._blind_paged.discard(rollout_id)
            self._seeing_since.pop(rollout_id, None)
            tell(workspace, "info", "is watched again", f"at {workspace.rollout.weight_percent or 0} %")

    def _settle_waits(self, looks: list[Look], now: datetime, passed_s: float) -> None:
        ticks: list[Tick] = []
        counted, self._counted = self._counted, frozenset(wait.id for look in looks for wait in look.guarded.waits)
        for look in looks:
            for wait in look.guarded.waits:
                glance = Glance(look.workspace, wait, look.blind, now)
                since = None if self._last_tick is None else passed_s
                watched_s = counted_s(wait, since, now, self._most_gap_s, known=wait.id in counted)
                tick = settle(self.ledger, glance, watched_s)
                if tick is not None:
                    ticks.append(tick)
        if ticks:
            self.ledger.tick_waits(ticks, now, lease=self.lease)

    def _wake_due(self, asked: tuple[Request, ...], now: datetime) -> None:
        """Have every run go on that has something to do and sleeps, or whose process is gone."""
        waits = self.ledger.open_waits()
        for rollout in self.ledger.active():
            mine = [request for request in asked if request.rollout_id == rollout.id]
            held = [wait for wait in waits if wait.rollout_id == rollout.id]
            nudge = self._nudge(rollout, mine, held, now)
            last_s = self._woken.get(rollout.id)
            if nudge is None or rollout.flow_run_id is None:
                continue
            pause = WAKE_AGAIN_AFTER if nudge.asleep else LOOK_AFTER
            if last_s is not None and self._steady_s - last_s < pause.total_seconds():
                continue
            self._woken[rollout.id] = self._steady_s
            self._waker.submit(self._wake, rollout.id, rollout.flow_run_id, nudge)

    def _nudge(self, rollout: Rollout, asked: list[Request], waits: list[Wait], now: datetime) -> Nudge | None:
        sign = self._last_sign(rollout)
        silence = self._signs.silence(rollout.id, sign, now=now, steady_s=self._steady_s)
        if rollout.state in ("pending", "running", "rolling_back"):
            if silence > DEAD_AFTER:
                return Nudge("its process is gone", gone=True, cancelled=rollout.state == "rolling_back")
            return Nudge("its process ended", asleep=False) if silence > SILENT_AFTER else None
        back = next((request for request in asked if request.kind in GOING_BACK), None)
        if back is not None and rollout.state != "stuck":
            return Nudge(f"{back.kind} by {back.by}: {back.reason}", gone=silence > DEAD_AFTER, cancelled=True)
        if rollout.state == "waiting" and not waits and not any(request.kind == "pause" for request in asked):
            return Nudge("the wait is over", gone=silence > DEAD_AFTER)
        return Nudge("its process ended", asleep=False, gone=True) if silence > DEAD_AFTER else None

    def _last_sign(self, rollout: Rollout) -> datetime:
        """When the rollout's process last showed that it is alive; at rest it shows nothing."""
        lease = self.ledger.lease(f"rollout:{rollout.id}")
        if lease is None:
            return rollout.updated_at
        return max(rollout.updated_at, lease.expires_at - timedelta(seconds=LEASE_S))

    def _wake(self, rollout_id: str, flow_run_id: str, nudge: Nudge) -> None:
        try:
            if self.wake(flow_run_id, nudge):
                log().info("woke %s: %s", rollout_id, nudge.note)
        except RunCancelled as error:
            ask(rollout_id, "pause", by="watch", reason=f"{error}; `chrysalis resume {rollout_id}` goes on")
        except ChrysalisError as error:
            log().warning("%s could not be woken, tried again: %s", rollout_id, error)


def _why(firing: Firing, judgement: Judgement, set_off: list[Request]) -> str:
    """What was found, or who set a manual trigger off and why."""
    by_hand = [request for request in set_off if request.arguments.get("trigger") == firing.trigger]
    if by_hand:
        return f"set off by {by_hand[0].by}: {by_hand[0].reason}"
    return judgement.findings[firing.trigger].reason
