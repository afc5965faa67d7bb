"""Whether a person may do what they ask for; a refusal is in the audit. The watch and the flows ask nobody."""

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed
from chrysalis.people import People, Permission
from chrysalis.people.load import OURS
from chrysalis.plan import Plan
from tasks.workspace import open_ledger, people_of, plan_of

_WORDS: dict[Permission, str] = {"roll_back": "roll back", "change_people": "change people"}
LONGEST_NAME = 100


def require(permission: Permission, by: str, rollout_id: str) -> None:
    """Raises NotAllowed, and records it, unless `by` may do this to the rollout. Raises UnknownRollout, PlanError."""
    open_ledger().get(rollout_id)
    _require(people_of(plan_of(rollout_id)), permission, by, rollout_id)


def require_for_plan(permission: Permission, by: str, plan: Plan) -> None:
    """The same for a plan of which there is no rollout yet."""
    _require(people_of(plan), permission, by, plan.name)


def require_change_of_people(people: People, by: str, person: str) -> None:
    """Raises NotAllowed, and records it, unless `by` may change who `person` is known by."""
    _require(people, "change_people", by, person)


def _require(people: People, permission: Permission, by: str, subject: str) -> None:
    if by not in OURS and len(by) <= LONGEST_NAME and people.may(by, permission):
        return
    word = _WORDS.get(permission, permission)
    able = people.able(permission)
    why = f"{by[:LONGEST_NAME]!r} may not {word} {subject}"
    if by in OURS:
        why += ": it is a name of the machinery itself; say who you are"
    else:
        why += f"; who may: {', '.join(able) or 'nobody: see `roles` of the people file'}"
    open_ledger().record_refusal(by[:LONGEST_NAME], permission, subject, {"why": why}, now=utc_now())
    raise NotAllowed(why)
