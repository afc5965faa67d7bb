"""What the ledger itself can answer: measurements that people entered, and baselines recorded earlier."""

from collections.abc import Sequence

from chrysalis.ledger import Ledger
from chrysalis.metrics.base import Query
from gates.observation import Selector, Series, Unavailable

ENTERED = "entered"
"""The name under which a measurement entered by a person is recorded."""


class EnteredSource:
    """A metric source over what people entered for one rollout; the newest value of each metric."""

    def __init__(self, ledger: Ledger, rollout_id: str) -> None:
        self._ledger, self._rollout_id = ledger, rollout_id

    def fetch(self, queries: Sequence[Query]) -> list[Series | Unavailable]:
        """The entered value of each metric at the time it was entered; an empty series where nobody entered one."""
        entered = {one.metric: one for one in self._ledger.baselines(self._rollout_id) if one.name == ENTERED}
        answers: list[Series | Unavailable] = []
        for query in queries:
            one = entered.get(query.metric)
            samples = [] if one is None else [(min(one.at.timestamp(), query.end_s), float(one.samples["value"]))]
            answers.append(Series.of(samples, unit=query.unit, interval_s=query.step_s))
        return answers


def recorded(ledger: Ledger, rollout_id: str, selector: Selector) -> Series | Unavailable:
    """The baseline that the selector names, as it was recorded (plan time)."""
    for one in ledger.baselines(rollout_id):
        if one.name == selector.baseline and one.metric == selector.metric:
            kept = one.samples
            return Series.of(kept["samples"], unit=kept["unit"], interval_s=kept["interval_s"])
    return Unavailable(f"baseline {selector.baseline} of {selector.metric} was not recorded by this rollout")
