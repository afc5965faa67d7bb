"""How much of a wait was watched."""

from datetime import timedelta

import pytest

from chrysalis.ledger import Wait
from tasks.waits import counted_s
from tests.tasks.conftest import NOW

SECOND = timedelta(seconds=1)


def soak(*, opened: float = 0.0, ticked: float | None = None) -> Wait:
    last = None if ticked is None else NOW + ticked * SECOND
    return Wait(
        id=1, rollout_id="quick-1", step_id="some.03.soak", attempt=1, kind="soak", needed_s=60.0, watched_s=0.0, detail={},
        observed=None, pauses=0, opened_at=NOW + opened * SECOND, ticked_at=last,
        closed_at=None, outcome=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wait", "last_tick", "now", "counted"),
    [
        pytest.param(soak(), None, 5.0, 0.0, id="the first tick has watched nothing"),
        pytest.param(soak(ticked=4.0), 4.0, 5.0, 1.0, id="the time since the last tick"),
        pytest.param(soak(opened=4.5), 4.0, 5.0, 0.5, id="not before it was opened"),
        pytest.param(soak(ticked=4.8), 4.0, 5.0, 0.2, id="not what another watch has counted"),
        pytest.param(soak(ticked=4.0), 4.0, 60.0, 2.0, id="a gap was not watched"),
        pytest.param(soak(ticked=4.0), 4.0, 3.0, 0.0, id="a clock that goes back counts nothing"),
    ],
)
def test_what_counts(wait: Wait, last_tick: float | None, now: float, counted: float) -> None:
    before = None if last_tick is None else NOW + last_tick * SECOND
    assert counted_s(wait, before, NOW + now * SECOND, most_s=2.0) == pytest.approx(counted)
