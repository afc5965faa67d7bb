"""The product of several ratios, such as the amplification of layers that feed one another, against a bound."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from pydantic import Field

from gates.bound import Bounded
from gates.condition import MetricFacts
from gates.observation import Need, Observations, Selector, Side
from gates.threshold import number_problems, unknown_metric
from gates.units import Duration, Quantity, UnitError, dimension, show
from gates.verdict import Finding, Verdict
from gates.window import Missing, newest

_PURE = ("multiple", "ratio", "number")


class Product(Bounded):
    """`product: {metrics: [alpha, beta], at_least: 6x}`: the newest values multiplied, as a plain multiple.

    All must be ratios (units x, ratio, % or none). One factor that is not known makes the product unknown.
    """

    metrics: tuple[str, ...] = Field(min_length=1)
    side: Side = "canary"
    stale_after: Duration | None = None

    def needs(self) -> tuple[Need, ...]:
        return tuple(Need(Selector(metric, self.side), 0.0) for metric in self.metrics)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        found = self.bound_problems("x", "product")
        for metric in self.metrics:
            facts = metrics.get(metric)
            if facts is None:
                found.append(unknown_metric(metric, metrics))
                continue
            wrong = number_problems(metric, facts, self.side)
            if not wrong and dimension(facts.unit) not in _PURE:
                wrong = [f"{metric}: a product needs ratios (x, ratio, % or no unit), it is in {facts.unit!r}"]
            found += wrong
        return found

    def judge(self, observations: Observations, now_s: float) -> Finding:
        stale_s = None if self.stale_after is None else self.stale_after.total_seconds()
        factors: dict[str, float] = {}
        shown = []
        for metric in self.metrics:
            found = newest(observations, Selector(metric, self.side), now_s=now_s, stale_after_s=stale_s)
            if isinstance(found, Missing):
                return self.unknown(found.reason)
            value, series = found
            if dimension(series.unit) not in _PURE:
                return self.unknown(f"{metric}: a product needs ratios (x, ratio, % or no unit), it is in {series.unit!r}")
            factors[metric] = Quantity(value, series.unit).to("ratio") if series.unit == "%" else value
            shown.append(show(value, series.unit))
        value = exact_product([factors[metric] for metric in self.metrics])
        try:
            compared = self.compare(value, "x", f"product {' * '.join(shown)} =")
        except UnitError as error:
            return self.unknown(f"product: {error}")
        numbers = {"value": value, **compared.limits, **factors}
        return self.finding(Verdict.PASS if compared.kept else Verdict.FAIL, compared.words, numbers=numbers)


def exact_product(factors: Sequence[float]) -> float:
    """The product of finite factors, rounded once; infinite only where the product is beyond the largest number."""
    product = math.prod(Fraction(factor) for factor in factors)
    try:
        return float(product)
    except OverflowError:
        return math.inf if product > 0 else -math.inf
