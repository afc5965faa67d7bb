"""The plan's clock: there and back, and faster."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.clock import PlanClock, utc_now

TIMES_S = st.floats(0, 4e9)
SPEEDS = st.floats(1, 1e6)


@given(TIMES_S, TIMES_S, SPEEDS)
def test_there_and_back_is_the_same_time(origin_s: float, real_s: float, speed: float) -> None:
    clock = PlanClock(origin_s, speed)
    assert clock.to_real(clock.to_plan(real_s)) == pytest.approx(real_s, abs=1e-3)


@given(TIMES_S, SPEEDS)
def test_both_clocks_start_together(origin_s: float, speed: float) -> None:
    assert PlanClock(origin_s, speed).to_plan(origin_s) == origin_s


def test_eight_weeks_pass_in_a_minute() -> None:
    clock = PlanClock(0.0, 80_640.0)
    assert clock.real_span_s(timedelta(weeks=8)) == 60.0
    assert clock.plan_now(datetime.fromtimestamp(60, UTC)) == datetime.fromtimestamp(8 * 7 * 86_400, UTC)


def test_now_is_timezone_aware() -> None:
    assert utc_now().tzinfo is UTC
