"""Which side is worse off, by the breach condition itself; what is not known holds nothing back."""

import pytest
from pydantic import TypeAdapter

from gates.conditions import AnyCondition
from gates.healthier import needs_of_both, stable_is_sicker
from gates.observation import Observations, Selector, Series, Unavailable
from gates.threshold import Threshold

NOW_S = 1000.0
ERRORS = {"threshold": {"metric": "errors", "above": "5%"}}
GOODNESS = {"threshold": {"metric": "goodness", "below": 0.5}}


def condition(written: object) -> Threshold:
    read: Threshold = TypeAdapter(AnyCondition).validate_python(written)
    return read


def at(value: float | None, *, age_s: float = 0.0) -> Series | Unavailable:
    if value is None:
        return Unavailable("no answer")
    return Series.of([(NOW_S - age_s, value)], unit="ratio", interval_s=15)


def sides(**values: tuple[float | None, float | None]) -> Observations:
    found: dict[Selector, Series | Unavailable] = {}
    for metric, (canary, stable) in values.items():
        found[Selector(metric, "canary")] = at(canary)
        found[Selector(metric, "stable")] = at(stable)
    return found


@pytest.mark.parametrize(
    ("written", "observations", "sicker"),
    [
        pytest.param([ERRORS], sides(errors=(0.2, 0.4)), True, id="both fail, stable more"),
        pytest.param([ERRORS], sides(errors=(0.4, 0.2)), False, id="both fail, the canary more"),
        pytest.param([ERRORS], sides(errors=(0.3, 0.3)), False, id="both fail alike"),
        pytest.param([ERRORS], sides(errors=(0.3, 0.01)), False, id="only the canary fails"),
        pytest.param([ERRORS], sides(errors=(0.01, 0.3)), True, id="only stable fails"),
        pytest.param([ERRORS], sides(errors=(0.01, 0.04)), False, id="neither fails"),
        pytest.param([ERRORS], sides(errors=(0.3, None)), False, id="nothing is known of stable"),
        pytest.param([ERRORS], sides(errors=(None, 0.3)), True, id="stable fails, nothing is known of the canary"),
        pytest.param([GOODNESS], sides(goodness=(0.4, 0.1)), True, id="a lower bound counts the other way"),
        pytest.param([ERRORS, GOODNESS], sides(errors=(0.2, 0.4), goodness=(0.1, 0.4)), False, id="each is sicker in one"),
        pytest.param([{"any": [ERRORS, GOODNESS]}], sides(errors=(0.2, 0.4), goodness=(0.9, 0.9)), True, id="in any"),
        pytest.param(
            [{"comparison": {"metric": "errors", "against": "stable", "above": "100%"}}],
            sides(errors=(0.4, 0.1)),
            False,
            id="worse than stable says that stable is not",
        ),
    ],
)  # fmt: skip
def test_who_is_sicker(written: list[object], observations: Observations, sicker: bool) -> None:
    assert (stable_is_sicker([condition(one) for one in written], observations, NOW_S) is not None) is sicker


def test_both_numbers_are_said() -> None:
    found = stable_is_sicker([condition(ERRORS)], sides(errors=(0.2, 0.4)), NOW_S)
    assert found is not None
    assert (found.canary.reason, found.stable.reason) == ("errors 20 % > 5 %", "errors 40 % > 5 %")


def test_stale_data_of_stable_holds_nothing_back() -> None:
    old = {Selector("errors", "canary"): at(0.2), Selector("errors", "stable"): at(0.9, age_s=600)}
    assert stable_is_sicker([condition(ERRORS)], old, NOW_S) is None


def test_the_same_is_asked_of_both_sides_and_nothing_twice() -> None:
    asked = [need.selector for need in needs_of_both([condition(ERRORS), condition(ERRORS)])]
    assert asked == [Selector("errors", "canary"), Selector("errors", "stable")]
