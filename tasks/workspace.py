"""What a step works with: the rollout's row and token, its plan, its clock, and the adapters the plan names.

Opened anew for every step from nothing but the rollout's id and token, so that no state lives outside the ledger. What is
slow to make (a parsed plan, a connection) is kept per process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property, lru_cache
from pathlib import Path

from chrysalis import wiring
from chrysalis.clock import PlanClock
from chrysalis.errors import SettingsError
from chrysalis.ledger import Ledger, Rollout
from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.fetch import Inquiry, ask, prepare
from chrysalis.people import People, load_people
from chrysalis.plan import Plan, parse_plan
from chrysalis.plan.parts import ManualSource
from chrysalis.plan.steps import SetWeight
from chrysalis.settings import Settings
from chrysalis.targets.base import Stamp, Switchboard, TrafficRouter
from chrysalis.targets.operator import Operator
from gates.condition import Condition
from gates.observation import Need, Observations, Unavailable
from tasks.entered import EnteredSource, recorded

TOKENS_PER_ROLLOUT = 1_000_000
"""More than twice what one rollout can ever take: a process start each second for five days."""


FROM_MEMORY = "standby."
"""How the step in a stamp begins that the watch wrote while the ledger was out of reach."""

SPLITTING = frozenset({"set_weight", "set_route"})
"""Steps after which other users or requests reach the canary."""


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings.load()


@cache
def _ledger(url: str) -> Ledger:
    return Ledger.open(url)


def open_ledger() -> Ledger:
    """This process's connection to the ledger. Raises LedgerUnavailable."""
    settings().home.mkdir(parents=True, exist_ok=True)
    return _ledger(settings().ledger_url)


@lru_cache(maxsize=16_384)
def plan_of(rollout_id: str) -> Plan:
    """The plan as it was when the rollout started; a later change of the file changes nothing. Rollouts of one text share
    one plan."""
    return _parsed(open_ledger().plan_text(rollout_id))


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Plan:
    return parse_plan(text, "the plan in the ledger").plan


def people_of(plan: Plan) -> People:
    """The people as they are now, with the roles that the plan gives. Raises PlanError when the file is wrong or gone."""
    file = settings().people_file
    if file is None:
        return People.of_plan(plan)
    return _people(file, file.stat().st_mtime_ns if file.exists() else 0).for_plan(plan)


@lru_cache(maxsize=4)
def _people(file: Path, changed_ns: int) -> People:
    return load_people(file)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for each of several conditions at one moment."""

    by_condition: Mapping[int, Observations]
    """By the identity of the condition: two that look alike are still two."""

    def of(self, condition: Condition) -> Observations:
        """What that condition asked for. Raises KeyError for one that was not measured."""
        return self.by_condition[id(condition)]

    @property
    def troubled(self) -> bool:
        """Whether anything could not be had."""
        return any(isinstance(found, Unavailable) for seen in self.by_condition.values() for found in seen.values())


NOTHING_MEASURED = Measured({})


@dataclass(frozen=True)
class Workspace:
    """One rollout, held under one token."""

    ledger: Ledger
    rollout: Rollout
    token: int
    plan: Plan
    settings: Settings
    environment: Mapping[str, str] | None = field(default=None, kw_only=True, repr=False)
    """The variables as somebody who opens many workspaces has read them; None: read when needed."""

    @classmethod
    def open(cls, rollout_id: str, token: int) -> "Workspace":
        """Raises UnknownRollout, LedgerUnavailable."""
        ledger = open_ledger()
        return cls(ledger, ledger.get(rollout_id), token, plan_of(rollout_id), settings())

    @property
    def people(self) -> People:
        """Read anew at every look: who left may not sign any more. Raises PlanError when the file is wrong."""
        return people_of(self.plan)

    @cached_property
    def clock(self) -> PlanClock:
        return PlanClock(self.rollout.started_at.timestamp(), self.rollout.speed)

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """What `${NAME}` stands for: the environment, and this rollout's own facts."""
        own = {"VERSION": self.rollout.version, "SERVICE": self.plan.service, "ROLLOUT": self.rollout.id}
        return {**(self.settings.variables() if self.environment is None else self.environment), **own}

    def stamp(self, step_id: str) -> Stamp:
        """Who writes. A newer rollout outranks every token of an older one: both write to the same targets.

        A token counts two, so that there is room between it and the next (`standby.py`).
        """
        return Stamp(self.rollout.serial * TOKENS_PER_ROLLOUT + 2 * self.token, self.rollout.id, step_id)

    def router(self, name: str) -> TrafficRouter:
        return wiring.router(self.plan, name, self.variables)

    def routers(self) -> dict[str, TrafficRouter]:
        """Every router that this plan moves traffic on."""
        used = {step.spec.target for step in self.plan.itinerary if isinstance(step.spec, SetWeight)}
        return {name: self.router(name) for name in sorted(used)}

    def switchboard(self, name: str) -> Switchboard:
        return wiring.switchboard(self.plan, name, self.variables)

    def database_url(self, name: str) -> str:
        return wiring.database_url(self.plan, name, self.variables)

    def operator(self, name: str) -> Operator:
        return wiring.operator(self.plan, name, self.variables)

    def database(self, name: str) -> wiring.ServiceDatabase:
        return wiring.database(self.plan, name, self.variables, self.settings.home)

    def observe(self, conditions: Iterable[Condition], now: datetime) -> "Measured":
        """Everything that the conditions ask for, measured at `now` (real time). What cannot be had is an Unavailable."""
        return observe_all([(self, tuple(conditions))], now)[0]

    def measure(self, needs: Sequence[Need], now: datetime) -> Observations:
        """The series that are needed, measured at `now` (real time); recorded baselines from the ledger."""
        inquiry = self._inquiry(needs)
        return self.with_baselines(ask([inquiry], now, split_at=[self._split_for(inquiry)])[0])

    def inquiries(self, conditions: Sequence[Condition]) -> "Sequence[tuple[Inquiry, tuple[int, ...]]]":
        """The questions to the plan's sources, each with the conditions (by identity) that it is for; kept for next time.

        With the clock scaled, conditions that look back over different windows are measured apart: their samples are
        spread over the window each of them looks at (`fetch`). Raises SettingsError for a source whose variable is not set.
        """
        wanted = tuple(id(condition) for condition in conditions)
        if wanted not in self._prepared:
            by_window: dict[float, list[Condition]] = {}
            for condition in conditions:
                longest = max((need.window_s for need in condition.needs()), default=0.0)
                by_window.setdefault(longest if self.clock.speed != 1.0 else 0.0, []).append(condition)
            self._prepared[wanted] = [
                (self._inquiry([need for one in some for need in one.needs()]), tuple(id(one) for one in some))
                for some in by_window.values()
            ]
        return self._prepared[wanted]

    @cached_property
    def _prepared(self) -> dict[tuple[int, ...], list[tuple[Inquiry, tuple[int, ...]]]]:
        return {}

    def _inquiry(self, needs: Sequence[Need]) -> Inquiry:
        facts = {"service": self.rollout.service, "version": self.rollout.version}
        return prepare(needs, self.plan.metrics, self.sources, self.clock, variables=facts)

    def _split_for(self, inquiry: Inquiry) -> datetime | None:
        return self.split_at() if inquiry.asks_since_split else None

    def with_baselines(self, measured: Observations) -> Observations:
        """The same with the baselines that this rollout recorded."""
        if all(selector.baseline is None for selector in measured):
            return measured
        return {
            selector: found if selector.baseline is None else recorded(self.ledger, self.rollout.id, selector)
            for selector, found in measured.items()
        }

    def split_at(self) -> datetime | None:
        """The real time at which the rollout's weight was last changed, by a step or by a safe action; None before that."""
        journal, actions = self.ledger.journal(self.rollout.id), self.ledger.actions(self.rollout.id)
        times = [entry.at for entry in journal if entry.event == "done" and entry.kind in SPLITTING]
        found = max([*times, *(action.at for action in actions if action.action == "make_safe")], default=None)
        self._told["split_at"] = found
        return found

    @property
    def last_split_at(self) -> datetime | None:
        """What `split_at` said last; None when nothing asked for it."""
        return self._told.get("split_at")

    @cached_property
    def _told(self) -> dict[str, datetime | None]:
        return {}

    @cached_property
    def sources(self) -> Mapping[str, MetricSource]:
        """The plan's sources by name; what people enter comes from the ledger."""
        entered = EnteredSource(self.ledger, self.rollout.id)
        by_hand = {name: entered for name, spec in self.plan.sources.items() if isinstance(spec, ManualSource)}
        return {**wiring.sources(self.plan, self.variables), **by_hand}


def observe_all(wanted: Sequence[tuple[Workspace, Sequence[Condition]]], now: datetime) -> list[Measured]:
    """What the conditions of many rollouts ask for, every source asked once; in order."""
    asked = [workspace.inquiries(conditions) for workspace, conditions in wanted]
    alone = [
        (inquiry, workspace._split_for(inquiry))
        for (workspace, _), inquiries in zip(wanted, asked, strict=True)
        for inquiry, _ in inquiries
    ]
    found = iter(ask([inquiry for inquiry, _ in alone], now, split_at=[split_at for _, split_at in alone]))
    measured: list[Measured] = []
    for (workspace, _), inquiries in zip(wanted, asked, strict=True):
        seen: dict[int, Observations] = {}
        for _, conditions in inquiries:
            seen.update(dict.fromkeys(conditions, workspace.with_baselines(next(found))))
        measured.append(Measured(seen))
    return measured


def written_from_memory(stamp: Stamp) -> bool:
    """Whether the watch wrote this while the ledger was out of reach, and has not journaled it yet."""
    return stamp.step_id.startswith(FROM_MEMORY)


def require_known(plan: Plan, name: str, known: Mapping[str, object], noun: str) -> None:
    """Raises SettingsError when the plan has no such thing."""
    if name not in known:
        raise SettingsError(f"{plan.name} has no {noun} {name!r}; it has: {', '.join(sorted(known)) or 'none'}")
