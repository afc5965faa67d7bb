"""The collector of cycles works between ticks and nowhere else, and is left as it was found."""

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from tasks import pauses
from tasks.pauses import SWITCH_S, without_pauses


class Knot:
    """Refers to itself, so that only the collector takes it away."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_python_starts() -> Iterator[None]:
    gc.enable()
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    gc.enable()
    sys.setswitchinterval(switch_s)


def test_inside_nothing_is_collected_by_itself_and_threads_change_soon() -> None:
    with without_pauses():
        assert not gc.isenabled()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        gone = weakref.ref(Knot())
        _ = [[] for _ in range(5 * gc.get_threshold()[0])]
        assert gone() is not None


@pytest.mark.parametrize("enabled", [True, False])
def test_afterwards_all_is_as_before_also_after_an_error(enabled: bool) -> None:
    if not enabled:
        gc.disable()

    def fail() -> None:
        with without_pauses():
            assert gc.get_freeze_count() > 0
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled() is enabled
    assert sys.getswitchinterval() == pytest.approx(0.005)
    assert gc.get_freeze_count() == 0


def test_what_a_tick_left_is_collected_before_the_next() -> None:
    with without_pauses() as between_ticks:
        gone = weakref.ref(Knot())
        between_ticks()
        assert gone() is None


def test_what_was_in_use_for_many_ticks_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "ALL_EVERY", 5)
    with without_pauses() as between_ticks:
        used = Knot()
        gone = weakref.ref(used)
        for _ in range(3):
            between_ticks()
        del used
        between_ticks()
        assert gone() is not None, "a look at what is new only would be no cheaper"
        between_ticks()
        assert gone() is None


def test_what_is_there_for_good_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "ALL_EVERY", 2)
    with without_pauses() as between_ticks:
        frozen = gc.get_freeze_count()
        kept = [Knot() for _ in range(1000)]
        between_ticks()
        assert gc.get_freeze_count() < frozen + len(kept)
        between_ticks()
        assert gc.get_freeze_count() >= frozen + len(kept)
