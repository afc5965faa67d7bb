"""The journal and the requests, handed to the pure decision, and its answer."""

from chrysalis.ledger import JournalEntry, Ledger, Request
from chrysalis.plan import Plan
from gates.progress import Action, Entry, Event, Stop, Wish, next_action
from tasks.workspace import open_ledger, plan_of

ASKED = frozenset({"roll_back", "abort", "pause"})


def decide(rollout_id: str) -> Action:
    """What the rollout does next."""
    ledger = open_ledger()
    return next_action(stops(plan_of(rollout_id)), entries(ledger, rollout_id), wishes(ledger, rollout_id))


def stops(plan: Plan) -> tuple[Stop, ...]:
    """The plan's steps, as decisions see them."""
    return tuple(Stop(step.id, step.phase) for step in plan.itinerary)


def entries(ledger: Ledger, rollout_id: str) -> tuple[Entry, ...]:
    """The journal, as decisions see it."""
    return tuple(_entry(entry) for entry in ledger.journal(rollout_id))


def wishes(ledger: Ledger, rollout_id: str) -> tuple[Wish, ...]:
    """The requests that are not settled, as decisions see them."""
    return tuple(_wish(request) for request in ledger.open_requests(rollout_id) if request.kind in ASKED)


def _entry(entry: JournalEntry) -> Entry:
    said = entry.detail.get("reason") or entry.detail.get("summary") or ""
    return Entry(entry.step_id, Event(entry.event), str(said), bool(entry.detail.get("rejected")))


def _wish(request: Request) -> Wish:
    to_percent = request.arguments.get("to_percent")
    return Wish(request.kind, request.by, request.reason, None if to_percent is None else int(to_percent))
