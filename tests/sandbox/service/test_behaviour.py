"""Rates are spread evenly."""

from hypothesis import given
from hypothesis import strategies as st

from chrysalis.sandbox.service.behaviour import Evenly


@given(st.floats(0, 1), st.integers(1, 500))
def test_a_share_of_requests_is_met_to_within_one(rate: float, requests: int) -> None:
    """At every moment, not only in the long run."""
    evenly = Evenly()
    hits = sum(evenly.due(rate) for _ in range(requests))
    assert abs(hits - rate * requests) <= 1


@given(st.floats(0, 200), st.integers(1, 50))
def test_many_at_once_add_up(amount: float, times: int) -> None:
    """None is lost to rounding."""
    evenly = Evenly()
    assert abs(sum(evenly.due(amount) for _ in range(times)) - amount * times) <= 1
