"""When changes may be made."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from time import tzset

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.calendar import Closed, Frozen, Open, closed

OFFICE = Open(frozenset(range(5)), time(9), time(16, 59, 59))
FREEZE = Frozen(date(2026, 12, 20), date(2027, 1, 3), "the holidays")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        pytest.param("2026-11-23T09:00:00", None, id="a Monday at the first moment"),
        pytest.param("2026-11-23T16:59:59.5", None, id="within the last second"),
        pytest.param("2026-11-23T17:00:00", "2026-11-24T09:00:00", id="in the evening: tomorrow"),
        pytest.param("2026-11-23T08:59:59", "2026-11-23T09:00:00", id="too early: today"),
        pytest.param("2026-11-20T17:00:00", "2026-11-23T09:00:00", id="Friday evening: Monday"),
        pytest.param("2026-12-21T10:00:00", "2027-01-04T09:00:00", id="in the freeze: the first working day after it"),
        pytest.param("2026-12-18T17:00:00", "2027-01-04T09:00:00", id="the last evening before the freeze"),
        pytest.param("2027-01-03T23:59:59", "2027-01-04T09:00:00", id="the last second of the freeze"),
    ],
)
def test_until_when(now: str, until: str | None) -> None:
    found = closed([OFFICE], [FREEZE], at(now))
    assert (found and found.until) == (at(until) if until else None)


def test_without_windows_only_a_freeze_closes() -> None:
    assert closed([], [], at("2026-11-22T03:00:00")) is None
    found = closed([], [FREEZE], at("2026-12-24T18:00:00"))
    assert found == Closed("frozen until 2027-01-03: the holidays", at("2027-01-04T00:00:00"))


@pytest.mark.parametrize(("now", "why"), [("2026-12-19T23:59:59", None), ("2026-12-20T00:00:00", "frozen until 2027-01-03")])
def test_a_freeze_begins_with_its_first_day(now: str, why: str | None) -> None:
    found = closed([], [FREEZE], at(now))
    assert (found and found.why.partition(":")[0]) == why


@pytest.mark.parametrize(("days", "told"), [(798, True), (799, False)])
def test_an_end_is_looked_for_no_further_than_two_years_ahead(days: int, told: bool) -> None:
    now = at("2026-11-22T03:00:00")
    found = closed([], [Frozen(now.date(), now.date() + timedelta(days=days), "sold")], now)
    assert found is not None
    assert (found.until is not None) is told


def test_windows_are_in_utc_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    tokyo = datetime(2026, 11, 23, 18, 0, tzinfo=timezone(timedelta(hours=9)))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    tzset()
    try:
        assert closed([OFFICE], [], tokyo) is None
        assert closed([OFFICE], [], tokyo - timedelta(hours=2)) is not None
    finally:
        monkeypatch.undo()
        tzset()


def test_a_freeze_without_end_has_no_until() -> None:
    assert closed([], [Frozen(date(2026, 1, 1), date(2099, 1, 1), "sold")], at("2026-11-22T03:00:00")) == Closed(
        "frozen until 2099-01-01: sold", None
    )


@given(st.integers(min_value=0, max_value=730 * 86_400))
def test_what_opens_is_open(second: int) -> None:
    """And the second before it is not."""
    now = at("2026-01-01T00:00:00") + timedelta(seconds=second)
    found = closed([OFFICE], [FREEZE], now)
    if found is not None and found.until is not None:
        assert found.until > now
        assert closed([OFFICE], [FREEZE], found.until) is None
        assert closed([OFFICE], [FREEZE], found.until - timedelta(seconds=1)) is not None
