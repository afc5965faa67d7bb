"""How far several instances that should agree are apart.

With x the newest value of each of n instances and L = nI - J the Laplacian of the complete graph K_n, the consensus error is
x'Lx, the sum of (x_i - x_j)^2 over all pairs (Olfati-Saber, Fax and Murray 2007, Proceedings of the IEEE 95(1)). The
eigenvalues of L are 0 once and n otherwise (n - 1 times), so its algebraic connectivity (Fiedler 1973) is n; a single
instance has none, its graph has no second eigenvalue, and it agrees with itself: error 0 and connectivity 0.
"""

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gates.bound import Bounded
from gates.condition import MetricFacts
from gates.observation import FloatArray, Need, Observations, Selector, Side
from gates.threshold import number_problems, unknown_metric
from gates.units import Duration, Quantity, UnitError
from gates.verdict import Finding, Verdict
from gates.window import Missing, newest


class Consensus(Bounded):
    """`consensus: {metrics: [state_alpha, state_beta, state_gamma], below: 0.01}`.

    `measure` says what is bounded: `laplacian` (x'Lx, in the metric's unit squared, so a bare number) or `deviation`
    (the largest distance from the mean, in the metric's unit). An instance that is not known leaves all unknown.
    """

    metrics: tuple[str, ...] = Field(min_length=1)
    instances: int | None = Field(default=None, ge=1, description="how many there must be")
    measure: Literal["laplacian", "deviation"] = "laplacian"
    side: Side = "canary"
    stale_after: Duration | None = None

    @model_validator(mode="after")
    def _all_instances(self) -> Self:
        if self.instances is not None and self.instances != len(self.metrics):
            raise ValueError(f"instances: {self.instances}, but {len(self.metrics)} metrics are named")
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError("metrics: each instance once")
        return self

    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(Selector(metric, self.side), 0.0) for metric in self.metrics)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        found: list[str] = []
        units = []
        for metric in self.metrics:
            facts = metrics.get(metric)
            if facts is None:
                found.append(unknown_metric(metric, metrics))
                continue
            found += number_problems(metric, facts, self.side)
            units.append(facts.unit)
        if len(set(units)) > 1:
            found.append(f"consensus: the instances are in different units: {', '.join(sorted(set(units)))}")
        if units and not found:
            found += self.bound_problems("" if self.measure == "laplacian" else units[0], "consensus")
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        values: list[float] = []
        unit = ""
        for metric in self.metrics:
            found = newest(observations, Selector(metric, self.side), now_s=now_s, stale_after_s=stale_s)
            if isinstance(found, Missing):
                return self.unknown(found.reason)
            unit = unit if values else found[1].unit
            try:
                values.append(Quantity(found[0], found[1].unit).to(unit))
            except UnitError as error:
                return self.unknown(f"{metric}: {error}")
        apart, deviation, connectivity = agreement(np.array(values))
        numbers = {"laplacian": apart, "deviation": deviation, "connectivity": connectivity}
        bounded = apart if self.measure == "laplacian" else deviation
        words = "consensus error x'Lx" if self.measure == "laplacian" else "largest deviation from the mean"
        try:
            what = f"{words} of {len(values)} instances"
            compared = self.compare(bounded, "" if self.measure == "laplacian" else unit, what)
        except UnitError as problem:
            return self.unknown(f"consensus: {problem}")
        verdict = Verdict.PASS if compared.kept else Verdict.FAIL
        return self.finding(verdict, compared.words, numbers={"value": bounded, **compared.limits, **numbers})


def agreement(values: FloatArray) -> tuple[float, float, float]:
    """x'Lx on the complete graph, the largest distance from the mean, and the algebraic connectivity.

    Computed from the distances between pairs: no cancellation, and 0 exactly when all are equal. Beyond the largest
    number the error is infinite.
    """
    n = values.size
    if n == 1:
        return 0.0, 0.0, 0.0
    with np.errstate(over="ignore"):
        apart = values[:, None] - values[None, :]
        error = float(np.sum(np.square(apart)) / 2)
        deviation = float(np.max(np.abs(np.sum(apart / n, axis=1))))
    return error, deviation, float(n)
