"""The watch's answers: what a judgement found due is made, beside the tick or the fast look that found it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable
from chrysalis.ledger import Lease, Ledger, Request
from gates.response import Firing
from tasks.judging import Judgement, States
from tasks.ladders import SET_MODE, Ladders
from tasks.responses import respond
from tasks.roster import Post
from tasks.step import log
from tasks.triggers import SET_OFF
from tasks.values import put_back, remember
from tasks.workspace import Measured

HANDS = 8
"""Responses made at the same time."""
GIVE_WAY_S = 0.5
"""How long a tick holds its breath, at most, while a fast look has something made safe."""


@dataclass
class Answers:
    """Those of one watch. `lease`: the one that it holds now."""

    ledger: Ledger
    lease: Callable[[], Lease | None]
    most_gap_s: float
    """Real seconds; more than this between two looks was not watched."""
    _hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(HANDS, thread_name_prefix="respond"))
    _calm: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._calm.set()

    def make(self, post: Post, judgement: Judgement, measured: Measured | None = None) -> Future[None]:
        """Make what is due, under the post's lock, which the caller has taken and which is given back when it is made.
        `measured` is there at a tick, when values are put back and ladders are moved as well."""
        if measured is None:
            self._calm.clear()
        return self._hands.submit(self._make, post, judgement, measured)

    def give_way(self) -> None:
        """Leave the interpreter to an answer of a fast look, once, and not to one that hangs."""
        if not self._calm.is_set():
            self._calm.wait(GIVE_WAY_S)
            self._calm.set()

    def close(self) -> None:
        """Make what was begun, and nothing more."""
        self._hands.shutdown()

    def _make(self, post: Post, judgement: Judgement, measured: Measured | None) -> None:
        before = post.states
        try:
            ladders = Ladders.of(post.workspace, before.as_json(), judgement.now_s)
            self._respond(post, judgement, ladders)
            if measured is not None:
                self._settle_values(post, ladders, measured)
        except ChrysalisError as error:
            log().error("%s: %s", post.id, error)
        except Exception:
            log().exception("%s: the response failed and is tried again", post.id)
        finally:
            try:
                self._keep(post, before)
            finally:
                post.lock.release()
                if measured is None:
                    self._calm.set()

    def _keep(self, post: Post, before: States) -> None:
        """Save at once what was done, so that a watch that takes over does not do it again."""
        if post.states == before:
            return
        post.unsaved = True
        if post.guarded.armed_at is not None:
            try:
                self.ledger.save_trigger_states({post.id: post.states.as_json()}, utc_now(), lease=self.lease())
                post.unsaved = False
            except ChrysalisError as error:
                log().error("%s: what was done is saved at the next tick: %s", post.id, error)

    def _respond(self, post: Post, judgement: Judgement, ladders: Ladders) -> None:
        set_off = [request for request in post.asked if request.kind == SET_OFF]
        triggers = {**post.slow, **post.fast}
        for firing in judgement.due:
            try:
                changed = respond(post.workspace, firing, _why(firing, post, set_off), ladders)
            except LedgerUnavailable:
                raise
            except ChrysalisError as error:
                log().error("%s: the response to %s failed and is tried again: %s", post.id, firing.trigger, error)
                continue
            post.states = replace(judgement.having_made(post.states, firing), ladders=ladders.as_json())
            if changed is not None and triggers[firing.trigger].recover is not None:
                post.states = replace(post.states, changed=remember(post.states.changed, firing.trigger, changed))
            for request in set_off:
                if request.arguments.get("trigger") == firing.trigger:
                    self.ledger.settle_request(request.id, f"answered: {firing.response.kind}", now=utc_now(), by="watch")

    def _settle_values(self, post: Post, ladders: Ladders, measured: Measured) -> None:
        """Put back what was changed for triggers that have recovered, and move the ladders."""
        if post.states.changed:
            triggers = {**post.slow, **post.fast}
            left = put_back(post.workspace, triggers, post.states.as_json(), post.states.changed)
            post.states = replace(post.states, changed=left)
        if post.guarded.armed_at is not None and post.workspace.plan.ladders:
            ladders.look(measured, self.most_gap_s * post.workspace.clock.speed)
            ladders.answer([request for request in post.asked if request.kind == SET_MODE])
            post.states = replace(post.states, ladders=ladders.as_json())


def _why(firing: Firing, post: Post, set_off: list[Request]) -> str:
    """What was found, or who set a manual trigger off and why."""
    by_hand = [request for request in set_off if request.arguments.get("trigger") == firing.trigger]
    if by_hand:
        return f"set off by {by_hand[0].by}: {by_hand[0].reason}"
    return post.findings[firing.trigger].reason
