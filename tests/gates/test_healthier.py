"""Which side is worse off, by the breach condition itself; what is not known holds nothing back."""

import pytest
from pydantic import TypeAdapter

from gates.conditions import AnyCondition
from gates.healthier import needs_of_both, stable_is_sicker
from gates.observation import Need, Observations, Selector, Series, Unavailable
from gates.threshold import Threshold

NOW_S = 1000.0
ERRORS = {"threshold": {"metric": "errors", "above": "5%"}}
GOODNESS = {"threshold": {"metric": "goodness", "below": 0.5}}
FAULTS = {"threshold": {"metric": "faults", "above": "5%"}}
LOAD = {"threshold": {"metric": "load", "above": 100}}
ANY_ERROR = {"threshold": {"metric": "errors", "above": 0}}
RANGE = {"threshold": {"metric": "errors", "between": [0.1, 0.9]}}
OF_STABLE = {"threshold": {"metric": "errors", "above": "5%", "side": "stable"}}


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
        pytest.param([ERRORS], sides(errors=(0.01, 0.075)), True, id="only stable fails, by little"),
        pytest.param([ERRORS], sides(errors=(0.04, 0.01)), False, id="neither fails, stable is further from it"),
        pytest.param([ANY_ERROR], sides(errors=(0.1, 0.3)), True, id="beyond nothing at all"),
        pytest.param([ANY_ERROR], sides(errors=(0.3, 0.1)), False, id="beyond nothing at all, the canary more"),
        pytest.param([RANGE], sides(errors=(0.2, 0.4)), False, id="a range says not by how much"),
        pytest.param([OF_STABLE, ERRORS], sides(errors=(0.2, 0.4)), True, id="after one that is not of the canary"),
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


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("breaches", "observations", "named"),
    [
        pytest.param([ERRORS, GOODNESS], sides(errors=(0.2, 0.4), goodness=(0.4, 0.1)), "errors", id="by most"),
        pytest.param([ERRORS, FAULTS], sides(errors=(0.2, 0.25), faults=(0.01, 0.15)), "faults", id="by the difference"),
        pytest.param([ERRORS, LOAD], sides(errors=(0.2, 0.4), load=(110, 300)), "errors", id="as a share of the limit"),
    ],
)
def test_of_several_the_bound_by_which_stable_is_worse_by_most_is_said(
    breaches: list[object], observations: Observations, named: str, order: int
) -> None:
    found = stable_is_sicker([condition(one) for one in breaches[::order]], observations, NOW_S)
    assert found is not None
    assert found.stable.reason.startswith(named)


def test_of_two_that_are_as_bad_the_first_is_said() -> None:
    found = stable_is_sicker([condition(FAULTS), condition(ERRORS)], sides(errors=(0.2, 0.4), faults=(0.2, 0.4)), NOW_S)
    assert found is not None
    assert found.stable.reason.startswith("faults")


def test_what_is_measured_of_both_sides_together_tells_nothing() -> None:
    together = {Selector("errors", "all"): at(0.2), Selector("errors", "stable"): at(0.4)}
    of_all = condition({"threshold": {"metric": "errors", "above": "5%", "side": "all"}})
    assert stable_is_sicker([of_all], together, NOW_S) is None


def test_stale_data_of_stable_holds_nothing_back() -> None:
    old = {Selector("errors", "canary"): at(0.2), Selector("errors", "stable"): at(0.9, age_s=600)}
    assert stable_is_sicker([condition(ERRORS)], old, NOW_S) is None


def test_the_same_is_asked_of_both_sides_and_nothing_twice() -> None:
    held = condition({"threshold": {"metric": "errors", "above": "5%", "held": "10m"}})
    asked = needs_of_both([held, held])
    assert asked == (Need(Selector("errors", "canary"), 600.0), Need(Selector("errors", "stable"), 600.0))


def test_what_is_not_of_the_canary_is_asked_as_it_is() -> None:
    of_all = condition({"threshold": {"metric": "errors", "above": "5%", "side": "all"}})
    assert needs_of_both([of_all, condition(OF_STABLE)]) == (
        Need(Selector("errors", "all"), 0.0),
        Need(Selector("errors", "stable"), 0.0),
    )
