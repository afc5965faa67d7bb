"""From the text of any YAML file of ours to a frozen model, every error with file, line and column."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chrysalis.errors import PlanError
from chrysalis.plan.document import Place, place_of, plain, read_document, shown
from chrysalis.plan.finding import Found
from chrysalis.plan.load import Problem

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_model(
    model: type[ModelT], text: str, file: str, problems_in: Callable[[ModelT], Iterable[Found]] = lambda _: ()
) -> ModelT:
    """Check a text; `file` is what messages call it, `problems_in` what no type can say.

    Raises PlanError with all problems, a line each.
    """
    document = read_document(text)
    if isinstance(document, list):
        raise _refused(file, ((one.place, one.message) for one in document))
    try:
        made = model.model_validate(plain(document))
    except ValidationError as error:
        wrong = [one for one in error.errors(include_url=False) if not (one["type"] == "too_short" and one["input"])]
        raise _refused(file, ((place_of(document, one["loc"]), _said(one)) for one in wrong)) from None
    if found := list(problems_in(made)):
        raise _refused(file, ((place_of(document, at), message) for at, message in found))
    return made


def _said(details: ErrorDetails) -> str:
    name = repr(details["loc"][-1]) if details["loc"] else "the file"
    if details["type"] == "missing":
        return f"{name} is missing"
    if details["type"] == "extra_forbidden":
        return f"unknown field {name}"
    expected = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"found {shown(details['input'])}, expected: {expected[:1].lower()}{expected[1:]}"


def _refused(file: str, found: Iterable[tuple[Place, str]]) -> PlanError:
    problems = {Problem(file, place.line, place.column, place.path, message) for place, message in found}
    return PlanError("\n".join(str(one) for one in sorted(problems, key=lambda one: (one.line, one.column, one.message))))
