"""What stands in for the ledger while it is out of reach, and how what was done then is written down afterwards."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, cast
from uuid import uuid4

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerError, LedgerUnavailable
from chrysalis.ledger import Baseline, Ledger
from chrysalis.targets.base import Stamp
from tasks.late_pages import PAGED, open_page
from tasks.lifecycle import take_over
from tasks.rolling_back import ask
from tasks.spool import Spool, Spooled
from tasks.step import log
from tasks.values import ACTOR
from tasks.workspace import FROM_MEMORY, Workspace, written_from_memory


@dataclass
class Recollection:
    """Stands in for the ledger: what can be answered from memory is, what is to be recorded goes to the spool."""

    kept: tuple[Baseline, ...]
    spool: Spool
    unwritten: list[Spooled]
    """What the spool could not take either."""
    split_at: datetime | None = None
    """When the weight was last changed, by what the ledger said or from memory."""
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

    def split_at(self) -> datetime | None:
        return cast(Recollection, self.ledger).split_at


def write_down(ledger: Ledger, entry: Spooled) -> None:
    """Write down an action that was taken from memory, make its stamp the ledger's own, and ask for what follows; or open a
    page that the ledger could not take."""
    if entry.action == PAGED:
        open_page(ledger, entry)
        return
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
