"""A way back that was asked for and does not get through: the watch itself tries to take the traffic off until it is.

The rollout's own run goes back, too, but a try of it costs a process start. Here a try costs nothing, needs no Prefect, and
the tries are at most `TRY_EVERY_S` apart, beside the ticks, so that a router that answers nothing holds up no other look.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, SickerSide, StaleToken
from chrysalis.ledger import Request
from tasks.chosen_rollback import plan_rollback
from tasks.healthier import require_healthier
from tasks.notify import tell
from tasks.rolling_back import PAGE_EVERY_TRIES
from tasks.safety import make_safe
from tasks.step import log
from tasks.workspace import Workspace

TRY_EVERY_S = 5.0
HANDS = 4


@dataclass
class _Effort:
    """What was tried for the requests of one rollout."""

    asked: frozenset[int]
    last_s: float
    tries: int = 0
    safe: bool = False
    under_way: bool = False


@dataclass
class Insistence:
    """The tries of one watch. The first comes `TRY_EVERY_S` after the request was seen: until then others are at it."""

    _efforts: dict[str, _Effort] = field(default_factory=dict)
    _hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(HANDS, thread_name_prefix="insist"))

    def look(self, workspace: Workspace, back: Sequence[Request]) -> None:
        """Try again if it is time. `back` are the ways back that were asked for and are not settled."""
        rollout_id, asked = workspace.rollout.id, frozenset(request.id for request in back)
        effort = self._efforts.get(rollout_id)
        if not asked:
            self._efforts.pop(rollout_id, None)
            return
        if effort is None or effort.asked != asked:
            self._efforts[rollout_id] = _Effort(asked, time.monotonic())
            return
        if effort.safe or effort.under_way or time.monotonic() - effort.last_s < TRY_EVERY_S:
            return
        effort.last_s, effort.under_way = time.monotonic(), True
        self._hands.submit(self._try, workspace, tuple(back), effort)

    def close(self) -> None:
        """No more tries."""
        self._hands.shutdown(cancel_futures=True)

    def _try(self, workspace: Workspace, back: Sequence[Request], effort: _Effort) -> None:
        rollout_id, cause = workspace.rollout.id, f"{back[0].reason} (asked by {back[0].by})"
        try:
            if workspace.rollout.weight_percent and not any(request.arguments.get("force") for request in back):
                require_healthier(workspace, utc_now())
            make_safe(workspace, _percent(workspace, back), actor="watch", cause=cause)
            effort.safe = True
            if effort.tries >= PAGE_EVERY_TRIES:
                tell(workspace, "info", "the traffic is off the canary", f"after {effort.tries} tries: {cause}")
        except (StaleToken, SickerSide) as error:
            log().warning("%s: %s", rollout_id, error)
        except ChrysalisError as error:
            effort.tries += 1
            log().error("%s: try %d to take the traffic off failed: %s", rollout_id, effort.tries, error)
            if effort.tries % PAGE_EVERY_TRIES == 0:
                body = f"{error}; tried again every {TRY_EVERY_S:.0f} s"
                tell(workspace, "page", f"the traffic does not come off the canary after {effort.tries} tries", body)
        except Exception:
            log().exception("%s: the traffic could not be taken off", rollout_id)
        finally:
            effort.under_way = False


def _percent(workspace: Workspace, back: Sequence[Request]) -> int:
    """The lowest weight that any of them asks for."""
    own = plan_rollback(workspace).weight
    wanted = [0 if request.kind == "abort" else int(request.arguments.get("to_percent") or own) for request in back]
    return min(wanted)
