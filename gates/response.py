"""What to do about a breach, and which of several responses to make now.

Responses are a ladder, from least to worst: notify, page, throttle, set_value, reduce_weight, switch_off, step_down,
roll_back. Notices (notify, page) are always made. Of the others the worst one due is made, one at a time, so that its
effect can be seen before the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import AliasChoices, Field, model_validator

from gates.condition import Spec
from gates.keyed import keyed_union
from gates.units import Quantity, UnitError

Value = str | float | bool | None


class Response(Spec):
    """The base of all kinds. `severity` orders them; a notice changes nothing in production."""

    kind: ClassVar[str]
    severity: ClassVar[int]
    notice: ClassVar[bool] = False

    @property
    def rank(self) -> tuple[int, float]:
        """Greater is worse; within a kind, what takes more away is worse."""
        return (self.severity, 0.0)


class Notify(Response):
    """Tell the trigger's channels."""

    kind = "notify"
    severity = 0
    notice = True
    message: str = ""


class Page(Response):
    """Wake somebody up."""

    kind = "page"
    severity = 1
    notice = True
    message: str = ""


class Throttle(Response):
    """`throttle: {target: config, setting: emergence_rate, to: 0.5}`: set a limit lower."""

    kind = "throttle"
    severity = 2
    target: str = ""
    setting: str = Field(validation_alias=AliasChoices("setting", "name"))
    to: Value


class SetValue(Response):
    """`set_value: {target: config, changes: {aether_weight: 0.25}}`."""

    kind = "set_value"
    severity = 3
    target: str
    changes: dict[str, Value] = Field(min_length=1)


class ReduceWeight(Response):
    """`reduce_weight: {by: 20pp}` or `{to: 50%}`. It never raises a weight, and never goes below 0."""

    kind = "reduce_weight"
    severity = 4
    by: Quantity | None = None
    to: Quantity | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.by is None) == (self.to is None):
            raise ValueError("exactly one of by (20pp) and to (50%) is needed")
        if self.by is not None and (self.by.unit != "pp" or not 0 < self.by.value <= 100):
            raise ValueError(f"by: {self.by} must be points above 0 and at most 100, such as 20pp")
        if self.to is not None:
            _percent(self.to, "to")
        return self

    @property
    def rank(self) -> tuple[int, float]:
        return (self.severity, self.by.value if self.by is not None else 100.0 - self.weight_after(100))

    def weight_after(self, weight_percent: int) -> int:
        """The weight to set, in whole percent, rounded down, from the weight now."""
        after = float(weight_percent)
        if self.by is not None:
            after -= self.by.value
        if self.to is not None:
            after = self.to.to("%")
        return max(0, min(weight_percent, int(after)))


class SwitchOff(Response):
    """`switch_off: {target: config, feature: features.emergence}`."""

    kind = "switch_off"
    severity = 5
    target: str
    feature: str


class StepDown(Response):
    """`step_down: {ladder: mode}`: one rung down a mode ladder, or down to the mode `to`."""

    kind = "step_down"
    severity = 6
    ladder: str
    to: str | None = None


class RollBack(Response):
    """`roll_back`, or in part `roll_back: {to: 50%}`, or by a rollback of the plan: `roll_back: {use: full}`."""

    kind = "roll_back"
    severity = 7
    to: Quantity = Quantity(0.0, "%")
    use: str | None = None

    @model_validator(mode="after")
    def _a_weight(self) -> Self:
        _percent(self.to, "to")
        return self

    @property
    def weight_percent(self) -> int:
        """The weight to go back to, in whole percent, rounded down."""
        return int(self.to.to("%"))

    @property
    def rank(self) -> tuple[int, float]:
        return (self.severity, 100.0 - self.weight_percent)


RESPONSES: dict[str, type[Response]] = {
    response.kind: response for response in (Notify, Page, Throttle, SetValue, ReduceWeight, SwitchOff, StepDown, RollBack)
}
AnyResponse: Any = keyed_union("response", dict(RESPONSES))


@dataclass(frozen=True, slots=True)
class Firing:
    """A trigger that fires: since when (unix seconds), what it asks for, and how long that needs to settle, in seconds."""

    trigger: str
    response: Response
    since_s: float
    settle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Made:
    """A response that was made: for which trigger, how bad (`Response.rank`), when, and its settling time in seconds."""

    trigger: str
    rank: tuple[int, float]
    made_s: float
    settle_s: float = 0.0


def due(
    firing: Sequence[Firing], history: Sequence[Made], now_s: float, *, decision_tree: Sequence[str] = ()
) -> tuple[Firing, ...]:
    """The responses to make now: every notice due, then at most one that changes something, the worst.

    - A response is not repeated within its settling time; without one, not before its trigger has fired anew.
    - One that is no worse than another waits until that other has settled, and is then made before that one is repeated.
      Else a worse one never waits for a lesser.
    - Nothing else is due while a trigger that was answered with a full rollback still fires.
    - Of the triggers in `decision_tree` the first that fires decides and the others in it are left out, also while its
      response settles.
    """
    notices = [one for one in firing if one.response.notice and not _made(one, history, now_s)]
    effects = _decided([one for one in firing if not one.response.notice], decision_tree)
    worst_first = sorted(effects, key=lambda one: one.response.rank, reverse=True)
    ready: list[Firing] = []
    for one in worst_first:
        if _made(one, history, now_s):
            if _full(one):
                break
            continue
        if not _must_wait(one, history, now_s):
            ready.append(one)
    if not (ready and _full(ready[0])):
        ready.sort(key=lambda one: _answered(one, history))
    return (*notices, *ready[:1])


def _full(one: Firing) -> bool:
    return isinstance(one.response, RollBack) and one.response.weight_percent == 0


def _decided(effects: list[Firing], decision_tree: Sequence[str]) -> list[Firing]:
    place = {name: index for index, name in enumerate(decision_tree)}
    inside = [one for one in effects if one.trigger in place]
    first = min(inside, key=lambda one: place[one.trigger], default=None)
    return [one for one in effects if one.trigger not in place or one is first]


def _answers(one: Firing, history: Sequence[Made]) -> list[Made]:
    return [made for made in history if made.trigger == one.trigger and made.rank == one.response.rank]


def _made(one: Firing, history: Sequence[Made], now_s: float) -> bool:
    if one.settle_s > 0:
        return any(now_s - made.made_s < one.settle_s for made in _answers(one, history))
    return _answered(one, history)


def _answered(one: Firing, history: Sequence[Made]) -> bool:
    return any(made.made_s >= one.since_s for made in _answers(one, history))


def _must_wait(one: Firing, history: Sequence[Made], now_s: float) -> bool:
    settling = (made for made in history if made.settle_s > 0 and now_s - made.made_s < made.settle_s)
    return any(made.rank >= one.response.rank and made.trigger != one.trigger for made in settling)


def _percent(amount: Quantity, name: str) -> float:
    try:
        percent = amount.to("%")
    except UnitError as error:
        raise ValueError(f"{name}: {error}") from None
    if not 0 <= percent <= 100:
        raise ValueError(f"{name}: {amount} must be from 0% to 100%")
    return percent
