"""Changes to how people are known: enrolling for one-time codes, and standing in for each other. Each is in the audit."""

from datetime import datetime

from chrysalis.clock import utc_now
from chrysalis.errors import NotAllowed, SettingsError
from chrysalis.ledger import Delegation
from chrysalis.people import People, codes, load_people
from tasks.permission import require_change_of_people
from tasks.workspace import open_ledger, settings


def all_people() -> People:
    """The people of the people file. Raises SettingsError where there is none, PlanError when it is wrong."""
    file = settings().people_file
    if file is None:
        raise SettingsError(
            f"there is no people file; write {settings().plans / 'people.yaml'} or name one in CHRYSALIS_PEOPLE"
        )
    return load_people(file)


def enrol(person: str, secret: str, *, by: str) -> None:
    """Keep the secret that the person's authenticator was given, sealed. Raises NotAllowed, SettingsError."""
    people = all_people()
    _require_known(people, person)
    require_change_of_people(people, by, person)
    key = codes.read_key(settings().key_file, make=True)
    open_ledger().enrol(person, codes.seal(key, person, secret), by=by, now=utc_now())


def unenrol(person: str, *, by: str) -> None:
    """Forget it; no code of theirs counts any more. Raises NotAllowed, LedgerError."""
    require_change_of_people(all_people(), by, person)
    open_ledger().unenrol(person, by=by, now=utc_now())


def unlock(person: str, *, by: str) -> None:
    """Have codes looked at again after too many wrong ones. Raises NotAllowed."""
    people = all_people()
    _require_known(people, person)
    require_change_of_people(people, by, person)
    open_ledger().unlock(person, by=by, now=utc_now())


def delegate(giver: str, taker: str, *, until: datetime, reason: str, by: str) -> Delegation:
    """Have `taker` sign for `giver` until then; a delegation is not handed on. Raises NotAllowed, LedgerError."""
    people = all_people()
    _require_known(people, giver)
    _require_known(people, taker)
    if giver == taker:
        raise NotAllowed(f"{giver} signs for themselves anyway; name somebody else")
    require_change_of_people(people, by, giver)
    return open_ledger().delegate(giver, taker, until=until, reason=reason, by=by, now=utc_now())


def revoke(delegation_id: int, *, by: str) -> Delegation:
    """Take a delegation back before its time is over. Raises NotAllowed, LedgerError."""
    require_change_of_people(all_people(), by, f"delegation {delegation_id}")
    return open_ledger().end_delegation(delegation_id, by=by, now=utc_now())


def _require_known(people: People, person: str) -> None:
    if person not in people.people:
        raise NotAllowed(f"{person!r} is not in the people file; those in it are: {', '.join(sorted(people.people))}")
