"""People, the roles they hold, and what a role may do. Frozen once read; nothing in it is secret.

`people.yaml` says who people are. A plan names roles only; where it lists `people` of its own, it gives roles for that plan.
Where there is no people file a plan's own people are all there are, and everybody may do everything but sign.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from chrysalis.plan import Plan
from chrysalis.plan.parts import Name, Proof
from gates.condition import Spec

Permission = Literal[
    "start", "approve", "roll_back", "abort", "pause", "operate", "measure", "attest", "acknowledge", "change_people"
]
"""`pause` is also to resume; `operate` to run a plan's operations and set off its manual triggers."""
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
BY_RULE: frozenset[Permission] = frozenset({"approve", "attest", "acknowledge"})
"""What a role may do that the file says nothing of: only what a plan, a checklist or a notice asks it for by name."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Person(Spec):
    """Somebody who may act, by the name they act under. `ssh` holds public keys as `ssh-ed25519 AAAA… comment`.

    `contact` holds addresses: mail, or `${VARIABLE}` for what is a secret, as a notifier's token is.
    """

    name: str = Field(default="", max_length=200, description="as people call them")
    roles: tuple[Name, ...] = ()
    contact: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    ssh: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()


class Role(Spec):
    """What those who hold the role may do, and nothing else."""

    may: tuple[Permission, ...]


class People(Spec):
    """All people of one installation. `everyone` is granted to whoever gets as far as to ask, listed or not."""

    people: dict[Name, Person]
    roles: dict[Name, Role] = Field(default_factory=dict)
    everyone: tuple[Permission, ...] = ()
    proof: Proof = Field(default="any", description="how a signer proves who they are, where a sign-off rule says nothing")

    @classmethod
    def of_plan(cls, plan: Plan) -> "People":
        """The people of a plan where there is no people file: everybody may do everything, and nothing is proven."""
        listed = {name: Person(roles=one.roles, contact=_contact(one.contact)) for name, one in plan.people.items()}
        return cls(people=listed, everyone=PERMISSIONS, proof="none")

    def for_plan(self, plan: Plan) -> "People":
        """With the roles that the plan gives to people of this file; whom the file does not know stays unknown."""
        given = {name: one.roles for name, one in plan.people.items()}
        people = {
            name: person.model_copy(update={"roles": tuple(dict.fromkeys((*person.roles, *given.get(name, ()))))})
            for name, person in self.people.items()
        }
        return self.model_copy(update={"people": people})

    def holders(self, role: str) -> tuple[str, ...]:
        """The names of those who hold the role, sorted."""
        return tuple(sorted(name for name, person in self.people.items() if role in person.roles))

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles that somebody holds; none for a stranger."""
        return self.people[name].roles if name in self.people else ()

    def may(self, name: str, permission: Permission) -> bool:
        """Whether somebody may do this, in any of their roles."""
        return permission in self.everyone or any(self.role_may(role, permission) for role in self.roles_of(name))

    def role_may(self, role: str, permission: Permission) -> bool:
        """Whether the role may do this; a role that the file does not describe may do what it is named for (BY_RULE)."""
        described = self.roles.get(role)
        return permission in (BY_RULE if described is None else described.may) or permission in self.everyone

    def able(self, permission: Permission) -> tuple[str, ...]:
        """The names of all who may do this by a role of theirs, sorted."""
        return tuple(
            sorted(
                name for name, person in self.people.items() if any(self.role_may(one, permission) for one in person.roles)
            )
        )

    def signers(self) -> Mapping[str, frozenset[str]]:
        """Name to the roles in which they may sign."""
        return {
            name: frozenset(role for role in person.roles if self.role_may(role, "approve"))
            for name, person in self.people.items()
        }


def _contact(text: str) -> tuple[str, ...]:
    return (text,) if text else ()
