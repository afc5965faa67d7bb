"""What every kind of step has in common."""

from pydantic import Field

from gates.condition import Spec


class Step(Spec):
    """What every step has. `note` is shown to people; `environment` names where it runs when not in production.

    `irreversible: true` says that nothing takes the step back: a sign-off with `point_of_no_return` must stand before it.
    """

    name: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_-]*$")
    note: str = ""
    environment: str | None = None
    irreversible: bool = False
