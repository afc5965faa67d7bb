"""The form that a person fills to resume a sign-off, as the Prefect UI shows it."""

from typing import Annotated, Any, Literal, cast

from prefect.input import RunInput
from pydantic import Field, create_model

from chrysalis.plan.steps import SignOff
from tasks.approve import form_text
from tasks.workspace import Workspace

Decision = Annotated[
    Literal["approve", "reject", "not yet"],
    Field(description="approve: it goes on. reject: it goes back and ends. not yet: it keeps waiting."),
]
Comment = Annotated[str, Field(description="Why; it stays in the record", max_length=2000)]


def sign_off_form(rollout_id: str, step_id: str, refused: str) -> Any:
    """The form of one sign-off; what the signer signs for stands in its description.

    No field is filled in beforehand: Resume pressed with nothing entered is refused by the server, with the reason.
    """
    workspace = Workspace.open(rollout_id, 0)
    planned = workspace.plan.step(step_id)
    spec = cast(SignOff, planned.spec)
    rule = workspace.plan.sign_offs[spec.rule]
    may = sorted(name for name, person in workspace.plan.people.items() if set(person.roles) & set(rule.roles))
    approver = Annotated[str, Field(description=f"Your name. Who may sign: {', '.join(may)}", min_length=1, max_length=100)]
    form = create_model(
        "SignOffForm",
        __base__=RunInput,
        decision=(Decision, ...),
        approver=(approver, ...),
        comment=(Comment, ""),
    )
    return form.with_initial_data(description=form_text(workspace, planned, spec, refused))
