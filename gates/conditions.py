"""Every kind of condition that a plan may write, and a gate: conditions that must all pass."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from gates.burn_rate import BurnRate
from gates.canary_score import CanaryScore
from gates.category import Category
from gates.combine import All, Any_, AtLeast, all_of, judge_one, needs_of_all
from gates.comparison import Comparison
from gates.condition import Condition, MetricFacts, Spec
from gates.consensus import Consensus
from gates.count import Count, Exists, InARow
from gates.distribution import Distribution
from gates.incidents import IncidentFree, Stable
from gates.keyed import keyed_union
from gates.observation import Need, Observations
from gates.product import Product
from gates.rank_sum import RankSum
from gates.sequential import Sequential
from gates.threshold import Threshold
from gates.trend import Trend
from gates.verdict import Finding, Mode

CONDITIONS: dict[str, type[Condition]] = {
    "threshold": Threshold,
    "comparison": Comparison,
    "trend": Trend,
    "distribution": Distribution,
    "category": Category,
    "count": Count,
    "exists": Exists,
    "in_a_row": InARow,
    "incident_free": IncidentFree,
    "stable": Stable,
    "product": Product,
    "consensus": Consensus,
    "burn_rate": BurnRate,
    "rank_sum": RankSum,
    "sequential": Sequential,
    "canary_score": CanaryScore,
    "all": All,
    "any": Any_,
    "at_least": AtLeast,
}

AnyCondition: Any = keyed_union("condition", dict(CONDITIONS))

# Combinations hold conditions, themselves among them; the union is known only here.
for _combination in (All, Any_, AtLeast, Stable):
    _combination.model_rebuild(_types_namespace={"AnyCondition": AnyCondition})


class GateSpec(Spec):
    """`{all: [conditions]}`, or the bare list: the conditions of one gate. An empty gate is an error."""

    conditions: tuple[AnyCondition, ...] = Field(alias="all", min_length=1)
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _a_bare_list(cls, written: Any) -> Any:
        return {"all": written} if isinstance(written, list | tuple) else written

    @model_validator(mode="after")
    def _something_counts(self) -> "GateSpec":
        if not any(condition.mode is Mode.BLOCK for condition in self.conditions):
            raise ValueError("no condition counts: all are warn or dry_run; a gate needs at least one with mode block")
        return self

    def needs(self) -> tuple[Need, ...]:
        """Every series the gate looks at."""
        return needs_of_all(self.conditions)

    def problems(self, metrics: Mapping[str, MetricFacts]) -> list[str]:
        """What does not fit the metrics."""
        return [problem for condition in self.conditions for problem in condition.problems(metrics)]


def judge_gate(spec: GateSpec, observations: Observations, now_s: float) -> Finding:
    """The gate at `now_s` (unix seconds, plan's clock): the worst of its conditions, each with its reason. Never raises."""
    gate = All.model_construct(of=spec.conditions, name=spec.name)
    return all_of(gate, tuple(judge_one(condition, observations, now_s) for condition in spec.conditions))
