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
    ("wait", "known", "passed_s", "now", "counted"),
    [
        pytest.param(soak(), False, None, 5.0, 0.0, id="the first tick has watched nothing"),
        pytest.param(soak(ticked=4.0), True, 1.0, 5.0, 1.0, id="the time since the last tick"),
        pytest.param(soak(opened=4.5), False, 1.0, 5.0, 0.5, id="not before it was opened"),
        pytest.param(soak(ticked=4.8), False, 1.0, 5.0, 0.2, id="not what another watch has counted"),
        pytest.param(soak(ticked=4.0), True, 56.0, 60.0, 2.0, id="a gap was not watched"),
        pytest.param(soak(ticked=4.0), True, 1.0, 3605.0, 1.0, id="a clock set forward by an hour changes nothing"),
        pytest.param(soak(ticked=4.0), True, 1.0, -3595.0, 1.0, id="a clock set back by an hour changes nothing"),
        pytest.param(soak(opened=4.0), False, 1.0, -3595.0, 0.0, id="one opened before the clock was set back begins now"),
    ],
)
def test_what_counts(wait: Wait, known: bool, passed_s: float | None, now: float, counted: float) -> None:
    assert counted_s(wait, passed_s, NOW + now * SECOND, most_s=2.0, known=known) == pytest.approx(counted)
