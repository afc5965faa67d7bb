"""The watch's eyes and hands: one look at every rollout, and the first, safe action where one is due.

A tick reads all active rollouts in one query, measures what all of them need with each source asked once, judges with
`gates/`, and then, in this order: acts, records, counts the soaks, wakes the rollouts that can go on, and says that it is
alive. It needs the ledger, the metrics and the targets; Prefect is needed only to wake, so a breach is made safe while
Prefect's server is down.

Triggers that the router's own counters decide are looked at between the ticks (`look_fast`), from memory: a look asks the
router and nobody else, so that a breach there is safe within a few tenths of a second however long a tick takes.

A soak is counted by what was watched: the time since the last tick, at most `MOST_TICKS` intervals of it, and none of it
when a source could not be asked. That time, and every silence, is measured by a steady clock: the wall clock may be set.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable, StaleToken
from chrysalis.ledger import Guarded, Lease, Ledger, Request
from gates.condition import Condition
from gates.trigger import Trigger
from tasks.answers import Answers
from tasks.blindness import PAGES_AFTER, Blindness
from tasks.decided import Decided
from tasks.escalation import Courier
from tasks.insist import Insistence
from tasks.judging import Judgement, States, asked_for, blindness, judge_triggers
from tasks.ladders import asked_for as asked_for_ladders
from tasks.last_known import LastKnown
from tasks.playbooks import Playbooks
from tasks.roster import Post, Roster
from tasks.spool import SPOOL, Spool
from tasks.standby import Standby
from tasks.step import log
from tasks.triggers import SET_OFF
from tasks.waits import Glance, settle_all
from tasks.waking import GOING_BACK, Wake, Waker
from tasks.watched_time import WatchedTime
from tasks.workspace import Measured, Workspace, observe_all, settings

MOST_TICKS = 10
"""A gap of more ticks than this was not watched, however short the tick."""
MOST_GAP_AT_LEAST_S = 2.0
LEASE_NAME = "watch"
LAST_KNOWN = "last-known"
"""In the home folder: what the watch knew before the ledger was out of reach."""
LEASE_TICKS = 20
LEASE_AT_LEAST_S = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one tick saw of one rollout."""

    post: Post
    blind: str
    """Why it could not be watched; empty when it was."""

    @property
    def guarded(self) -> Guarded:
        return self.post.guarded

    @property
    def workspace(self) -> Workspace:
        return self.post.workspace

    @property
    def states(self) -> States:
        return self.post.states


@dataclass
class Sentry:
    """One watch. It acts only while it holds the watch's lease, so that two never act at once."""

    ledger: Ledger
    wake: Wake
    holder: str
    interval_s: float
    blind_pages_after: timedelta = PAGES_AFTER
    lease: Lease | None = None
    begun: InitVar[Standby | None] = None
    """One that was on duty while the ledger could not be opened."""
    standby: Standby = field(init=False)
    """What goes on watching, in a thread of its own (`Standby.on_duty`), while the ledger is out of reach."""
    _insistence: Insistence = field(default_factory=Insistence)
    _time: WatchedTime = field(init=False)
    _answers: Answers = field(init=False)
    _decided: Decided = field(init=False)
    _courier: Courier = field(default_factory=Courier)
    playbooks: Playbooks = field(default_factory=Playbooks)

    def __post_init__(self, begun: Standby | None) -> None:
        self.roster = Roster(self.ledger)
        self.waker = Waker(self.wake)
        self._answers = Answers(self.ledger, lambda: self.lease, self._most_gap_s)
        self._blindness = Blindness(self.blind_pages_after)
        self._time = WatchedTime(self._most_gap_s)
        self._decided = Decided(self.ledger)
        self.standby = begun or standby_here(self.interval_s)

    def tick(self, now: datetime, passed_s: float | None = None) -> int:
        """One look. Returns how many rollouts were looked at; 0 without the lease. Raises LedgerUnavailable.

        `passed_s` is the time since the last tick that raised nothing, by a steady clock; without it, the wall clock's `now`
        is believed.
        """
        self._time.begin(now, passed_s)
        if not self._holds_lease(now):
            self._time.lose()
            self.standby.forget(taken_over=True)
            return 0
        self.roster.adopt(self.standby.hand_over(self.ledger, self.lease, now))
        active = self.ledger.watched()
        asked = _by_rollout(self.ledger.all_open_requests())
        guarded = [one for one in active if one.armed_at is not None or one.waits]
        looks = self._look(self.roster.refresh(guarded, asked), now)
        self._save(now)
        over = self._settle_waits(looks, now)
        self.waker.wake_due(active, asked, over, now, self._time.steady_s)
        self.roster.adopt(self.standby.hand_over(self.ledger, self.lease, now))
        self._courier.go(self.ledger, now)
        self.ledger.beat(LEASE_NAME, detail={"watched": len(guarded), "blind": sorted(self._blindness.since)}, now=now)
        self.standby.remember([look for look in looks if look.guarded.armed_at is not None], self.ledger)
        self._time.end(now)
        return len(guarded)

    def look_fast(self, now: datetime) -> int:
        """Judge what the router's counters decide, and have answers made beside the look. Returns how many rollouts were
        looked at; without a lease that is still valid, none."""
        if self.lease is None or self.lease.expired(now):
            return 0
        posts = [post for post in self.roster.posts if post.fast]
        measured = self._measure([(post.workspace, asked_for(post.fast)) for post in posts], now)
        for post, seen in zip(posts, measured, strict=True):
            if seen is None or not post.lock.acquire(blocking=False):
                continue
            answering: Future[None] | None = None
            try:
                judgement = self._judge(post, post.fast, post.slow, seen, now)
                post.looked_fast_at = now
                post.blind_fast = blindness(post.fast, seen, judgement, exposed=_exposed(post))
                if judgement.due and not _going_back(post):
                    answering = self._answers.make(post, judgement)
            except Exception:
                log().exception("%s could not be looked at", post.id)
            finally:
                if answering is None:
                    post.lock.release()
        return len(posts)

    def close(self) -> None:
        """Give the lease back, so that the next watch need not wait for it."""
        self.standby.forget()
        self._insistence.close()
        self._courier.close()
        self.playbooks.close()
        self._answers.close()
        self.waker.close()
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
                self.lease = None
                self._time.lose()
                self.roster.forget()
        if self.lease is None:
            self.lease = self.ledger.acquire_lease(LEASE_NAME, self.holder, ttl_s=ttl_s, now=now)
        return self.lease is not None

    def _measure(self, wanted: Sequence[tuple[Workspace, Sequence[Condition]]], now: datetime) -> list[Measured | None]:
        """What each of them needs; None for one whose sources cannot be built, which keeps no other from being seen."""
        try:
            return list(observe_all(wanted, now))
        except LedgerUnavailable:
            raise
        except Exception as error:
            if len(wanted) == 1:
                log().error("%s could not be looked at: %s", wanted[0][0].rollout.id, error)
                return [None]
            return [one for each in wanted for one in self._measure([each], now)]

    def _look(self, posts: list[Post], now: datetime) -> list[Look]:
        """Measure and judge all; then make the answers that are due, side by side."""
        measured = self._measure([(post.workspace, [*asked_for(post.slow), *_stepping(post)]) for post in posts], now)
        looks: list[Look] = []
        answering: list[Future[None]] = []
        for post, seen in zip(posts, measured, strict=True):
            self._answers.give_way()
            if seen is None or not post.lock.acquire(blocking=False):
                continue
            answer: Future[None] | None = None
            try:
                judgement = self._judge(post, post.slow, post.fast, seen, now)
                to_do = judgement.due or post.states.changed or post.workspace.plan.ladders
                if to_do and not _going_back(post):
                    answer = self._answers.make(post, judgement, seen)
                    answering.append(answer)
                self.playbooks.look(post.asked)
                self._insistence.look(post.workspace, [one for one in post.asked if one.kind in GOING_BACK])
                blind = blindness(post.slow, seen, judgement, exposed=_exposed(post)) or self._blind_fast(post, now)
                self._blindness.note(post.workspace, blind, self._time.steady_s)
                looks.append(Look(post, blind))
            except ChrysalisError as error:
                log().error("%s could not be looked at: %s", post.id, error)
            except Exception:
                # A fault of ours in one rollout must not blind the watch for all the others.
                log().exception("%s could not be looked at", post.id)
            finally:
                if answer is None:
                    post.lock.release()
        for one in answering:
            one.result()
        return looks

    def _judge(
        self, post: Post, triggers: Mapping[str, Trigger], others: Mapping[str, Trigger], measured: Measured, now: datetime
    ) -> Judgement:
        clock = post.workspace.clock
        judgement = judge_triggers(
            triggers,
            post.states,
            measured,
            workspace=post.workspace,
            now_s=clock.to_plan(now.timestamp()),
            max_gap_s=self._most_gap_s * clock.speed,
            set_off=frozenset(str(one.arguments.get("trigger")) for one in post.asked if one.kind == SET_OFF),
            others=others,
        )
        post.take(judgement)
        return judgement

    def _blind_fast(self, post: Post, now: datetime) -> str:
        """Why the counters were not watched since the last tick; empty when they were, or nothing depends on them."""
        if not post.fast:
            return ""
        if post.looked_fast_at is None or (now - post.looked_fast_at).total_seconds() > self._most_gap_s:
            return f"trigger {next(iter(post.fast))}: the router's counters were not looked at"
        return post.blind_fast

    def _save(self, now: datetime) -> None:
        """Give the ledger its copy of the states that changed in anything that counts."""
        unsaved = [post for post in self.roster.posts if post.unsaved and post.guarded.armed_at is not None]
        for post in unsaved:
            post.unsaved = False
        try:
            self.ledger.save_trigger_states({post.id: post.states.as_json() for post in unsaved}, now, lease=self.lease)
        except ChrysalisError:
            for post in unsaved:
                post.unsaved = True
            raise

    def _settle_waits(self, looks: list[Look], now: datetime) -> set[int]:
        """Count and close; returns the waits that are over."""
        waits = [wait for look in looks for wait in look.guarded.waits]
        seen_by = [Glance(look.workspace, wait, look.blind, now) for look in looks for wait in look.guarded.waits]
        glances = list(zip(seen_by, self._time.counts(waits, now), strict=True))
        ticks, over = settle_all(self.ledger, glances, lambda wanted: self._measure(wanted, now), self._answers.give_way)
        if ticks:
            self.ledger.tick_waits(ticks, now, lease=self.lease)
        return over | self._decided.among(seen_by)


def standby_here(interval_s: float) -> Standby:
    """The one of this home folder."""
    home = settings().home
    return Standby(Spool(home / SPOOL), LastKnown(home / LAST_KNOWN), interval_s)


def _by_rollout(requests: Sequence[Request]) -> dict[str, tuple[Request, ...]]:
    found: dict[str, list[Request]] = {}
    for request in requests:
        found.setdefault(request.rollout_id, []).append(request)
    return {rollout_id: tuple(mine) for rollout_id, mine in found.items()}


def _stepping(post: Post) -> list[Condition]:
    """What the ladders of a guarded rollout look at."""
    return asked_for_ladders(post.workspace.plan) if post.guarded.armed_at is not None else []


def _exposed(post: Post) -> bool:
    """Whether anybody uses the canary."""
    return bool(post.guarded.rollout.weight_percent)


def _going_back(post: Post) -> bool:
    """Whether it is taken back already, or was asked to be."""
    return post.guarded.rollout.state == "rolling_back" or any(one.kind in GOING_BACK for one in post.asked)
