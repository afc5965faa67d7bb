"""What every kind says when it does not know."""

from gates.count import Exists
from gates.verdict import Mode, Verdict


def test_not_known_is_inconclusive_with_what_was_seen():
    spec = Exists(metric="m", name="events", mode=Mode.WARN)
    found = spec.unknown("too few", numbers={"value": 2.0})
    assert (found.verdict, found.reason, found.numbers) == (Verdict.INCONCLUSIVE, "too few", {"value": 2.0})
    assert (found.name, found.mode) == ("events", Mode.WARN)
    assert spec.unknown("nothing").numbers == {}
