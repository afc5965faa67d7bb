"""What the watch keeps in memory of each rollout it guards, so that a tick asks the ledger once and not once per rollout.

A post is made from the ledger when the watch first sees a rollout, and again when its guard was armed anew; from then on
the states of its triggers live here, and the ledger has a copy for whoever takes over. Whoever judges or answers a post's
triggers holds its lock; the two paces of the watch never wait for each other, they leave a busy post to the next look.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chrysalis.errors import ChrysalisError, LedgerUnavailable
from chrysalis.ledger import Guarded, Ledger, Request
from chrysalis.plan.parts import EnvoySource
from gates.trigger import Trigger
from gates.verdict import Finding
from tasks.judging import Judgement, States, armed
from tasks.step import log
from tasks.workspace import Workspace, plan_of, settings

OPENING_S = 0.5
"""How long a tick may spend on reading plans it has not seen yet; the rest follows at the next ticks. A large plan takes
0.1 s, and those that are guarded already must not wait for those that come."""


@dataclass
class Post:
    """One rollout under guard. `fast` are the triggers that the router's own counters decide, `slow` all others."""

    guarded: Guarded
    workspace: Workspace
    states: States
    fast: Mapping[str, Trigger] = field(default_factory=dict)
    slow: Mapping[str, Trigger] = field(default_factory=dict)
    asked: tuple[Request, ...] = ()
    """What people and the watch asked of the rollout, as of the last tick."""
    findings: dict[str, Finding] = field(default_factory=dict)
    unsaved: bool = False
    """Whether the ledger's copy of the states is behind in anything that matters."""
    looked_fast_at: datetime | None = None
    blind_fast: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def id(self) -> str:
        return self.guarded.rollout.id

    def take(self, judgement: Judgement) -> None:
        """Keep what was judged."""
        self.states = judgement.states
        self.findings.update(judgement.findings)
        self.unsaved = self.unsaved or judgement.moved

    def update(self, guarded: Guarded, workspace: Workspace) -> None:
        """Take over the ledger's newest row, and the triggers that are watched in its phase."""
        before = self.guarded
        self.guarded, self.workspace = guarded, workspace
        if (before.rollout.phase, before.triggers) != (guarded.rollout.phase, guarded.triggers):
            self.sort_triggers()

    def sort_triggers(self) -> None:
        """Tell those that the router's counters decide from all others."""
        plan = self.workspace.plan
        counted = {name for name, source in plan.sources.items() if isinstance(source, EnvoySource)}
        quick = {name for name, metric in plan.metrics.items() if metric.source in counted}
        triggers = armed(self.workspace, self.guarded)
        self.fast = {
            name: trigger
            for name, trigger in triggers.items()
            if trigger.when is not None and {need.selector.metric for need in trigger.needs()} <= quick
        }
        self.slow = {name: trigger for name, trigger in triggers.items() if name not in self.fast}


class Roster:
    """The posts of one watch, by rollout."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._posts: dict[str, Post] = {}
        self._variables: Mapping[str, str] = {}

    @property
    def posts(self) -> Sequence[Post]:
        """All of them, as of the last tick."""
        return list(self._posts.values())

    def forget(self) -> None:
        """Start from the ledger again: another watch may have acted meanwhile."""
        self._posts = {}

    def adopt(self, states: Mapping[str, States]) -> None:
        """Go on from how far the triggers came while the ledger was out of reach and somebody else looked."""
        for rollout_id, newer in states.items():
            if (post := self._posts.get(rollout_id)) is not None:
                with post.lock:
                    post.states = newer

    def refresh(self, guarded: Iterable[Guarded], asked: Mapping[str, tuple[Request, ...]]) -> list[Post]:
        """Bring the posts up to what the ledger says now. Raises LedgerUnavailable; a rollout that cannot be read is
        reported and has no post."""
        variables = settings().variables()
        anew = variables != self._variables
        self._variables = variables
        kept: dict[str, Post] = {}
        ends = time.monotonic() + OPENING_S
        for one in guarded:
            post = self._posts.get(one.rollout.id)
            if post is None or post.guarded.armed_at != one.armed_at or anew:
                post = self._opened(one, post) if time.monotonic() < ends else None
            elif post.lock.acquire(blocking=False):
                try:
                    post.update(one, post.workspace if post.guarded.rollout == one.rollout else self._workspace(one))
                finally:
                    post.lock.release()
            if post is not None:
                post.asked = asked.get(one.rollout.id, ())
                kept[one.rollout.id] = post
        self._posts = kept
        return list(kept.values())

    def _opened(self, guarded: Guarded, before: Post | None) -> Post | None:
        try:
            same = before is not None and before.guarded.armed_at == guarded.armed_at
            states = before.states if before is not None and same else States.from_json(guarded.trigger_states)
            post = Post(guarded, self._workspace(guarded), states, unsaved=same)
            post.sort_triggers()
        except LedgerUnavailable:
            raise
        except ChrysalisError as error:
            log().error("%s cannot be watched: %s", guarded.rollout.id, error)
            return None
        except Exception:
            # A fault of ours in one rollout must not blind the watch for all the others.
            log().exception("%s cannot be watched", guarded.rollout.id)
            return None
        return post

    def _workspace(self, guarded: Guarded) -> Workspace:
        row = guarded.rollout
        return Workspace(self._ledger, row, row.token, plan_of(row.id), settings(), environment=self._variables)
