"""Whether those who must sign can: enough people hold the roles, also when one of them started the rollout.

One person signs in one role only, so a rule by roles needs a person for each of them: a matching of roles to people, found
by augmenting paths. Who starts a rollout may not sign it unless the rule says so; a plan that none of its people could
start without leaving too few to sign is wrong. (CI may start it, but then the first person who has to would be stuck.)
"""

from collections.abc import Iterator, Mapping, Sequence

from chrysalis.plan.document import Location
from chrysalis.plan.finding import Found, unknown
from chrysalis.plan.model import Plan
from chrysalis.plan.parts import SignOffRule

Holders = Mapping[str, frozenset[str]]


def people_problems(plan: Plan) -> Iterator[Found]:
    """What is wrong with sign-off rules as such, and with the plan's own people where it lists any."""
    for name, rule in plan.sign_offs.items():
        yield from _reminder(("sign_offs", name), rule)
    if plan.people:
        yield from unsignable(plan, {name: frozenset(person.roles) for name, person in plan.people.items()})


def unsignable(plan: Plan, people: Mapping[str, frozenset[str]]) -> Iterator[Found]:
    """Sign-off rules that these people (name to roles) can never fulfil, or not whoever is left when one starts it."""
    for name in plan.people:
        if name not in people:
            yield ("people", name), unknown("person of the people file", name, people)
    roles = {role for held in people.values() for role in held}
    holders = {role: frozenset(name for name, held in people.items() if role in held) for role in roles}
    for name, rule in plan.sign_offs.items():
        at: Location = ("sign_offs", name)
        missing = [index for index, role in enumerate(rule.roles) if role not in holders]
        for index in missing:
            yield (*at, "roles", index), unknown("role (held by one of people)", rule.roles[index], holders)
        if not missing:
            yield from _enough(at, rule, holders, sorted(people))


def _reminder(at: Location, rule: SignOffRule) -> Iterator[Found]:
    for field in ("within", "remind"):
        span = getattr(rule, field)
        if span is not None and span.total_seconds() <= 0:
            yield (*at, field), "found 0s, expected a time above 0s"
    if rule.remind is not None and rule.within is not None and rule.remind >= rule.within:
        yield (*at, "remind"), "expected a reminder before the time is over (`within`)"


def _enough(at: Location, rule: SignOffRule, holders: Holders, people: Sequence[str]) -> Iterator[Found]:
    field = "roles" if rule.quorum is None else "quorum"
    if short := _lacks(rule, holders, without=None):
        yield (*at, field), short
    elif (
        not rule.starter_may_sign
        and (stuck := [_lacks(rule, holders, without=starter) for starter in people])
        and all(stuck)
    ):
        mend = "list a person who may start it, or write starter_may_sign: true"
        yield (*at, field), f"whoever of people starts the rollout may not sign, if {people[0]} does: {stuck[0]}; {mend}"


def _lacks(rule: SignOffRule, holders: Holders, *, without: str | None) -> str | None:
    """What a rule lacks when all sign who may, in words; None when it can be fulfilled."""
    left = {role: holders[role] - {without} for role in rule.roles}
    if rule.quorum is None:
        role = _without_signer(left)
        return role and f"found nobody left for {role}, expected a person for each role: one signs for one role only"
    able = sorted(frozenset[str]().union(*left.values()))
    if len(able) >= rule.quorum:
        return None
    return f"found {len(able)} people who hold one of the roles ({', '.join(able) or 'nobody'}) < quorum {rule.quorum}"


def _without_signer(holders: Holders) -> str | None:
    """The first role for which no person is left when each signs for one role."""
    signs_for: dict[str, str] = {}

    def place(role: str, tried: set[str]) -> bool:
        for person in sorted(holders[role]):
            if person in tried:
                continue
            tried.add(person)
            if person not in signs_for or place(signs_for[person], tried):
                signs_for[person] = role
                return True
        return False

    return next((role for role in holders if not place(role, set())), None)
