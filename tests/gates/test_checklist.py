"""Whether a checklist lets a phase go on."""

from datetime import UTC, datetime, timedelta

import pytest

from gates.checklist import Attested, Decision, Standing, Status, decide, standing_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def word(*, days_ago: float = 1, lasting: float = 30, item_hash: str = "h", withdrawn: bool = False) -> Attested:
    at = NOW - days_ago * DAY
    return Attested("kim", "cto", "https://ticket/7", item_hash, at, at + lasting * DAY, withdrawn)


@pytest.mark.parametrize(
    ("words", "since", "status", "said"),
    [
        pytest.param([], None, Status.OPEN, "nobody", id="nobody"),
        pytest.param([word()], None, Status.PASSED, "kim (cto), until 2026-12-20: https://ticket/7", id="counts"),
        pytest.param(
            [word(days_ago=31)], None, Status.EXPIRED, "expired on 2026-11-20 12:00 UTC, it is 2026-11-21", id="over"
        ),
        pytest.param([word(days_ago=30)], None, Status.EXPIRED, "expired", id="over in this moment"),
        pytest.param([word(item_hash="old")], None, Status.OPEN, "worded otherwise", id="another wording"),
        pytest.param([word(), word(days_ago=0.5, withdrawn=True)], None, Status.OPEN, "withdrawn by kim", id="withdrawn"),
        pytest.param([word(withdrawn=True), word(days_ago=0.5)], None, Status.PASSED, "kim", id="given again"),
        pytest.param([word()], NOW - 2 * DAY, Status.PASSED, "kim", id="since the phase began"),
        pytest.param([word(days_ago=2)], NOW - 2 * DAY, Status.PASSED, "kim", id="as the phase began"),
        pytest.param([word(days_ago=3)], NOW - 2 * DAY, Status.EXPIRED, "before 2026-11-19 12:00 UTC", id="of before"),
    ],
)
def test_how_an_attested_item_stands(words: list[Attested], since: datetime | None, status: Status, said: str) -> None:
    standing = standing_of("item", words, item_hash="h", now=NOW, since=since)
    assert (standing.item, standing.status) == ("item", status)
    assert said in standing.reason


def stand(*statuses: Status) -> list[Standing]:
    return [Standing(f"item{n}", status, f"reason {n}") for n, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("standings", "decision", "said"),
    [
        pytest.param([], Decision.NOT_YET, "no item", id="nothing"),
        pytest.param(stand(Status.PASSED, Status.NOT_APPLICABLE), Decision.GO, "all 2 items", id="all stand"),
        pytest.param(
            stand(Status.PASSED, Status.OPEN), Decision.NOT_YET, "1 of 2 items are open (1 open); item1", id="open"
        ),
        pytest.param(stand(Status.NOT_KNOWN), Decision.NOT_YET, "(1 not known)", id="not known"),
        pytest.param(stand(Status.EXPIRED), Decision.NOT_YET, "(1 expired)", id="expired"),
        pytest.param(stand(Status.OPEN, Status.FAILED), Decision.NO_GO, "(1 open, 1 failed); item1: reason 1", id="failed"),
    ],
)
def test_what_follows(standings: list[Standing], decision: Decision, said: str) -> None:
    found, reason = decide(standings)
    assert found is decision
    assert said in reason


@pytest.mark.parametrize("status", [one for one in Status if one not in (Status.PASSED, Status.NOT_APPLICABLE)])
def test_only_what_stands_lets_it_go_on(status: Status) -> None:
    assert decide(stand(Status.PASSED, status))[0] is not Decision.GO
