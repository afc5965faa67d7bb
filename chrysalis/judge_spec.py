"""A gate or a trigger out of a YAML file of its own, written as in a plan. Errors are one line with the path in the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chrysalis.errors import PlanError
from chrysalis.plan.load import told
from gates.condition import Spec
from gates.conditions import CONDITIONS, GateSpec
from gates.trigger import Trigger

S = TypeVar("S", bound=Spec)
SHOWN_ERRORS = 3
_EXAMPLE = "write a list such as - threshold: {metric: errors, at_most: 2%}"
_STEP_FIELDS = ("within", "on_fail", "note", "environment")
"""What the step `gate` of a plan says besides its conditions; nothing of it changes the verdict."""


def read_gate(path: Path) -> GateSpec:
    """A list of conditions, `all: [...]`, one condition, or a plan's step `gate:`. Raises PlanError."""
    written = _yaml(path)
    if isinstance(written, Mapping) and set(written) == {"gate"} and isinstance(written["gate"], Mapping):
        written = {key: value for key, value in written["gate"].items() if key not in _STEP_FIELDS}
    if isinstance(written, Mapping) and len(written) == 1 and next(iter(written)) in set(CONDITIONS) - {"all"}:
        written = [written]
    if isinstance(written, Mapping) and "when" in written:
        raise PlanError(f"{path}: is a trigger (when: ...); judge it with `chrysalis judge trigger`")
    if not written or (isinstance(written, Mapping) and "all" in written and not written["all"]):
        raise PlanError(f"{path}: holds no condition, which decides nothing; {_EXAMPLE}")
    return _valid(GateSpec, written, path)


def read_trigger(path: Path) -> Trigger:
    """`{when: ..., for: ..., ...}`, as below a trigger's name in a plan. Raises PlanError, for a manual one as well."""
    written = _yaml(path)
    if isinstance(written, Mapping) and len(written) == 1 and next(iter(written)) in CONDITIONS:
        written = {"when": written}
    if isinstance(written, list) or (isinstance(written, Mapping) and "gate" in written):
        raise PlanError(f"{path}: is a gate; judge it with `chrysalis judge gate`, or write when: a condition")
    if not written:
        raise PlanError(f"{path}: is empty; write when: a condition, and for: 5m")
    trigger = _valid(Trigger, written, path)
    if trigger.manual:
        raise PlanError(f"{path}: the trigger is set off by a person; there is nothing to judge: write when: a condition")
    return trigger


def _yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8 text, expected YAML") from error
    try:
        return YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        said = " ".join(str(part) for part in (error.context, error.problem) if part) or "cannot be read"
        raise PlanError(f"{place}: not YAML: {said.splitlines()[0]}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise PlanError(f"{path}: not YAML: {(str(error) or type(error).__name__).splitlines()[0]}") from error


def _valid(kind: type[S], written: Any, path: Path) -> S:
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        said = [f"{_path(place)}{words}" for place, words in told(error.errors(include_url=False), kind.model_json_schema())]
        more = f"; and {len(said) - SHOWN_ERRORS} more" if len(said) > SHOWN_ERRORS else ""
        raise PlanError(f"{path}: {'; '.join(said[:SHOWN_ERRORS])}{more}") from error


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"{text}: " if text else ""
